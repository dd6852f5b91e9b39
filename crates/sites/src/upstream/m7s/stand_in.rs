//! The HTTP/2 server that stands in for an original site on a link in memory.

use std::collections::BTreeMap;
use std::io;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use sluicegate_cascade::m7s;
use sluicegate_net::link::{self, Connection};
use sluicegate_net::problem::Problem;
use sluicegate_net::ws::ByteStream;
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_util::sync::CancellationToken;

use super::answer;
use super::register::{Ask, NoAnswer};

/// Bytes under way in memory.
const WIRE_BYTES: usize = 256 << 10;
/// The body of a request, at most: it is held as a whole, and twice more as base64 within base64.
const MAX_BODY_BYTES: usize = 16 << 20;

/// A link whose site is a router that asks by `asks`.
pub(super) async fn link(asks: mpsc::Sender<Ask>, config: link::Config) -> io::Result<Connection> {
    let (near, far) = tokio::io::duplex(WIRE_BYTES);
    let near = WebSocketStream::from_raw_socket(near, Role::Server, None).await;
    let far = WebSocketStream::from_raw_socket(far, Role::Client, None).await;
    let stream = ByteStream::new(far, config.keep_alive, CancellationToken::new());
    let router = Router::new().fallback(ask).with_state(asks);
    tokio::spawn(async move {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.max_header_list_size(config.head_bytes).max_concurrent_streams(config.streams);
        // It ends with the other side of the link, which tells why.
        let _ = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)).await;
    });
    Connection::open(near, config).await
}

/// A link whose site refuses everything.
#[cfg(test)]
pub(in crate::upstream) async fn refusing() -> Connection {
    link(mpsc::channel(1).0, link::Config::default()).await.unwrap()
}

/// Asks the site and answers with what it gave.
async fn ask(State(asks): State<mpsc::Sender<Ask>>, request: Request<Body>) -> Response {
    answered(&asks, request).await.unwrap_or_else(Problem::into_response)
}

async fn answered(asks: &mpsc::Sender<Ask>, request: Request<Body>) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, MAX_BODY_BYTES).collect().await.map_err(|_| {
        let detail = format!("a site of the m7s plugin takes bodies of up to {MAX_BODY_BYTES} bytes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE).detail(detail)
    })?;
    let body = body.to_bytes();
    let request = m7s::Request {
        url: parts.uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
        header: header(&parts.headers),
        method: parts.method.to_string(),
        body: (!body.is_empty()).then(|| body.to_vec()),
    };
    let gone = || Problem::new(StatusCode::BAD_GATEWAY).detail("the connection of the site ended");
    let (reply, answer) = oneshot::channel();
    asks.send(Ask { request, reply }).await.map_err(|_| gone())?;
    match answer.await {
        Ok(Ok(body)) => Ok(answer::to_public(&parts.method, body)),
        Ok(Err(NoAnswer::Full)) => {
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE).detail("too many requests wait for this site"))
        }
        Ok(Err(NoAnswer::Late)) => Err(Problem::new(StatusCode::GATEWAY_TIMEOUT)
            .detail("the site did not answer in time; the m7s plugin is silent also when its request fails")),
        Err(_) => Err(gone()),
    }
}

/// Field names as Go writes them; the original looks them up so.
fn header(fields: &HeaderMap) -> BTreeMap<String, Vec<String>> {
    let mut header: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in fields {
        if let Ok(value) = value.to_str() {
            header.entry(canonical(name.as_str())).or_default().push(value.to_owned());
        }
    }
    header
}

fn canonical(name: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
    };
    name.split('-').map(word).collect::<Vec<_>>().join("-")
}

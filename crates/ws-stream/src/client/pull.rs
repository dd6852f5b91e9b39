//! Pulls FLV from a server, by WebSocket or HTTP.

use std::time::Duration;

use base64::Engine;
use bytes::Bytes;
use futures_util::StreamExt;
use http::header::{ACCEPT, AUTHORIZATION, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use sluicegate_hub::Publisher;
use sluicegate_net::tls::ClientTls;
use sluicegate_net::ws;
use tokio_util::task::AbortOnDropHandle;
use url::{Position, Url};

use crate::Error;
use crate::ingest::{self, Limits};
use crate::target::percent_decoded;

/// How long the connection and the server's answer may take, each. Longer than a server waits for a stream.
const CONNECT_WAIT: Duration = Duration::from_secs(20);
const AGENT: &str = concat!("sluicegate/", env!("CARGO_PKG_VERSION"));

/// Publishes the FLV stream at `url` (`ws`, `wss`, `http` or `https`) until it ends. A user and password in the
/// address are sent as basic credentials. Redirects are not followed: the
/// address that was configured is the address that is used.
///
/// # Errors
/// The server cannot be reached or refuses, or what it sends is no FLV; see [`ingest::from_reader`].
pub async fn pull(url: &Url, tls: &ClientTls, publisher: Publisher, limits: Limits) -> Result<(), Error> {
    match url.scheme() {
        "ws" | "wss" => {
            let headers = credentials(url).into_iter().map(|value| (AUTHORIZATION, value)).collect::<HeaderMap>();
            let connecting = ws::connect(url, headers, &[], tls, CONNECT_WAIT);
            let (websocket, _) = connecting.await.map_err(|error| Error::Connect(Box::new(error)))?;
            ingest::from_websocket(websocket, publisher, limits).await
        }
        "http" | "https" => by_http(url, tls, publisher, limits).await,
        scheme => Err(Error::Scheme { scheme: scheme.to_owned() }),
    }
}

async fn by_http(url: &Url, tls: &ClientTls, publisher: Publisher, limits: Limits) -> Result<(), Error> {
    let connect = |error: Box<dyn std::error::Error + Send + Sync>| Error::Connect(error);
    let socket = sluicegate_net::dial(url, tls, CONNECT_WAIT).await.map_err(|error| connect(error.into()))?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(socket));
    let (mut sender, connection) = handshake.await.map_err(|error| connect(error.into()))?;
    let _driver = AbortOnDropHandle::new(tokio::spawn(connection));
    let answer =
        tokio::time::timeout(CONNECT_WAIT, sender.send_request(request(url).map_err(|error| connect(error.into()))?));
    let response = answer.await.map_err(|late| connect(late.into()))?.map_err(|error| connect(error.into()))?;
    if response.status() != StatusCode::OK {
        return Err(Error::Refused { status: response.status() });
    }
    ingest::from_chunks(chunks(response.into_body()), publisher, limits).await
}

fn request(url: &Url) -> Result<Request<Empty<Bytes>>, http::Error> {
    let host = &url[Position::BeforeHost..Position::AfterPort];
    let path = &url[Position::BeforePath..Position::AfterQuery];
    let mut request =
        Request::get(path).header(HOST, host).header(USER_AGENT, AGENT).header(ACCEPT, "video/x-flv, */*");
    if let Some(credentials) = credentials(url) {
        request = request.header(AUTHORIZATION, credentials);
    }
    request.body(Empty::new())
}

/// The user and password of the address as basic credentials (RFC 7617).
fn credentials(url: &Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let (user, password) = (percent_decoded(url.username())?, percent_decoded(url.password().unwrap_or_default())?);
    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    let mut value = HeaderValue::from_str(&format!("Basic {encoded}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn chunks(body: Incoming) -> impl futures_util::Stream<Item = Result<Bytes, Error>> {
    body.into_data_stream().map(|chunk| chunk.map_err(|error| Error::Io(std::io::Error::other(error))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_cut_into_host_path_and_credentials() {
        let url = Url::parse("https://cam:a%3Ab@[::1]:8443/live/x.flv?y=1#z").unwrap();
        let request = request(&url).unwrap();
        assert_eq!(request.uri(), "/live/x.flv?y=1");
        assert_eq!(request.headers()[HOST], "[::1]:8443");
        assert_eq!(request.headers()[AUTHORIZATION], "Basic Y2FtOmE6Yg==");
        assert!(credentials(&Url::parse("ws://host/").unwrap()).is_none());
    }
}

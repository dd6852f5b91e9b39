//! `upstream relay …`: copies of streams, asked of the running server by its API.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use axum::body::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use sluicegate_api::Rule;
use sluicegate_launch::Failure;
use sluicegate_net::dial;
use sluicegate_net::tls::ClientTls;
use url::{Position, Url};

use crate::cli::{RelayAdd, RelayCommand, RelayServer, print};
use crate::config::Config;

/// How long the server may take for all of an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer; a list of as many relays as there may be has some 100 KB.
const MAX_ANSWER: usize = 4 * 1024 * 1024;
const PATH: &str = "/api/v1/relays";

/// Does what the command says and prints what came of it.
pub(crate) fn run(command: &RelayCommand, config: &Config) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::work("starting the runtime", error))?;
    runtime.block_on(async {
        match command {
            RelayCommand::List { server } => {
                let list = Client::new(server, config)?.ask(Method::GET, PATH, None).await?;
                list.as_array().into_iter().flatten().try_for_each(|relay| print(&line(relay)))
            }
            RelayCommand::Add { relay, server } => {
                let begun = Client::new(server, config)?.ask(Method::POST, PATH, Some(&document(relay))).await?;
                print(&line(&begun))
            }
            RelayCommand::Remove { id, server } => {
                Client::new(server, config)?.ask(Method::DELETE, &format!("{PATH}/{id}"), None).await?;
                print(&format!("removed {id}"))
            }
        }
    })
}

/// What the API takes.
fn document(relay: &RelayAdd) -> Value {
    json!({
        "direction": relay.direction,
        "stream": relay.stream,
        "target": relay.target,
        "protocol": relay.protocol,
        "remote": relay.remote,
        "retry": relay.retry,
        "saved": relay.keep,
        "on_demand": relay.on_demand,
    })
}

/// A relay for people: number, direction, stream, other side, state, and why.
fn line(relay: &Value) -> String {
    let text = |key: &str| relay[key].as_str().unwrap_or_default().to_owned();
    let reason = text("reason");
    let reason = if reason.is_empty() { String::new() } else { format!("\t{reason}") };
    let (direction, stream, target, state) = (text("direction"), text("stream"), text("target"), text("state"));
    format!("{}\t{direction}\t{stream}\t{target}\t{state}{reason}", relay["id"])
}

/// The server that is asked.
struct Client {
    server: Url,
    tls: ClientTls,
    token: Option<String>,
}

impl Client {
    /// The server that was named, or the one that this configuration starts.
    fn new(server: &RelayServer, config: &Config) -> Result<Self, Failure> {
        let configured = match config.access().api {
            Rule::Token(token) => Some(token),
            Rule::Open => None,
        };
        let tls = if server.server.is_some() { ClientTls::native() } else { ClientTls::insecure() };
        Ok(Self {
            server: server.server.clone().map_or_else(|| here(config), Ok)?,
            // A certificate names the public host, not the loopback address by which this machine reaches itself.
            tls: tls.map_err(|error| Failure::work("setting up TLS", error))?,
            token: server.token.clone().or(configured),
        })
    }

    async fn ask(&self, method: Method, path: &str, document: Option<&Value>) -> Result<Value, Failure> {
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
            Failure::work(format!("asking the server at {}", self.server), error)
        };
        let exchange = tokio::time::timeout(PATIENCE, self.exchange(method, path, document));
        let (status, body) = exchange.await.map_err(|late| failed(late.into()))?.map_err(failed)?;
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        if status.is_success() {
            return Ok(answer);
        }
        let said = answer["detail"].as_str().or(status.canonical_reason()).unwrap_or_default().to_owned();
        let hint = if status == StatusCode::UNAUTHORIZED { "; give it by --token" } else { "" };
        Err(Failure::Usage(vec![format!("the server refuses with {}: {said}{hint}", status.as_u16())]))
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        document: Option<&Value>,
    ) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
        let socket = dial(&self.server, &self.tls, PATIENCE).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await?;
        tokio::spawn(connection);
        let host = &self.server[Position::BeforeHost..Position::AfterPort];
        let mut request = Request::builder().method(method).uri(path).header(HOST, host);
        request = request.header(CONTENT_TYPE, "application/json");
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let body = document.map(ToString::to_string).unwrap_or_default();
        let response = sender.send_request(request.body(Full::new(Bytes::from(body)))?).await?;
        let status = response.status();
        Ok((status, Limited::new(response.into_body(), MAX_ANSWER).collect().await?.to_bytes()))
    }
}

/// Where the server of this configuration is reached from its own machine.
fn here(config: &Config) -> Result<Url, Failure> {
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let mut address = config.listen;
    if address.ip().is_unspecified() {
        let loopback =
            if address.is_ipv4() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { IpAddr::V6(Ipv6Addr::LOCALHOST) };
        address.set_ip(loopback);
    }
    let url = format!("{scheme}://{address}").parse();
    url.map_err(|_| Failure::Usage(vec![format!("listen = {address} is no address to connect to; use --server")]))
}

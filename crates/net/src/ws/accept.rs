//! The server's side of the opening handshake (RFC 6455 §4.2).

use std::io;

use axum::body::Body;
use bytes::Bytes;
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Version};
use hyper::upgrade::OnUpgrade;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::{Config, WebSocket};
use crate::listener::Socket;
use crate::problem::Problem;

/// An upgrade that was agreed to; the socket comes when our 101 has been sent.
#[derive(Debug)]
pub struct Accepted {
    upgrade: OnUpgrade,
    config: Config,
    protocol: Option<String>,
}

/// Whether the request asks for a WebSocket.
#[must_use]
pub fn is_upgrade<B>(request: &Request<B>) -> bool {
    has_token(request.headers(), &CONNECTION, "upgrade") && has_token(request.headers(), &UPGRADE, "websocket")
}

/// Agrees to a WebSocket. With `protocols` the client must offer one of them; the first of its own that is ours is
/// taken. The response must be returned to the client for the socket to come.
///
/// # Errors
/// A problem to answer with: 400 for a broken handshake or without a common subprotocol, 426 for another version.
pub fn accept<B>(
    request: &mut Request<B>,
    protocols: &[&str],
    config: Config,
) -> Result<(Response<Body>, Accepted), Problem> {
    let bad = |detail: &str| Problem::new(StatusCode::BAD_REQUEST).detail(detail);
    if !is_upgrade(request) || request.method() != http::Method::GET || request.version() != Version::HTTP_11 {
        return Err(bad("a WebSocket needs a GET by HTTP/1.1 with Connection: Upgrade and Upgrade: websocket"));
    }
    let headers = request.headers();
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        let problem = Problem::new(StatusCode::UPGRADE_REQUIRED).detail("only Sec-WebSocket-Version 13 is spoken");
        return Err(problem.header(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13")));
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).ok_or_else(|| bad("Sec-WebSocket-Key is missing"))?;
    let answer =
        HeaderValue::from_str(&derive_accept_key(key.as_bytes())).map_err(|_| bad("Sec-WebSocket-Key is bad"))?;
    let protocol = choose(headers, protocols)
        .map_err(|()| bad(&format!("the client must offer the subprotocol {}", protocols.join(" or "))))?;
    let upgrade = hyper::upgrade::on(request);
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let out = response.headers_mut();
    out.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    out.insert(UPGRADE, HeaderValue::from_static("websocket"));
    out.insert(SEC_WEBSOCKET_ACCEPT, answer);
    if let Some(value) = protocol.as_deref().and_then(|protocol| HeaderValue::from_str(protocol).ok()) {
        out.insert(SEC_WEBSOCKET_PROTOCOL, value);
    }
    Ok((response, Accepted { upgrade, config, protocol }))
}

fn choose(headers: &HeaderMap, ours: &[&str]) -> Result<Option<String>, ()> {
    if ours.is_empty() {
        return Ok(None);
    }
    let chosen = tokens(headers, &SEC_WEBSOCKET_PROTOCOL).find(|offered| ours.contains(offered));
    chosen.map(|chosen| Some(chosen.to_owned())).ok_or(())
}

fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    tokens(headers, name).any(|have| have.eq_ignore_ascii_case(token))
}

impl Accepted {
    /// The subprotocol that was agreed on.
    #[must_use]
    pub fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    /// The socket, and what the client has sent on it already.
    ///
    /// # Errors
    /// The client went away before the 101 was sent, or the connection is not of our listener.
    pub async fn socket(self) -> io::Result<(Socket, Bytes)> {
        let upgraded = self.upgrade.await.map_err(io::Error::other)?;
        Socket::from_upgraded(upgraded).map_err(|_| io::Error::other("the connection is not of our listener"))
    }

    /// The socket as a WebSocket.
    ///
    /// # Errors
    /// As [`Accepted::socket`].
    pub async fn websocket(self) -> io::Result<WebSocket> {
        let config = self.config.for_library();
        let (socket, read_ahead) = self.socket().await?;
        Ok(WebSocketStream::from_partially_read(socket, read_ahead.into(), Role::Server, Some(config)).await)
    }
}

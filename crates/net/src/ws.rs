//! WebSockets (RFC 6455): taking over upgraded sockets, dialling, and a byte stream over messages.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Response};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use url::Url;

use crate::Error;
use crate::listener::Socket;
use crate::tls::ClientTls;

mod accept;
mod byte_stream;

pub use accept::{Accepted, accept, is_upgrade};
pub use byte_stream::{ByteStream, Health, KeepAlive};

/// Bytes of a refusal's body that are kept for the error.
const EXCERPT_BYTES: usize = 512;

/// A WebSocket of ours.
pub type WebSocket = WebSocketStream<Socket>;

/// Limits of a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Bytes of one message, in one frame or many. Default 8 MiB, the largest FLV tag. A peer can make us hold this
    /// much.
    pub max_message_bytes: usize,
    /// Bytes that we collect before a write to the socket. Default 64 KiB.
    pub write_buffer_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_message_bytes: 8 << 20, write_buffer_bytes: 64 << 10 }
    }
}

impl Config {
    fn for_library(self) -> WebSocketConfig {
        WebSocketConfig::default()
            .max_message_size(Some(self.max_message_bytes))
            .max_frame_size(Some(self.max_message_bytes))
            .write_buffer_size(self.write_buffer_bytes)
            .max_write_buffer_size(self.write_buffer_bytes.saturating_mul(4).max(self.max_message_bytes))
    }
}

/// Dials a WebSocket. `deadline` is for the connection and again for the answer.
///
/// # Errors
/// As [`crate::dial`]; [`Error::Refused`] when the answer is not 101, [`Error::WebSocket`] when it is a wrong one.
pub async fn connect(
    url: &Url,
    headers: HeaderMap,
    protocols: &[&str],
    tls: &ClientTls,
    deadline: Duration,
) -> Result<(WebSocket, Response<()>), Error> {
    let host = url.authority().to_owned();
    let socket = crate::dial(url, tls, deadline).await?;
    let failed = |source: WsError| Error::WebSocket { host: host.clone(), source: Box::new(source) };
    let mut request = url.as_str().into_client_request().map_err(failed)?;
    request.headers_mut().extend(headers);
    if !protocols.is_empty() {
        let offered =
            HeaderValue::from_str(&protocols.join(", ")).map_err(|error| failed(WsError::HttpFormat(error.into())))?;
        request.headers_mut().insert(http::header::SEC_WEBSOCKET_PROTOCOL, offered);
    }
    let config = Config::default().for_library();
    let handshake = tokio_tungstenite::client_async_with_config(request, socket, Some(config));
    match tokio::time::timeout(deadline, handshake).await {
        Ok(Ok((websocket, response))) => Ok((websocket, response.map(drop))),
        Ok(Err(WsError::Http(response))) => Err(refusal(&response)),
        Ok(Err(error)) => Err(failed(error)),
        Err(_) => Err(Error::Timeout { host, deadline }),
    }
}

fn refusal(response: &Response<Option<Vec<u8>>>) -> Error {
    let body = response.body().as_deref().unwrap_or_default();
    let start = body.get(..EXCERPT_BYTES).unwrap_or(body);
    let excerpt = String::from_utf8_lossy(start).trim().to_owned();
    Error::Refused { status: response.status(), excerpt }
}

//! WebSocket through the link: an extended CONNECT (RFC 8441) on the link's HTTP/2, the device's own handshake at both
//! ends, and bytes between them.

use std::time::Duration;

use axum::body::Body;
use http::header::{SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL};
use http::{Method, Request, Response, request};
use hyper::ext::Protocol;
use hyper_util::rt::TokioIo;
use sluicegate_net::link;
use sluicegate_net::ws::{self, Accepted};
use tokio::io::AsyncWriteExt;

use super::Held;
use crate::fault::Fault;
use crate::metrics::{self, Ending};
use crate::transfer::splice::{Side, splice};

/// The fields of the handshake that client and device agree on between themselves.
const HANDSHAKE: [http::HeaderName; 3] = [SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_EXTENSIONS];

/// A client's upgrade that waits for the device.
#[derive(Debug)]
pub(super) struct Offer {
    response: Response<Body>,
    accepted: Accepted,
}

impl Offer {
    /// Looks whether the request is a WebSocket handshake.
    pub(super) fn read(request: &mut Request<Body>) -> Result<Option<Self>, Fault> {
        if !ws::is_upgrade(request) {
            return Ok(None);
        }
        let accepted = ws::accept(request, &[], ws::Config::default());
        let (response, accepted) = accepted.map_err(|problem| Fault::Handshake { status: problem.status() })?;
        Ok(Some(Self { response, accepted }))
    }

    /// Makes the request of the link one for a WebSocket.
    pub(super) fn ask(parts: &mut request::Parts) {
        parts.method = Method::CONNECT;
        parts.extensions.insert(Protocol::from_static("websocket"));
    }

    /// Joins client and device, once the device has agreed, and returns the client's 101.
    pub(super) fn join(self, mut answer: Response<link::Body>, held: Held, stall: Duration) -> Response<Body> {
        let mut response = self.response;
        for name in &HANDSHAKE {
            if let Some(value) = answer.headers().get(name) {
                response.headers_mut().insert(name, value.clone());
            }
        }
        let link = hyper::upgrade::on(&mut answer);
        let accepted = self.accepted;
        tokio::spawn(async move {
            // The answer's body is the link's count of this exchange, and ends with it.
            let _held = (held, answer.into_body());
            let (Ok((client, read_ahead)), Ok(link)) = tokio::join!(accepted.socket(), link) else {
                return metrics::ended(Ending::Dropped);
            };
            let mut link = TokioIo::new(link);
            if link.write_all(&read_ahead).await.is_ok() {
                let client = Side { stream: client, stall: Some(stall), count: metrics::uploaded };
                splice(client, Side { stream: link, stall: None, count: metrics::downloaded }).await;
            }
            metrics::ended(Ending::Complete);
        });
        response
    }
}

//! WebSocket at the site: the link's extended CONNECT becomes an HTTP/1.1 upgrade of the device.

use axum::body::Body;
use http::header::{CONNECTION, HeaderMap, HeaderValue, UPGRADE};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use crate::transfer::splice::{Side, splice};

/// The link's end of a WebSocket that the device has not agreed to yet.
pub(super) fn read(request: &mut Request<Body>) -> Option<OnUpgrade> {
    let protocol = request.extensions().get::<Protocol>()?;
    (request.method() == Method::CONNECT && protocol.as_str() == "websocket").then(|| hyper::upgrade::on(request))
}

/// Makes the head for the device one of a WebSocket handshake; the client's key goes through, so that the device's
/// proof is for the client.
pub(super) fn ask(method: &mut Method, fields: &mut HeaderMap) {
    *method = Method::GET;
    fields.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    fields.insert(UPGRADE, HeaderValue::from_static("websocket"));
}

/// Joins link and device. The device's 101 becomes the 200 of RFC 8441 §5.
pub(super) fn join(link: OnUpgrade, agreed: &mut Response<Incoming>) {
    *agreed.status_mut() = StatusCode::OK;
    let device = hyper::upgrade::on(agreed);
    tokio::spawn(async move {
        let (Ok(link), Ok(device)) = tokio::join!(link, device) else {
            return;
        };
        let side = |stream| Side { stream: TokioIo::new(stream), stall: None, count: |_| {} };
        splice(side(link), side(device)).await;
    });
}

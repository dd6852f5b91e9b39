//! A public client: one connection a request, so that a drop is a client that goes away.

use std::net::SocketAddr;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::stage::PATIENCE;

/// An answer and its connection. Dropping it cuts the connection.
pub(crate) struct Answer {
    pub(crate) response: Response<Incoming>,
    connection: AbortHandle,
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Answer {
    pub(crate) fn status(&self) -> StatusCode {
        self.response.status()
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// One field as text; empty when it is not there.
    pub(crate) fn field(&self, name: &str) -> &str {
        self.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The next piece of the body.
    pub(crate) async fn data(&mut self) -> Option<Result<Bytes, hyper::Error>> {
        let frame = timeout(PATIENCE, self.response.body_mut().frame()).await.unwrap()?;
        Some(frame.map(|frame| frame.into_data().unwrap()))
    }

    /// The whole body and its trailers.
    pub(crate) async fn all(mut self) -> Result<(Bytes, Option<HeaderMap>), hyper::Error> {
        let collected = timeout(PATIENCE, self.response.body_mut().collect()).await.unwrap()?;
        let trailers = collected.trailers().cloned();
        Ok((collected.to_bytes(), trailers))
    }

    /// The whole body as text.
    pub(crate) async fn text(self) -> String {
        String::from_utf8(self.all().await.unwrap().0.to_vec()).unwrap()
    }
}

/// Sends a request on a connection of its own.
pub(crate) async fn send(address: SocketAddr, mut request: Request<Body>) -> Result<Answer, hyper::Error> {
    if !request.headers().contains_key("host") {
        request.headers_mut().insert("host", "public.example".parse().unwrap());
    }
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(async move {
        let _ = connection.await;
    });
    let guard = AbortOnDrop(connection.abort_handle());
    let response = timeout(PATIENCE, sender.send_request(request)).await.unwrap()?;
    std::mem::forget(guard);
    Ok(Answer { response, connection: connection.abort_handle() })
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Asks for a path of the service `web` of the site.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Answer {
    send(address, request("GET", path).body(Body::empty()).unwrap()).await.unwrap()
}

/// A request for a path below the proxy.
pub(crate) fn request(method: &str, path: &str) -> http::request::Builder {
    Request::builder().method(method).uri(format!("/proxy/cam-7/{}", path.trim_start_matches('/')))
}

/// Sends bytes as they are and returns all that comes until the server closes, or has sent `until`.
pub(crate) async fn raw(address: SocketAddr, bytes: &[u8], until: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let read = async {
        let mut chunk = [0; 4096];
        while !String::from_utf8_lossy(&answer).contains(until) {
            match stream.read(&mut chunk).await {
                Ok(0) | Err(_) => break,
                Ok(count) => answer.extend_from_slice(&chunk[..count]),
            }
        }
    };
    timeout(PATIENCE, read).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

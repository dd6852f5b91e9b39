//! Sockets of plain `GET`s handed over to whoever streams on them.
//!
//! A response body goes through the HTTP library for each viewer; a socket that is handed over is written to at the
//! cost of one system call. The listener reads the first request of an HTTP/1.1 connection itself; when its path is
//! one of [`Config::handover_paths`](crate::listener::Config::handover_paths), the router may answer with a
//! [`HandOver`] in the response's extensions.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Method, Request, Response, Uri, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::listener::Socket;

/// Header fields of a head that is looked at here; one with more goes to the HTTP library, which has its own limit.
const MAX_FIELDS: usize = 64;

/// Bytes that a client may send while its answer is made.
const MAX_AHEAD: usize = 4 << 10;

/// In a request's extensions: the socket can be handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Possible;

type Taker = Box<dyn FnOnce(Socket, Bytes) + Send>;

/// In a response's extensions: takes the socket when the head of the response has been written to it.
#[derive(Clone)]
pub struct HandOver(Arc<Mutex<Option<Taker>>>);

impl HandOver {
    /// Hands the socket to `take`, with what the client has sent beyond its request.
    pub fn new(take: impl FnOnce(Socket, Bytes) + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Some(Box::new(take)))))
    }

    fn take(&self) -> Option<Taker> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl fmt::Debug for HandOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HandOver")
    }
}

/// Reads the first head of a connection. When it is a plain `GET` of one of `paths`, returns it and leaves what
/// follows it unread; else leaves all of it unread.
pub(crate) async fn first_request(
    socket: &mut Socket,
    paths: &[String],
    limit: usize,
) -> io::Result<Option<Request<Body>>> {
    let mut head = BytesMut::with_capacity(1_024);
    let end = loop {
        if let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") {
            break Some(end.saturating_add(4));
        }
        if head.len() >= limit || is_elsewhere(&head, paths) || socket.read_buf(&mut head).await? == 0 {
            break None;
        }
    };
    let request = end.and_then(|end| parse(head.get(..end)?, paths));
    let unread = if request.is_some() { end.unwrap_or_default() } else { 0 };
    socket.unread(head.freeze().slice(unread..));
    Ok(request)
}

/// Whether the bytes so far show that the request is none of ours, so that others do not wait here for their head.
fn is_elsewhere(head: &[u8], paths: &[String]) -> bool {
    let begins_alike = |path: &String| {
        let start = format!("GET {path}");
        let common = head.len().min(start.len());
        head.get(..common) == start.as_bytes().get(..common)
    };
    !paths.iter().any(begins_alike)
}

fn parse(head: &[u8], paths: &[String]) -> Option<Request<Body>> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut parsed = httparse::Request::new(&mut fields);
    let complete = parsed.parse(head).is_ok_and(|status| status.is_complete());
    let path = parsed.path.filter(|path| paths.iter().any(|prefix| path.starts_with(prefix.as_str())))?;
    if !complete || parsed.method != Some("GET") || parsed.version != Some(1) {
        return None;
    }
    let mut request = Request::new(Body::empty());
    *request.method_mut() = Method::GET;
    *request.version_mut() = Version::HTTP_11;
    *request.uri_mut() = path.parse::<Uri>().ok()?;
    for field in parsed.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        let carries_more = [http::header::UPGRADE, http::header::CONTENT_LENGTH, http::header::TRANSFER_ENCODING];
        if carries_more.contains(&name) {
            return None;
        }
        request.headers_mut().append(name, HeaderValue::from_bytes(field.value).ok()?);
    }
    request.extensions_mut().insert(Possible);
    Some(request)
}

/// A head in the place of one that [`first_request`] has read, for the HTTP library to read. Its answer is ready, so
/// only what decides whether the connection is kept is in it.
pub(crate) fn unparsed(request: &http::request::Parts) -> Vec<u8> {
    let mut head = b"GET / HTTP/1.1\r\nhost: -\r\n".to_vec();
    for value in request.headers.get_all(http::header::CONNECTION) {
        head.extend_from_slice(b"connection: ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// Writes the head of a response that takes the socket, and hands the socket over; gives both back when the response
/// takes none.
pub(crate) async fn complete(mut socket: Socket, response: Response<Body>) -> Result<(), (Socket, Response<Body>)> {
    let Some(take) = response.extensions().get::<HandOver>().and_then(HandOver::take) else {
        return Err((socket, response));
    };
    if socket.write_all(&head(&response)).await.is_ok() {
        let read_ahead = socket.take_unread();
        take(socket, read_ahead);
    }
    Ok(())
}

/// Returns when the client has left. A little of what it sends meanwhile is kept unread; with more the wait is for
/// ever and the answer decides.
pub(crate) async fn gone(socket: &mut Socket) {
    loop {
        match std::future::poll_fn(|cx| socket.poll_read_ahead(cx)).await {
            Ok(1..MAX_AHEAD) => {}
            Ok(MAX_AHEAD..) => return std::future::pending().await,
            Ok(0) | Err(_) => return,
        }
    }
}

/// The head of a body that ends with the connection (RFC 9112 §6.3).
fn head(response: &Response<Body>) -> BytesMut {
    let mut head = BytesMut::with_capacity(512);
    head.put_slice(format!("HTTP/1.1 {}\r\nconnection: close\r\n", response.status()).as_bytes());
    let framing = [http::header::CONTENT_LENGTH, http::header::TRANSFER_ENCODING, http::header::CONNECTION];
    for (name, value) in response.headers().iter().filter(|(name, _)| !framing.contains(*name)) {
        head.put_slice(name.as_str().as_bytes());
        head.put_slice(b": ");
        head.put_slice(value.as_bytes());
        head.put_slice(b"\r\n");
    }
    head.put_slice(b"\r\n");
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATHS: [&str; 1] = ["/live/"];

    fn parsed(head: &str) -> Option<Request<Body>> {
        parse(head.as_bytes(), &PATHS.map(String::from))
    }

    #[test]
    fn plain_gets_of_the_paths_are_taken() {
        let request = parsed("GET /live/a.flv?x=1 HTTP/1.1\r\nHost: h\r\nOrigin: o\r\n\r\n").unwrap();
        assert_eq!(request.uri(), "/live/a.flv?x=1");
        assert!(request.headers()["origin"] == "o" && request.extensions().get::<Possible>().is_some());
    }

    #[test]
    fn everything_else_is_left_to_the_library() {
        let others = [
            "POST /live/a.flv HTTP/1.1\r\n\r\n",
            "GET /other HTTP/1.1\r\n\r\n",
            "GET /live/a.flv HTTP/1.0\r\n\r\n",
            "GET /live/a.flv HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
            "GET /live/a.flv HTTP/1.1\r\nContent-Length: 1\r\n\r\n",
            "GET /live/a.flv HTTP/1.1\r\nbroken\r\n\r\n",
        ];
        assert!(others.into_iter().all(|head| parsed(head).is_none()));
        let paths = PATHS.map(String::from);
        assert!(is_elsewhere(b"GET /api", &paths) && is_elsewhere(b"POST", &paths));
        assert!(
            !is_elsewhere(b"", &paths) && !is_elsewhere(b"GET /li", &paths) && !is_elsewhere(b"GET /live/x", &paths)
        );
    }
}

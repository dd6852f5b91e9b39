//! The public side's JSON API, as a client sees it.

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{soon, until};

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The head, as it came.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

/// Sends a request without a body. `None` when nobody listens.
pub async fn request(method: &str, address: &str, path: &str) -> Option<Answer> {
    send(method, address, path, &[], b"").await
}

/// Sends a request with these headers and this body. `None` when nobody listens.
pub async fn send(method: &str, address: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Option<Answer> {
    let exchange = async {
        let mut socket = TcpStream::connect(address).await?;
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        // HTTP/1.0 keeps the body unchunked.
        let request = format!("{method} {path} HTTP/1.0\r\nHost: {address}\r\n{headers}{length}\r\n");
        socket.write_all(request.as_bytes()).await?;
        socket.write_all(body).await?;
        let mut bytes = Vec::new();
        socket.read_to_end(&mut bytes).await?;
        std::io::Result::Ok(bytes)
    };
    let bytes = soon(path, exchange).await.ok()?;
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let (head, body) = bytes.split_at(end + 4);
    let head = String::from_utf8_lossy(head).into_owned();
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    Some(Answer { status, head, body: body.to_vec() })
}

impl Answer {
    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A document of the API; null when the server does not answer, or not with 200.
pub async fn get(address: &str, path: &str) -> Value {
    let answer = request("GET", address, path).await.filter(|answer| answer.status == 200);
    answer.and_then(|answer| serde_json::from_slice(&answer.body).ok()).unwrap_or_default()
}

/// The entry of a list whose `key` is `value`; null without one.
async fn entry(address: &str, path: &str, key: &str, value: &str) -> Value {
    let list = get(address, path).await;
    list.as_array().into_iter().flatten().find(|entry| entry[key] == value).cloned().unwrap_or_default()
}

/// A connected site; null while it is not.
pub async fn site(address: &str, id: &str) -> Value {
    entry(address, "/api/v1/sites", "id", id).await
}

/// A stream; null while nobody has heard of it.
pub async fn stream(address: &str, name: &str) -> Value {
    entry(address, "/api/v1/streams", "name", name).await
}

/// Waits for a stream to be in a state.
pub async fn until_stream(address: &str, name: &str, state: &str) -> Value {
    let what = format!("stream {name} {state}");
    until(&what, || async { Some(stream(address, name).await).filter(|stream| stream["state"] == state) }).await
}

/// Waits for a site to be connected, and to have said what it offers.
pub async fn until_site(address: &str, id: &str) -> Value {
    let has = |site: &Value, key: &str| site[key].as_array().is_some_and(|list| !list.is_empty());
    let what = format!("site {id}");
    until(&what, || async {
        Some(site(address, id).await).filter(|site| has(site, "streams") || has(site, "services"))
    })
    .await
}

/// Waits until nobody has heard of a stream.
pub async fn gone(address: &str, name: &str) {
    let what = format!("no stream {name}");
    until(&what, || async { stream(address, name).await.is_null().then_some(()) }).await;
}

//! The HTTP of WHIP and WHEP: one request on a connection of its own.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::error::{Doing, Error};

/// No measured answer takes longer.
const DEADLINE: Duration = Duration::from_secs(20);

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The resource that was made, if one was.
    pub(crate) location: String,
    pub(crate) body: String,
}

/// Asks, and reads to the end of the connection.
pub(crate) async fn ask(address: &str, method: &str, path: &str, kind: &str, body: &str) -> Result<Answer, Error> {
    let asked = tokio::time::timeout(DEADLINE, exchange(address, method, path, kind, body)).await;
    asked.map_err(|_| Error::Answer(format!("none to {method} {path} within {} s", DEADLINE.as_secs())))?
}

/// Asks with an offer, and insists on an answer to it: the resource and the description.
pub(crate) async fn offer(address: &str, path: &str, offer: &str) -> Result<(String, String), Error> {
    let answer = ask(address, "POST", path, "application/sdp", offer).await?;
    if answer.status != 201 {
        return Err(Error::Answer(format!("{} to {path}: {}", answer.status, answer.body)));
    }
    Ok((answer.location, answer.body))
}

async fn exchange(address: &str, method: &str, path: &str, kind: &str, body: &str) -> Result<Answer, Error> {
    let mut socket = TcpStream::connect(address).await.doing("connecting")?;
    socket.set_nodelay(true).doing("connecting")?;
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: {kind}\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    socket.write_all(request.as_bytes()).await.doing("asking")?;
    let mut read = Vec::new();
    socket.read_to_end(&mut read).await.doing("reading an answer")?;
    let read = String::from_utf8_lossy(&read);
    let (head, body) = read.split_once("\r\n\r\n").unwrap_or((&read, ""));
    let field = |wanted: &str| {
        let named = head.lines().filter_map(|line| line.split_once(':'));
        named.filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim().to_owned()).next()
    };
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    Ok(Answer { status, location: field("location").unwrap_or_default(), body: body.to_owned() })
}

//! A plain HTTP/1.1 client that keeps its connection and reads bodies of known length.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::error::{Doing, Error};

/// No measured answer takes longer.
const DEADLINE: Duration = Duration::from_secs(60);

/// One connection.
#[derive(Debug)]
pub(crate) struct Client {
    socket: BufReader<TcpStream>,
}

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Client {
    pub(crate) async fn connect(address: &str) -> Result<Self, Error> {
        Self::over(TcpStream::connect(address).await.doing("connecting")?)
    }

    /// Over a connection that was made elsewhere.
    pub(crate) fn over(socket: TcpStream) -> Result<Self, Error> {
        socket.set_nodelay(true).doing("connecting")?;
        Ok(Self { socket: BufReader::with_capacity(256 << 10, socket) })
    }

    /// Sends a request without waiting for its answer.
    pub(crate) async fn send(&mut self, path: &str, body: &[u8]) -> Result<(), Error> {
        let method = if body.is_empty() { "GET" } else { "POST" };
        let head = format!("{method} {path} HTTP/1.1\r\nHost: bench\r\nContent-Length: {}\r\n\r\n", body.len());
        self.socket.write_all(&[head.as_bytes(), body].concat()).await.doing("asking")
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn ask(&mut self, path: &str, body: &[u8]) -> Result<Answer, Error> {
        self.send(path, body).await?;
        let answer = tokio::time::timeout(DEADLINE, self.answer()).await;
        answer.map_err(|_| Error::Answer(format!("none for {path} within {} s", DEADLINE.as_secs())))?
    }

    async fn answer(&mut self) -> Result<Answer, Error> {
        let (mut status, mut length, mut line) = (0, None, String::new());
        loop {
            line.clear();
            if self.socket.read_line(&mut line).await.doing("reading an answer")? == 0 {
                return Err(Error::Answer("the connection ended".into()));
            }
            if status == 0 {
                status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(1);
            } else if line.trim().is_empty() {
                break;
            } else if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok();
            }
        }
        let length = length.ok_or_else(|| Error::Answer("without Content-Length".into()))?;
        let mut body = vec![0; length];
        self.socket.read_exact(&mut body).await.doing("reading an answer")?;
        Ok(Answer { status, body })
    }
}

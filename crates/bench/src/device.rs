//! The site's device: a web server that answers as cheaply as it can.

use bytes::Bytes;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::error::{Doing, Error};

/// The large body.
pub(crate) const LARGE: usize = 50 << 20;
/// The small body.
const SMALL: usize = 1 << 10;

/// Serves `/small`, `/large` and `/echo` until the program ends. Returns its address.
pub(crate) async fn serve() -> Result<String, Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await.doing("listening")?;
    let address = listener.local_addr().doing("listening")?.to_string();
    let bodies = (Bytes::from(vec![0x55; SMALL]), Bytes::from(vec![0x55; LARGE]));
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(answer(socket, bodies.0.clone(), bodies.1.clone()));
        }
    });
    Ok(address)
}

async fn answer(socket: TcpStream, small: Bytes, large: Bytes) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let mut socket = BufReader::new(socket);
    loop {
        let mut path = String::new();
        let length = read_head(&mut socket, &mut path).await?;
        let mut body = vec![0; length];
        socket.read_exact(&mut body).await?;
        let body = match path.as_str() {
            "/small" => small.clone(),
            "/large" => large.clone(),
            _ => body.into(),
        };
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        let whole = if body.len() <= SMALL { [head.as_bytes(), &body].concat() } else { head.into_bytes() };
        socket.write_all(&whole).await?;
        if body.len() > SMALL {
            socket.write_all(&body).await?;
        }
    }
}

/// Reads a request's head; returns the length of its body.
async fn read_head(socket: &mut BufReader<TcpStream>, path: &mut String) -> std::io::Result<usize> {
    let mut length = 0;
    let mut line = String::new();
    loop {
        line.clear();
        if socket.read_line(&mut line).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if path.is_empty() {
            line.split(' ').nth(1).unwrap_or_default().clone_into(path);
        } else if line.trim().is_empty() {
            return Ok(length);
        } else if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or_default();
        }
    }
}

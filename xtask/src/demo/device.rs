//! The web page of the demo's device: what a camera behind NAT would serve on its own network.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{interval, timeout};

/// Bytes of a request head, at most.
const MAX_HEAD_BYTES: usize = 16 << 10;
/// How long a client may take for a request, or to take a reading.
const PATIENCE: Duration = Duration::from_secs(30);
/// Connections that are closed by the device after this many readings; the browser comes back by itself.
const READINGS: u32 = 3_600;

/// Serves the device's page until the demo ends.
pub(super) async fn serve(listener: TcpListener) -> Infallible {
    let started = Instant::now();
    loop {
        if let Ok((socket, _)) = listener.accept().await {
            // A client that goes away costs its own connection only.
            tokio::spawn(async move { answer(socket, started).await.ok() });
        }
    }
}

async fn answer(mut socket: TcpStream, started: Instant) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let read = timeout(PATIENCE, socket.read_buf(&mut head)).await??;
        if read == 0 || head.len() > MAX_HEAD_BYTES {
            return Ok(());
        }
    }
    let line = String::from_utf8_lossy(&head);
    let path = line.split_whitespace().nth(1).unwrap_or_default();
    match path.split('?').next().unwrap_or_default() {
        "/" => page(&mut socket).await,
        "/readings" => readings(&mut socket, started).await,
        _ => socket.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await,
    }
}

async fn page(socket: &mut TcpStream) -> std::io::Result<()> {
    let page = include_str!("device.html");
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nConnection: close\r\nContent-Length: ";
    socket.write_all(format!("{head}{}\r\n\r\n{page}", page.len()).as_bytes()).await
}

/// Server-sent events. The page is sandboxed behind the proxy, so its own requests are of a foreign origin.
async fn readings(socket: &mut TcpStream, started: Instant) -> std::io::Result<()> {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\
                Access-Control-Allow-Origin: *\r\nConnection: close\r\n\r\n";
    socket.write_all(head.as_bytes()).await?;
    let mut ticks = interval(Duration::from_secs(1));
    for _ in 0..READINGS {
        ticks.tick().await;
        let up = started.elapsed().as_secs_f64();
        let temperature = 21.0 + 3.0 * (up / 20.0).sin();
        let event = format!("data: {{\"up\": {up:.0}, \"temperature\": {temperature:.1}}}\n\n");
        timeout(PATIENCE, socket.write_all(event.as_bytes())).await??;
    }
    Ok(())
}

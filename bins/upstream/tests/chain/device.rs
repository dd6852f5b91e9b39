//! A device at a site: a small web server that counts what reaches it.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A running device; it ends with the test's runtime.
pub(crate) struct Device {
    address: SocketAddr,
}

/// The device's page, with a script.
const PAGE: &str = "<!doctype html><title>device</title><body><script>document.body.dataset.script = 'ran'</script>";

impl Device {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(async move { answer(socket).await.ok() });
            }
        });
        Self { address }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn answer(mut socket: TcpStream) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    let (head, mut body) = loop {
        if socket.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let body = bytes.split_off(end + 4);
            break (String::from_utf8_lossy(&bytes).into_owned(), body);
        }
    };
    let field = |name: &str| {
        let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(name))?;
        line.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    let length: usize = field("content-length:").and_then(|value| value.parse().ok()).unwrap_or(0);
    while body.len() < length && socket.read_buf(&mut body).await? > 0 {}
    let mut words = head.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (status, kind, answer) = match (method, path) {
        ("GET", "/") => ("200 OK", "text/html", PAGE.as_bytes().to_vec()),
        ("POST", "/echo") => ("200 OK", "application/octet-stream", body),
        ("GET", "/teapot?leaf=green") => ("418 I'm a teapot", "text/plain", b"short and stout".to_vec()),
        _ => ("404 Not Found", "text/plain", Vec::new()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nX-Device: yes\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        answer.len()
    );
    socket.write_all(&[head.as_bytes(), &answer].concat()).await
}

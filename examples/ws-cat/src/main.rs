//! Copies standard input to a WebSocket, or a WebSocket to standard output.
//!
//! With ffmpeg it publishes and plays FLV over WebSocket:
//!
//! ```text
//! ffmpeg -re -i in.mp4 -c copy -f flv - | ws-cat send 'ws://127.0.0.1:8440/publish?app=live&stream=x'
//! ws-cat receive ws://127.0.0.1:8440/live/x.flv | ffplay -
//! ```

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use bytes::BytesMut;
use clap::{Parser, Subcommand};
use futures_util::stream::SplitStream;
use futures_util::{SinkExt, StreamExt};
use http::HeaderMap;
use sluicegate_net::listener::Socket;
use sluicegate_net::tls::ClientTls;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use url::Url;

/// Bytes of one message.
const CHUNK_BYTES: usize = 64 << 10;
/// How long connecting may take, and the goodbye.
const CONNECT_WAIT: Duration = Duration::from_secs(10);

/// Copies standard input to a WebSocket, or a WebSocket to standard output.
#[derive(Debug, Parser)]
struct Arguments {
    /// Accept any TLS certificate.
    #[arg(long, global = true)]
    insecure: bool,
    #[command(subcommand)]
    direction: Direction,
}

#[derive(Debug, Subcommand)]
enum Direction {
    /// Send standard input as binary messages.
    Send {
        /// Where to, `ws://` or `wss://`.
        url: Url,
    },
    /// Write the binary messages to standard output, text to standard error.
    Receive {
        /// Where from, `ws://` or `wss://`.
        url: Url,
    },
}

/// What goes wrong.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("cannot connect: {0}")]
    Connect(String),
    #[error("closed by the server with code {code}: {reason}")]
    Closed { code: u16, reason: String },
    #[error("WebSocket: {0}")]
    WebSocket(#[from] tokio_tungstenite::tungstenite::Error),
    #[error("{0}")]
    Io(#[from] io::Error),
}

type WebSocket = WebSocketStream<Socket>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.direction {
        Direction::Send { url } => match connect(url, arguments.insecure).await {
            Ok(websocket) => send(websocket).await,
            Err(error) => Err(error),
        },
        Direction::Receive { url } => match connect(url, arguments.insecure).await {
            Ok(websocket) => receive(websocket).await,
            Err(error) => Err(error),
        },
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do when standard error is closed.
            let _ = writeln!(io::stderr(), "ws-cat: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn connect(url: &Url, insecure: bool) -> Result<WebSocket, Error> {
    let failed = |error: &dyn std::error::Error| Error::Connect(error.to_string());
    let tls = if insecure { ClientTls::insecure() } else { ClientTls::native() }.map_err(|error| failed(&error))?;
    let connecting = sluicegate_net::ws::connect(url, HeaderMap::new(), &[], &tls, CONNECT_WAIT);
    connecting.await.map(|(websocket, _)| websocket).map_err(|error| failed(&error))
}

/// Sends until the input ends or the server closes.
async fn send(websocket: WebSocket) -> Result<(), Error> {
    let (mut sink, mut stream) = websocket.split();
    let copy = async {
        let (mut input, mut buffer) = (tokio::io::stdin(), BytesMut::new());
        loop {
            buffer.reserve(CHUNK_BYTES);
            if input.read_buf(&mut buffer).await? == 0 {
                break;
            }
            sink.send(Message::Binary(buffer.split().freeze())).await?;
        }
        sink.send(Message::Close(None)).await?;
        Ok::<_, Error>(())
    };
    tokio::select! {
        // What the server said last explains a failure to send better than the failure itself.
        closed = drain(&mut stream) => return closed,
        copied = copy => copied?,
    }
    tokio::time::timeout(CONNECT_WAIT, drain(&mut stream)).await.unwrap_or(Ok(()))
}

/// Reads until the connection ends; an error when the server gave a reason other than a normal end.
async fn drain(stream: &mut SplitStream<WebSocket>) -> Result<(), Error> {
    while let Some(message) = stream.next().await {
        check_close(&message?)?;
    }
    Ok(())
}

fn check_close(message: &Message) -> Result<(), Error> {
    match message {
        Message::Close(Some(frame)) if !matches!(frame.code, CloseCode::Normal | CloseCode::Status) => {
            Err(Error::Closed { code: frame.code.into(), reason: frame.reason.to_string() })
        }
        _ => Ok(()),
    }
}

/// Writes what comes until the server closes or nobody reads standard output any more.
async fn receive(mut websocket: WebSocket) -> Result<(), Error> {
    let (mut output, mut notes) = (tokio::io::stdout(), tokio::io::stderr());
    while let Some(message) = websocket.next().await {
        let message = message?;
        check_close(&message)?;
        let written = match message {
            Message::Binary(bytes) => write(&mut output, &bytes).await,
            Message::Text(text) => write(&mut notes, format!("{text}\n").as_bytes()).await,
            _ => continue,
        };
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
            written => written?,
        }
    }
    // The reader has gone; a server that is gone, too, need not be told.
    let _ = websocket.close(None).await;
    Ok(())
}

async fn write(output: &mut (impl tokio::io::AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    output.write_all(bytes).await?;
    output.flush().await
}

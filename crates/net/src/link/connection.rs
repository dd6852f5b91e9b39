//! The public host's end of one connection to a site.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hyper::client::conn::http2;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_util::sync::CancellationToken;

use super::{Config, RESET_STREAMS};
use crate::ws::{ByteStream, Health};

/// One connection to a site, made of a WebSocket that the site dialled.
#[derive(Debug)]
pub struct Connection {
    pub(crate) sender: std::sync::Mutex<Option<SendRequest<axum::body::Body>>>,
    pub(crate) load: Arc<AtomicU64>,
    health: Arc<Health>,
    cut: CancellationToken,
    ended: CancellationToken,
}

impl Connection {
    /// Speaks HTTP/2 as the client on `websocket`, on a task of its own.
    ///
    /// # Errors
    /// The site closed at once or speaks something else.
    pub async fn open<S>(websocket: WebSocketStream<S>, config: Config) -> io::Result<Self>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (cut, ended) = (CancellationToken::new(), CancellationToken::new());
        let stream = ByteStream::new(websocket, config.keep_alive, cut.clone());
        let health = stream.health();
        let handshake = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(config.stream_window)
            .initial_connection_window_size(config.connection_window)
            .max_header_list_size(config.head_bytes)
            .max_send_buf_size(config.send_buffer)
            .initial_max_send_streams(usize::try_from(config.streams).unwrap_or(usize::MAX))
            .max_pending_accept_reset_streams(RESET_STREAMS)
            .max_local_error_reset_streams(None)
            .handshake(TokioIo::new(stream));
        let (sender, driver) = handshake.await.map_err(io::Error::other)?;
        let tell = ended.clone().drop_guard();
        tokio::spawn(async move {
            let _tell = tell;
            if let Err(error) = driver.await {
                tracing::debug!(error = &error as &dyn std::error::Error, "link connection ended");
            }
        });
        Ok(Self { sender: std::sync::Mutex::new(Some(sender)), load: Arc::default(), health, cut, ended })
    }

    /// A handle to send with, unless the connection is ending.
    pub(crate) fn sender(&self) -> Option<SendRequest<axum::body::Body>> {
        let sender = self.sender.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        sender.as_ref().filter(|sender| !sender.is_closed()).cloned()
    }

    /// Bytes that are under way on it, as far as they are known.
    #[must_use]
    pub fn bytes_in_flight(&self) -> u64 {
        self.load.load(Ordering::Relaxed)
    }

    /// What its byte stream counts.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Takes no more requests; requests in flight end, then the connection does.
    pub fn drain(&self) {
        self.sender.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
    }

    /// Ends at once, with everything in flight.
    pub fn cut(&self) {
        self.drain();
        self.cut.cancel();
    }

    /// Whether it has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// Waits until the connection has ended.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.cut.cancel();
    }
}

//! One socket type for all connections, plain or TLS, so that an upgrade can hand it over.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A TCP connection, with TLS or without.
#[derive(Debug)]
pub struct Socket {
    kind: Kind,
    /// Bytes that were read and given back.
    unread: Bytes,
    /// Where bytes that are read are counted.
    counter: Option<Arc<AtomicU64>>,
}

#[derive(Debug)]
enum Kind {
    Plain(TcpStream),
    Accepted(Box<tokio_rustls::server::TlsStream<TcpStream>>),
    Dialled(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

impl From<TcpStream> for Socket {
    fn from(tcp: TcpStream) -> Self {
        Self::new(Kind::Plain(tcp))
    }
}

impl From<tokio_rustls::server::TlsStream<TcpStream>> for Socket {
    fn from(tls: tokio_rustls::server::TlsStream<TcpStream>) -> Self {
        Self::new(Kind::Accepted(Box::new(tls)))
    }
}

impl From<tokio_rustls::client::TlsStream<TcpStream>> for Socket {
    fn from(tls: tokio_rustls::client::TlsStream<TcpStream>) -> Self {
        Self::new(Kind::Dialled(Box::new(tls)))
    }
}

/// Calls the same method on whichever kind it is.
macro_rules! on_kind {
    ($socket:expr, $method:ident, $($argument:expr),*) => {
        match &mut $socket.get_mut().kind {
            Kind::Plain(tcp) => Pin::new(tcp).$method($($argument),*),
            Kind::Accepted(tls) => Pin::new(tls.as_mut()).$method($($argument),*),
            Kind::Dialled(tls) => Pin::new(tls.as_mut()).$method($($argument),*),
        }
    };
}

impl Socket {
    fn new(kind: Kind) -> Self {
        Self { kind, unread: Bytes::new(), counter: None }
    }

    /// Adds the bytes that are read from now on to `counter`.
    pub fn count_reads(&mut self, counter: Arc<AtomicU64>) {
        self.counter = Some(counter);
    }

    /// Sets what all accepted connections have.
    pub(crate) fn tune(tcp: &TcpStream, unsent_bytes: u32, unacknowledged: Duration) -> io::Result<()> {
        let socket = SockRef::from(tcp);
        socket.set_tcp_notsent_lowat(unsent_bytes)?;
        socket.set_tcp_user_timeout(Some(unacknowledged))
    }

    /// Reads behind what is unread already. Returns how much is unread then; 0 at the end of the stream.
    pub(crate) fn poll_read_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut space = [0; 1_024];
        let mut buf = ReadBuf::new(&mut space);
        ready!(on_kind!(Pin::new(&mut *self), poll_read, cx, &mut buf))?;
        if buf.filled().is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.unread = [self.unread.as_ref(), buf.filled()].concat().into();
        Poll::Ready(Ok(self.unread.len()))
    }

    /// Gives bytes back; they are read again first.
    pub(crate) fn unread(&mut self, bytes: Bytes) {
        self.unread = bytes;
    }

    /// Bytes that were given back and not read again.
    pub(crate) fn take_unread(&mut self) -> Bytes {
        std::mem::take(&mut self.unread)
    }

    /// The socket under an upgraded connection of our listener, and what was read from it already.
    ///
    /// # Errors
    /// The connection is not one of our listener's; it is given back.
    pub fn from_upgraded(upgraded: Upgraded) -> Result<(Self, Bytes), Upgraded> {
        let parts = upgraded.downcast::<TokioIo<Self>>()?;
        Ok((parts.io.into_inner(), parts.read_buf))
    }

    /// The TCP connection, also under TLS.
    #[must_use]
    pub fn tcp(&self) -> &TcpStream {
        match &self.kind {
            Kind::Plain(tcp) => tcp,
            Kind::Accepted(tls) => tls.get_ref().0,
            Kind::Dialled(tls) => tls.get_ref().0,
        }
    }

    /// The protocol that was chosen in the TLS handshake (RFC 7301).
    pub(crate) fn protocol(&self) -> Option<&[u8]> {
        match &self.kind {
            Kind::Accepted(tls) => tls.get_ref().1.alpn_protocol(),
            Kind::Plain(_) | Kind::Dialled(_) => None,
        }
    }

    /// Whether the connection is encrypted.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        !matches!(self.kind, Kind::Plain(_))
    }

    /// `TCP_NOTSENT_LOWAT`: how many bytes the kernel takes before they can be sent. What it holds is delay that nobody
    /// sees.
    ///
    /// # Errors
    /// The system refuses.
    pub fn set_notsent_lowat(&self, bytes: u32) -> io::Result<()> {
        SockRef::from(self.tcp()).set_tcp_notsent_lowat(bytes)
    }

    /// `TCP_USER_TIMEOUT`: how long sent bytes may stay unacknowledged before the connection is lost.
    ///
    /// # Errors
    /// The system refuses.
    pub fn set_user_timeout(&self, time: Duration) -> io::Result<()> {
        SockRef::from(self.tcp()).set_tcp_user_timeout(Some(time))
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.unread.is_empty() {
            let before = buf.filled().len();
            let this = self.get_mut();
            let read = on_kind!(Pin::new(&mut *this), poll_read, cx, buf);
            if let Some(counter) = &this.counter {
                counter.fetch_add(buf.filled().len().saturating_sub(before) as u64, Ordering::Relaxed);
            }
            return read;
        }
        let unread = &mut self.get_mut().unread;
        buf.put_slice(&unread.split_to(unread.len().min(buf.remaining())));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        on_kind!(self, poll_write, cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        on_kind!(self, poll_write_vectored, cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.kind {
            Kind::Plain(tcp) => tcp.is_write_vectored(),
            Kind::Accepted(tls) => tls.is_write_vectored(),
            Kind::Dialled(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_kind!(self, poll_flush, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_kind!(self, poll_shutdown, cx)
    }
}

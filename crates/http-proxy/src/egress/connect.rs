//! Connections to services, made as the whole workspace makes them.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use sluicegate_net::listener::Socket;
use sluicegate_net::tls::ClientTls;
use sluicegate_net::{Error, dial};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use url::Url;

use crate::fault::Fault;

/// Makes connections to one service.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    pub(crate) url: Url,
    pub(crate) tls: ClientTls,
    pub(crate) deadline: Duration,
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = Fault;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Fault>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Poll::Ready(Ok(()))
    }

    /// All requests of a connector go to its own service, so the URI adds nothing.
    fn call(&mut self, _: Uri) -> Self::Future {
        let Self { url, tls, deadline } = self.clone();
        Box::pin(async move {
            let socket = dial(&url, &tls, deadline).await.map_err(fault)?;
            Ok(TokioIo::new(Stream(socket)))
        })
    }
}

/// Which step of a connection failed. Names that do not resolve give errors without a code of the system, TLS gives
/// errors about data.
fn fault(error: Error) -> Fault {
    match error {
        Error::Timeout { deadline, .. } => Fault::ConnectTimeout { after: deadline },
        Error::Connect { source, .. } => match source.kind() {
            ErrorKind::ConnectionRefused => Fault::Refused { source },
            ErrorKind::InvalidData | ErrorKind::UnexpectedEof => Fault::Tls { source },
            _ if source.raw_os_error().is_some() => Fault::Unreachable { source },
            _ => Fault::Resolve { source },
        },
        other => Fault::Exchange { reason: other.to_string() },
    }
}

/// A connection to a service, as the client's pool wants it.
#[derive(Debug)]
pub(crate) struct Stream(Socket);

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, data)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }
}

//! What stands between the library that pulls and a server: the library speaks to a port of loopback, where its bytes are
//! passed on by TCP or TLS.
//!
//! The port is there for one connection, and for one who knows a number that is made for it: nobody else on this machine
//! gets to the server with the user's password. It is gone as soon as the library has come.

use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use sluicegate_net::tls::ClientTls;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use url::Url;

mod cutter;
mod head;
mod mend;
mod session;

use session::Session;

use crate::trust::{Connection, dial};
use crate::{Address, Error};

/// Bytes read at once from the server; media come in such pieces when it hurries.
const READ_BYTES: usize = 64 << 10;
/// Bytes read at once from the library, which says little.
const ASK_BYTES: usize = 2 << 10;
/// Either side is left when it takes nothing for this long.
const STALL: Duration = Duration::from_secs(15);
/// How long the server may take for the end of TLS.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// A connection to a server, for the library.
#[derive(Debug)]
pub(crate) struct Between {
    /// What the library asks for.
    pub(crate) url: Url,
    /// Why the connection has ended, where the library cannot know.
    ended: oneshot::Receiver<Error>,
}

impl Between {
    /// Connects to the server of `address`. `wait` is for each step until the library has come. The connection lasts as long
    /// as the library's, which says goodbye after the end of a pull.
    pub(crate) async fn start(address: &Address, tls: &ClientTls, wait: Duration) -> Result<Self, Error> {
        let server = dial(address, tls, wait).await?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let here = format!("rtsp://{}/{:032x}", listener.local_addr()?, rand::random::<u128>());
        let url = here.parse().map_err(|_| Error::Url)?;
        let (end, ended) = oneshot::channel();
        let address = address.clone();
        tokio::spawn(async move {
            let accepting = accept(listener, || Session::new(&address, &here));
            // Without the library there is nobody to tell.
            let Ok(Ok((library, session))) = tokio::time::timeout(wait, accepting).await else { return };
            run(library, server, session, end).await;
        });
        Ok(Self { url, ended })
    }

    /// Why the connection has ended, where the library cannot know.
    pub(crate) fn trouble(&mut self) -> Option<Error> {
        self.ended.try_recv().ok()
    }
}

/// Waits for the library. Others are sent away.
async fn accept(listener: TcpListener, session: impl Fn() -> Session) -> Result<(TcpStream, Session), Error> {
    loop {
        let (mut socket, _) = listener.accept().await?;
        let mut session = session();
        if begin(&mut socket, &mut session).await.is_ok() {
            return Ok((socket, session));
        }
    }
}

async fn begin(socket: &mut TcpStream, session: &mut Session) -> Result<(), Error> {
    socket.set_nodelay(true)?;
    while !session.has_begun() {
        let mut bytes = BytesMut::with_capacity(ASK_BYTES);
        if socket.read_buf(&mut bytes).await? == 0 {
            return Err(Error::Closed);
        }
        session.handle_library(bytes)?;
    }
    Ok(())
}

/// Passes bytes until one of the two ends. The reason is told before the library hears of the end.
async fn run(
    mut library: TcpStream,
    mut server: Box<dyn Connection>,
    mut session: Session,
    end: oneshot::Sender<Error>,
) {
    if let Err(error) = pass(&mut library, &mut server, &mut session).await {
        // A pull that is over does not listen.
        let _ = end.send(error);
    }
    let _ = tokio::time::timeout(CLOSE_WAIT, server.shutdown()).await;
}

async fn pass(library: &mut TcpStream, server: &mut Box<dyn Connection>, session: &mut Session) -> Result<(), Error> {
    let (mut heard, mut asked) = (BytesMut::new(), BytesMut::new());
    loop {
        put(server, || session.poll_server()).await?;
        if put(library, || session.poll_library()).await.is_err() {
            return Ok(());
        }
        heard.reserve(READ_BYTES);
        asked.reserve(ASK_BYTES);
        tokio::select! {
            read = server.read_buf(&mut heard) => match read {
                Ok(0) => return Ok(()),
                Ok(_) => session.handle_server(heard.split())?,
                // Many cameras end TLS without a word.
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(()),
                Err(error) => return Err(error.into()),
            },
            read = library.read_buf(&mut asked) => match read {
                Ok(count) if count > 0 => session.handle_library(asked.split())?,
                _ => return Ok(()),
            },
        }
    }
}

async fn put(to: &mut (impl AsyncWrite + Unpin), mut next: impl FnMut() -> Option<Bytes>) -> Result<(), Error> {
    let writing = async {
        while let Some(mut bytes) = next() {
            to.write_all_buf(&mut bytes).await?;
        }
        to.flush().await
    };
    let written = tokio::time::timeout(STALL, writing).await;
    Ok(written.map_err(|_| Error::Stalled { after: STALL })??)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_secs(10);

    async fn read(from: &mut TcpStream) -> String {
        let mut bytes = BytesMut::new();
        while !bytes.ends_with(b"\r\n\r\n") && from.read_buf(&mut bytes).await.unwrap() > 0 {}
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    async fn tried() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let at = server.local_addr().unwrap();
        let address = Address::parse(&format!("rtsp://{at}/main").parse().unwrap()).unwrap();
        let tls = ClientTls::insecure().unwrap();
        let mut between = Between::start(&address, &tls, WAIT).await.unwrap();
        let (mut camera, _) = server.accept().await.unwrap();
        let port = between.url.port().unwrap();
        let come = || TcpStream::connect((Ipv4Addr::LOCALHOST, port));
        // Who does not know the number hears nothing, and neither does the server.
        let mut stranger = come().await.unwrap();
        stranger.write_all(format!("DESCRIBE rtsp://127.0.0.1:{port}/main RTSP/1.0\r\n\r\n").as_bytes()).await.unwrap();
        assert_eq!(read(&mut stranger).await, "");
        let mut library = come().await.unwrap();
        let asked = format!("DESCRIBE {} RTSP/1.0\r\nCSeq: 1\r\n\r\n", between.url);
        library.write_all(asked.as_bytes()).await.unwrap();
        assert_eq!(read(&mut camera).await, format!("DESCRIBE rtsp://{at}/main RTSP/1.0\r\nCSeq: 1\r\n\r\n"));
        assert!(come().await.is_err(), "there is one connection only");
        // What the server says wrong is known here before the library sees the end.
        camera.write_all(b"RTSP/1.0 200 OK\r\nContent-Length: x\r\n\r\n").await.unwrap();
        assert_eq!(read(&mut library).await, "");
        let trouble = between.trouble().unwrap();
        assert!(matches!(trouble, Error::Wire(crate::Violation::Length)), "{trouble}");
        assert_eq!(read(&mut camera).await, "");
    }

    #[tokio::test]
    async fn the_port_is_for_the_library_alone() {
        tokio::time::timeout(WAIT, tried()).await.unwrap();
    }
}

//! Players of every kind, with as little behind them as tells that pictures come.

use sluicegate_rtc_driver::Connection;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::stage::Stage;
use crate::error::{Doing, Error};
use crate::fanout::UPGRADE;
use crate::viewer::Scanner;
use crate::webrtc::cycles;
use crate::{rtmp, rtsp};

/// Bytes read at once.
const BUFFER: usize = 32 << 10;

/// A way to watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Play {
    HttpFlv,
    WsFlv,
    HttpMp4,
    WsMp4,
    Rtmp,
    Rtsp,
    Whep,
}

impl Play {
    pub(super) const ALL: [Self; 7] =
        [Self::HttpFlv, Self::WsFlv, Self::HttpMp4, Self::WsMp4, Self::Rtmp, Self::Rtsp, Self::Whep];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::HttpFlv => "play HTTP-FLV",
            Self::WsFlv => "play WS-FLV",
            Self::HttpMp4 => "play MP4 by HTTP",
            Self::WsMp4 => "play MP4 by WebSocket",
            Self::Rtmp => "play RTMP",
            Self::Rtsp => "play RTSP",
            Self::Whep => "play WHEP",
        }
    }
}

/// What shows that a stream comes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shown {
    /// A picture of ours.
    Mark,
    /// So many bytes of a stream that others have made.
    Bytes(usize),
}

/// A player that is there; dropped, it is gone.
pub(super) enum Player {
    Socket(TcpStream),
    /// A session and its resource.
    Session(Box<Connection>, String),
}

impl Player {
    /// Asks for a stream.
    pub(super) async fn begin(stage: &Stage, by: Play, stream: &str) -> Result<Self, Error> {
        let address = stage.address();
        let (path, upgrade) = match by {
            Play::HttpFlv => (format!("/live/{stream}.flv"), ""),
            Play::WsFlv => (format!("/live/{stream}.flv"), UPGRADE),
            Play::HttpMp4 => (format!("/live/{stream}.mp4"), ""),
            Play::WsMp4 => (format!("/live/{stream}.mp4"), UPGRADE),
            Play::Rtmp => return ask(stage.rtmp(), &rtmp::request(stream)).await,
            Play::Rtsp => return ask(stage.rtsp(), &rtsp::request(stage.rtsp(), stream, 0)).await,
            Play::Whep => {
                let path = format!("/whep/{stream}");
                let (connection, location) = cycles::begin(address, &stage.driver, &path, false).await?;
                return Ok(Self::Session(Box::new(connection), location));
            }
        };
        ask(address, format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{upgrade}\r\n").as_bytes()).await
    }

    /// Waits until the stream has shown itself once more.
    pub(super) async fn shown(&mut self, what: Shown) -> Result<(), Error> {
        let socket = match self {
            Self::Session(connection, _) => return cycles::packet(connection).await,
            Self::Socket(socket) => socket,
        };
        let (mut scanner, mut buffer, mut count) = (Scanner::default(), vec![0; BUFFER], 0);
        loop {
            let length = socket.read(&mut buffer).await.doing("watching")?;
            let read = buffer.get(..length).filter(|read| !read.is_empty());
            let read = read.ok_or_else(|| Error::Answer(format!("the stream ended after {count} bytes")))?;
            count += length;
            let enough = match what {
                Shown::Mark => !scanner.scan(read).is_empty(),
                Shown::Bytes(wanted) => count >= wanted,
            };
            if enough {
                return Ok(());
            }
        }
    }

    /// Goes, with a goodbye where the protocol has one.
    pub(super) async fn leave(self, stage: &Stage) -> Result<(), Error> {
        match self {
            Self::Session(connection, location) => cycles::end(stage.address(), *connection, &location).await,
            Self::Socket(_) => Ok(()),
        }
    }
}

async fn ask(address: &str, request: &[u8]) -> Result<Player, Error> {
    let mut socket = TcpStream::connect(address).await.doing("connecting a player")?;
    socket.write_all(request).await.doing("asking for a stream")?;
    Ok(Player::Socket(socket))
}

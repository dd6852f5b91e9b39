//! Publishers of every kind.

use std::time::Duration;

use sluicegate_rtc_driver::Connection;
use sluicegate_rtc_driver::media::TrackId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::stage::Stage;
use crate::error::{Doing, Error};
use crate::fanout::UPGRADE;
use crate::publisher::{Sound, Tags, write_chunk};
use crate::rtsp::Packets;
use crate::webrtc::cycles;
use crate::{rtmp, rtsp};

/// Between two pictures.
const PICTURE: Duration = Duration::from_millis(40);
/// A final binary frame, masked, whose length takes eight bytes (RFC 6455 section 5.2).
const FRAME: [u8; 2] = [0x82, 0xff];
/// A mask that changes nothing.
const MASK: [u8; 4] = [0; 4];

/// A way to publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Publish {
    Http,
    Ws,
    Rtmp,
    Rtsp,
    Whip,
}

impl Publish {
    pub(super) const ALL: [Self; 5] = [Self::Http, Self::Ws, Self::Rtmp, Self::Rtsp, Self::Whip];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Http => "publish HTTP-FLV",
            Self::Ws => "publish WS-FLV",
            Self::Rtmp => "publish RTMP",
            Self::Rtsp => "publish RTSP",
            Self::Whip => "publish WHIP",
        }
    }
}

/// A publisher that is there; dropped, it is gone.
pub(super) enum Publisher {
    /// The measured stream as FLV, by RTMP or by RTSP.
    Stream(TcpStream, Publish, Tags, Packets),
    /// A session, its track and its resource.
    Session(Box<Connection>, TrackId, String),
}

impl Publisher {
    /// Begins to publish.
    pub(super) async fn begin(stage: &Stage, by: Publish, stream: &str) -> Result<Self, Error> {
        let address = stage.address();
        let tags = Tags::new(Sound::Aac);
        let request = match by {
            Publish::Http => {
                format!("POST /live/{stream}.flv HTTP/1.1\r\nHost: {address}\r\nTransfer-Encoding: chunked\r\n\r\n")
                    .into_bytes()
            }
            Publish::Ws => {
                format!("GET /live/{stream}.flv?publish=1 HTTP/1.1\r\nHost: {address}\r\n{UPGRADE}\r\n").into_bytes()
            }
            Publish::Rtmp => rtmp::announcement(stream),
            Publish::Rtsp => rtsp::announcement(stage.rtsp(), stream),
            Publish::Whip => {
                let path = format!("/whip/{stream}");
                let (mut connection, location) = cycles::begin(address, &stage.driver, &path, true).await?;
                let track = cycles::connected(&mut connection).await?;
                return Ok(Self::Session(Box::new(connection), track, location));
            }
        };
        let address = match by {
            Publish::Rtmp => stage.rtmp(),
            Publish::Rtsp => stage.rtsp(),
            _ => address,
        };
        let mut socket = TcpStream::connect(address).await.doing("connecting a publisher")?;
        socket.write_all(&request).await.doing("asking to publish")?;
        if by == Publish::Ws {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(socket.read_u8().await.doing("reading an answer")?);
            }
        }
        let mut packets = Packets::default();
        write(&mut socket, by, &tags.start(), &mut packets).await?;
        Ok(Self::Stream(socket, by, tags, packets))
    }

    /// Publishes until it is dropped.
    pub(super) async fn run(&mut self) -> Result<(), Error> {
        let mut ticks = tokio::time::interval(PICTURE);
        for number in 0.. {
            ticks.tick().await;
            match self {
                Self::Stream(socket, by, tags, packets) => write(socket, *by, &tags.next(), packets).await?,
                Self::Session(connection, track, _) => cycles::send(connection, *track, number)?,
            }
        }
        Ok(())
    }

    /// Goes, with a goodbye where the protocol has one.
    pub(super) async fn leave(self, stage: &Stage) -> Result<(), Error> {
        match self {
            Self::Session(connection, _, location) => cycles::end(stage.address(), *connection, &location).await,
            Self::Stream(..) => Ok(()),
        }
    }
}

/// Writes FLV in a protocol's own frame, or as what that protocol has instead.
async fn write(socket: &mut TcpStream, by: Publish, flv: &[u8], packets: &mut Packets) -> Result<(), Error> {
    match by {
        Publish::Ws => {
            let length = (flv.len() as u64).to_be_bytes();
            socket.write_all(&[&FRAME[..], &length, &MASK, flv].concat()).await.doing("publishing")
        }
        Publish::Rtsp => socket.write_all(&packets.of_tags(flv)).await.doing("publishing"),
        Publish::Rtmp => socket.write_all(&rtmp::messages(flv)).await.doing("publishing"),
        _ => write_chunk(socket, flv).await,
    }
}

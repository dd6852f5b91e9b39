//! One pull: describe, set up, play, publish.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use retina::client::{
    Credentials, Demuxed, Described, InitialTimestampPolicy, PlayOptions, Session, SessionIdPolicy, SessionOptions,
    SetupOptions, TcpTransportOptions, UdpTransportOptions,
};
use retina::codec::{CodecItem, FrameFormat};
use sluicegate_hub::{Ended, Publisher};
use sluicegate_net::tls::ClientTls;
use tokio::time::Instant;
use url::Url;

use crate::between::Between;
use crate::tracks::{Chosen, choose, encodings, expects};
use crate::{Address, Error, Transport, metrics};

const AGENT: &str = concat!("sluicegate/", env!("CARGO_PKG_VERSION"));
/// Faults in a row, without a frame between them, that end a pull. Lost packets cause one each.
const MAX_FAULTS: u32 = 50;

/// How a pull is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long the server may take for each answer, and to be reached. Default 10 s.
    pub answer: Duration,
    /// The pull ends when no frame comes for this long. Default 15 s; cameras that stall do not say so.
    pub silence: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { answer: Duration::from_secs(10), silence: Duration::from_secs(15) }
    }
}

impl Limits {
    async fn within<T>(
        &self,
        doing: &'static str,
        what: impl Future<Output = Result<T, retina::Error>>,
    ) -> Result<T, Error> {
        match tokio::time::timeout(self.answer, what).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(source)) => Err(Error::Protocol { doing, source: Box::new(source) }),
            Err(_) => Err(Error::Late { doing, after: self.answer }),
        }
    }
}

/// Publishes the stream at `url` until it ends, by TLS from servers that `tls` trusts or whose fingerprint the URL has. The
/// publisher is made when the server begins to send.
///
/// # Errors
/// The server cannot be reached, refuses, has nothing that can be carried, or falls silent; or the stream was cut here.
pub async fn pull(
    url: &Url,
    tls: &ClientTls,
    limits: Limits,
    publish: impl FnOnce() -> Result<Publisher, sluicegate_hub::Error>,
) -> Result<(), Error> {
    let address = Address::parse(url)?;
    // The library has panicked on an answer before. A camera must not end more than its own pull by that.
    AssertUnwindSafe(run(&address, tls, limits, publish)).catch_unwind().await.unwrap_or(Err(Error::Library))
}

async fn run(
    address: &Address,
    tls: &ClientTls,
    limits: Limits,
    publish: impl FnOnce() -> Result<Publisher, sluicegate_hub::Error>,
) -> Result<(), Error> {
    let mut opened = Opened::describe(address, address.transport, tls, &limits).await?;
    match opened.set_up(&limits).await {
        Err(error) if error.is_other_transport() && address.is_secure() => return Err(Error::DatagramsOnly),
        Err(error) if error.is_other_transport() => {
            let by = address.transport.other();
            tracing::info!(?by, "the server does not send by the way that was asked for; trying the other");
            // The connection before ends afterwards: a server that takes the stream down between the two refuses.
            let mut other = Opened::describe(address, by, tls, &limits).await?;
            other.set_up(&limits).await?;
            opened = other;
        }
        done => done?,
    }
    let Opened { session, chosen, mut between, .. } = opened;
    let done = play(session, chosen, &limits, publish).await;
    between.as_mut().and_then(Between::trouble).map_or(done, Err)
}

/// A stream that the server has described.
struct Opened {
    session: Session<Described>,
    chosen: Vec<Chosen>,
    by: Transport,
    /// Where media come on the connection. Datagrams have to come to the library itself, which then speaks to the server
    /// itself.
    between: Option<Between>,
}

impl Opened {
    async fn describe(address: &Address, by: Transport, tls: &ClientTls, limits: &Limits) -> Result<Self, Error> {
        // Some cameras give each track a session's number of its own, and mean the first.
        let options = SessionOptions::default().user_agent(AGENT.to_owned()).session_id(SessionIdPolicy::UseFirst);
        let (url, options, mut between) = if by == Transport::Udp {
            let credentials =
                address.credentials.clone().map(|(username, password)| Credentials { username, password });
            (address.url.clone(), options.creds(credentials), None)
        } else {
            let between = Between::start(address, tls, limits.answer).await?;
            (between.url.clone(), options, Some(between))
        };
        let described = limits.within("asking for the stream", Session::describe(url, options)).await;
        let session = described.map_err(|error| between.as_mut().and_then(Between::trouble).unwrap_or(error))?;
        let chosen = choose(session.streams());
        if chosen.is_empty() {
            return Err(Error::Unusable { found: encodings(session.streams()) });
        }
        Ok(Self { session, chosen, by, between })
    }

    async fn set_up(&mut self, limits: &Limits) -> Result<(), Error> {
        let Self { session, chosen, by, between } = self;
        if chosen.len() < session.streams().len() {
            let found = encodings(session.streams());
            tracing::info!(found, taken = ?chosen.iter().map(|track| track.codec.name()).collect::<Vec<_>>(), "a part is left out");
        }
        for track in chosen {
            let done = set_up_track(session, track, *by, limits).await;
            done.map_err(|error| between.as_mut().and_then(Between::trouble).unwrap_or(error))?;
        }
        Ok(())
    }
}

async fn set_up_track(
    session: &mut Session<Described>,
    track: &Chosen,
    transport: Transport,
    limits: &Limits,
) -> Result<(), Error> {
    let transport = match transport {
        Transport::Tcp => retina::client::Transport::Tcp(TcpTransportOptions::default()),
        Transport::Udp => retina::client::Transport::Udp(UdpTransportOptions::default()),
    };
    let how = SetupOptions::default().transport(transport).frame_format(FrameFormat::MP4);
    limits.within("setting up the stream", session.setup(track.index, how)).await
}

async fn play(
    session: Session<Described>,
    mut chosen: Vec<Chosen>,
    limits: &Limits,
    publish: impl FnOnce() -> Result<Publisher, sluicegate_hub::Error>,
) -> Result<(), Error> {
    // Cameras that tell no start of their media are played all the same; these start with their first packet.
    let how = PlayOptions::default().initial_timestamp(InitialTimestampPolicy::Permissive);
    let session = limits.within("starting the stream", session.play(how)).await?;
    let demuxed = session.demuxed();
    let mut media =
        demuxed.map_err(|source| Error::Protocol { doing: "taking the stream apart", source: Box::new(source) })?;
    let publisher = publish()?;
    publisher.expect(expects(&chosen));
    metrics::pulled();
    feed(&mut media, &mut chosen, &publisher, limits).await
}

async fn feed(media: &mut Demuxed, chosen: &mut [Chosen], publisher: &Publisher, limits: &Limits) -> Result<(), Error> {
    let (mut progress, mut faults) = (Instant::now(), 0_u32);
    let closed = publisher.closed();
    tokio::pin!(closed);
    loop {
        let item = tokio::select! {
            item = tokio::time::timeout_at(progress + limits.silence, media.next()) => item,
            reason = &mut closed => return Err(sluicegate_hub::Error::from(Ended { reason }).into()),
        };
        let frames = match item {
            Err(_) => return Err(Error::Silent { after: limits.silence }),
            Ok(None) => return Ok(()),
            Ok(Some(Ok(item))) => frames(media, chosen, item),
            Ok(Some(Err(source))) => {
                // A lost or damaged packet costs a frame; a connection that is lost says so again at once.
                metrics::fault();
                faults += 1;
                if faults == 1 {
                    tracing::warn!(error = %source, "a part of the stream cannot be used");
                }
                if faults >= MAX_FAULTS {
                    return Err(Error::Protocol { doing: "reading the stream", source: Box::new(source) });
                }
                continue;
            }
        };
        for frame in frames {
            publisher.push(frame)?;
            (progress, faults) = (Instant::now(), 0);
        }
    }
}

fn frames(media: &Demuxed, chosen: &mut [Chosen], item: CodecItem) -> Vec<sluicegate_media::Frame> {
    match item {
        CodecItem::VideoFrame(frame) => {
            let stream = media.streams().get(frame.stream_id());
            let track = chosen.iter_mut().find(|track| track.index == frame.stream_id());
            track.map(|track| track.picture(stream, frame)).unwrap_or_default()
        }
        CodecItem::AudioFrame(frame) => {
            let stream = media.streams().get(frame.stream_id());
            let track = chosen.iter_mut().find(|track| track.index == frame.stream_id());
            track.map(|track| track.sound(stream, &frame)).unwrap_or_default()
        }
        _ => Vec::new(),
    }
}

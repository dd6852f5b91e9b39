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
use tokio::time::Instant;
use url::Url;

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

/// Publishes the stream at `url` until it ends. The publisher is made when the server begins to send.
///
/// # Errors
/// The server cannot be reached, refuses, has nothing that can be carried, or falls silent; or the stream was cut here.
pub async fn pull(
    url: &Url,
    limits: Limits,
    publish: impl FnOnce() -> Result<Publisher, sluicegate_hub::Error>,
) -> Result<(), Error> {
    // The library panics on some answers, such as a session's number with a space behind it. A camera must not end more
    // than its own pull by that.
    AssertUnwindSafe(run(url, limits, publish)).catch_unwind().await.unwrap_or(Err(Error::Library))
}

async fn run(
    url: &Url,
    limits: Limits,
    publish: impl FnOnce() -> Result<Publisher, sluicegate_hub::Error>,
) -> Result<(), Error> {
    let address = Address::parse(url)?;
    let credentials = address.credentials.map(|(username, password)| Credentials { username, password });
    // Some cameras give each track a session's number of its own, and mean the first.
    let options = SessionOptions::default().creds(credentials).user_agent(AGENT.to_owned());
    let options = options.session_id(SessionIdPolicy::UseFirst);
    let describing = Session::describe(address.url, options);
    let mut session = limits.within("asking for the stream", describing).await?;
    let mut chosen = choose(session.streams());
    if chosen.is_empty() {
        return Err(Error::Unusable { found: encodings(session.streams()) });
    }
    set_up(&mut session, &chosen, address.transport, &limits).await?;
    // Cameras that tell no start of their media are played all the same; these start with their first packet.
    let how = PlayOptions::default().initial_timestamp(InitialTimestampPolicy::Permissive);
    let session = limits.within("starting the stream", session.play(how)).await?;
    let demuxed = session.demuxed();
    let mut media =
        demuxed.map_err(|source| Error::Protocol { doing: "taking the stream apart", source: Box::new(source) })?;
    let publisher = publish()?;
    publisher.expect(expects(&chosen));
    metrics::pulled();
    feed(&mut media, &mut chosen, &publisher, &limits).await
}

async fn set_up(
    session: &mut Session<Described>,
    chosen: &[Chosen],
    transport: Transport,
    limits: &Limits,
) -> Result<(), Error> {
    if chosen.len() < session.streams().len() {
        let found = encodings(session.streams());
        tracing::info!(found, taken = ?chosen.iter().map(|track| track.codec.name()).collect::<Vec<_>>(), "a part is left out");
    }
    let mut by = transport;
    for (place, track) in chosen.iter().enumerate() {
        let first = place == 0;
        match set_up_track(session, track, by, limits).await {
            Err(error) if first && error.is_other_transport() => {
                by = by.other();
                tracing::info!(?by, "the server does not send by the way that was asked for; trying the other");
                set_up_track(session, track, by, limits).await?;
            }
            done => done?,
        }
    }
    Ok(())
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

//! The end that frames come from.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sluicegate_media::{Frame, Kind, Tracks};
use tokio::sync::watch;

use crate::hub::Shared;
use crate::stream::{Seat, Stream};
use crate::{Error, Owner, Reason, StreamName, metrics};

/// Which kinds of track a publisher announces; viewers start when they are there, or after a short while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Expects {
    /// There will be pictures.
    pub video: bool,
    /// There will be sound.
    pub audio: bool,
}

impl Expects {
    /// Pictures and sound; what is assumed of a publisher that announces nothing.
    pub const BOTH: Self = Self { video: true, audio: true };
    /// Pictures alone.
    pub const VIDEO: Self = Self { video: true, audio: false };
    /// Sound alone.
    pub const AUDIO: Self = Self { video: false, audio: true };

    pub(crate) fn met_by(self, tracks: &Tracks) -> bool {
        let met = |announced: bool, kind| !announced || tracks.has(kind);
        met(self.video, Kind::Video) && met(self.audio, Kind::Audio) && !tracks.is_empty()
    }
}

impl Default for Expects {
    fn default() -> Self {
        Self::BOTH
    }
}

/// How somebody publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// The protocol, for the API and metrics.
    pub kind: &'static str,
    /// Where it connects from.
    pub address: Option<SocketAddr>,
    /// The site that it is; only this one may publish a name that the site offers.
    pub owner: Option<Owner>,
    /// What it announces.
    pub expects: Expects,
    /// Whether it takes the place of a live publisher instead of being refused.
    pub replace: bool,
    /// How long viewers wait for what it announces, once the first of it has come; `Config::settle_span` without it. For
    /// announcements that are not mere assumptions, such as agreed media sections.
    pub patience: Option<Duration>,
}

impl Publish {
    /// A publisher by protocol `kind` that announces nothing and replaces nobody.
    #[must_use]
    pub fn by(kind: &'static str) -> Self {
        Self { kind, address: None, owner: None, expects: Expects::default(), replace: false, patience: None }
    }

    /// The same, announcing these kinds of track.
    #[must_use]
    pub fn expecting(self, expects: Expects) -> Self {
        Self { expects, ..self }
    }

    /// The same, as this site.
    #[must_use]
    pub fn owned_by(self, owner: Owner) -> Self {
        Self { owner: Some(owner), ..self }
    }

    /// The same, from this address.
    #[must_use]
    pub fn from_address(self, address: SocketAddr) -> Self {
        Self { address: Some(address), ..self }
    }
}

/// The one publisher of a stream.
///
/// Dropping it means that it is away: viewers are kept for [`Config::publisher_away`](crate::Config::publisher_away)
/// and go on when somebody publishes the name again. [`Publisher::finish`] ends the stream at once, and so does dropping
/// it while nobody watches.
#[derive(Debug)]
pub struct Publisher {
    shared: Arc<Shared>,
    stream: Arc<Stream>,
    id: u64,
    closed: watch::Receiver<Option<Reason>>,
}

impl Publisher {
    pub(crate) fn new(shared: Arc<Shared>, stream: Arc<Stream>, seat: Seat) -> Self {
        metrics::publisher_began();
        Self { shared, stream, id: seat.id, closed: seat.closed }
    }

    /// The stream.
    #[must_use]
    pub fn name(&self) -> &StreamName {
        &self.stream.name
    }

    /// Announces tracks that are to come, as a file header does.
    pub fn expect(&self, expects: Expects) {
        self.stream.expect(self.id, expects);
    }

    /// Appends a frame. It is seen by viewers when its batch is complete.
    ///
    /// # Errors
    /// [`Error::Ended`] when the stream was cut or the publisher replaced; [`Error::Configuration`] for a decoder
    /// configuration that cannot be read, after which the caller ends its connection.
    pub fn push(&self, frame: Frame) -> Result<(), Error> {
        if let Some(reason) = *self.closed.borrow() {
            return Err(crate::Ended { reason }.into());
        }
        metrics::frame(frame.payload.len() as u64);
        self.stream.push(self.id, frame)
    }

    /// Waits until the stream is cut or this publisher is replaced.
    pub async fn closed(&self) -> Reason {
        let mut closed = self.closed.clone();
        let reason = closed.wait_for(Option::is_some).await.ok().and_then(|reason| *reason);
        reason.unwrap_or(Reason::Finished)
    }

    /// Changes when a viewer needs a key frame. A publisher whose source can be asked for one asks, not too often.
    #[must_use]
    pub fn key_frames_wanted(&self) -> watch::Receiver<u64> {
        self.stream.key_frames_wanted()
    }

    /// Ends the stream for its viewers at once.
    pub fn finish(self) {
        if self.stream.unseat(self.id) {
            self.stream.end_if_away(self.id, Reason::Finished);
        }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        metrics::publisher_left();
        if self.stream.unseat(self.id) {
            self.shared.end_later(&self.stream, self.id);
        }
        self.shared.forget_if_idle(&self.stream);
    }
}

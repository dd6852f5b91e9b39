//! What this crate asks of a WebRTC engine. The program that has both puts them together.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;

use sluicegate_hub::StreamName;
use tokio::sync::mpsc;

pub use crate::client::Media as Kinds;
use crate::info;
use crate::message::Role;
pub use crate::server::End;

/// What an engine's operation comes to.
pub type MediaFuture<T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send>>;
/// Takes a server's answer to our offer.
pub type Accept = Box<dyn FnOnce(String) -> MediaFuture<()> + Send>;

/// A WebRTC engine over the hub.
pub trait Media: Send + Sync + 'static {
    /// Answers a client that publishes the stream or plays it.
    fn answer(&self, role: Role, stream: StreamName, offer: String, peer: Option<SocketAddr>) -> MediaFuture<Answer>;

    /// Makes an offer to publish a stream of the hub elsewhere, or to play one from elsewhere into the hub.
    fn offer(&self, role: Role, stream: StreamName) -> MediaFuture<Offer>;
}

/// The answer to a client.
#[derive(Debug)]
pub struct Answer {
    /// The description, with all candidates.
    pub sdp: String,
    /// Its media.
    pub leg: Leg,
}

/// Our offer to a server.
pub struct Offer {
    /// The description, with all candidates.
    pub sdp: String,
    /// What it has.
    pub kinds: Kinds,
    /// Takes the answer.
    pub accept: Accept,
    /// Its media.
    pub leg: Leg,
}

impl fmt::Debug for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offer").field("kinds", &self.kinds).finish_non_exhaustive()
    }
}

/// One WebRTC session. Dropping it ends the session in order: viewers of what it publishes end too, at once.
pub struct Leg {
    /// What becomes of it; the end of the channel is the end of the session.
    pub events: mpsc::Receiver<Event>,
    /// Whatever keeps it alive.
    pub guard: Box<dyn Any + Send>,
}

impl fmt::Debug for Leg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leg").finish_non_exhaustive()
    }
}

/// What becomes of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Keys are agreed and media flows.
    Connected,
    /// It is over.
    Ended(Failure),
}

/// Why a session is over, or never was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What the peer is told.
    pub end: End,
    /// What the log is told.
    pub detail: String,
}

impl Failure {
    /// Something went wrong.
    #[must_use]
    pub fn failed(info: &'static str, detail: impl Into<String>) -> Self {
        Self { end: End { in_order: false, info }, detail: detail.into() }
    }

    /// It ended as things do.
    #[must_use]
    pub fn ended(info: &'static str, detail: impl Into<String>) -> Self {
        Self { end: End { in_order: true, info }, detail: detail.into() }
    }

    /// The end of a session that says no more.
    pub(crate) fn silent() -> Self {
        Self::failed(info::FAILED, "the session is gone")
    }
}

//! A session under way, as its maker sees it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sluicegate_hub::{Reason, StreamName};
use sluicegate_rtc_driver::{CloseReason, Handle};
use tokio::sync::watch;

use crate::Error;
use crate::fragment::Fragment;

/// How far a session has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// Descriptions are exchanged; the transport is being set up.
    Connecting,
    /// Media flows: the publisher's first packet has come, or the viewer is connected.
    Live,
    /// It is over.
    Ended(Ending),
}

/// Why a session is over.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// The transport ended: by either side, or because the peer was lost or never came.
    Transport(CloseReason),
    /// The stream ended for this publisher or viewer.
    Stream(Reason),
    /// It could not go on.
    Failed(String),
}

impl Ending {
    /// The name under which it is counted.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Transport(reason) => reason.name(),
            Self::Stream(_) => "stream_ended",
            Self::Failed(_) => "failed",
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transport(reason) => formatter.write_str(match reason {
                CloseReason::Local => "closed here",
                CloseReason::Peer => "closed by the peer",
                CloseReason::Vanished => "the peer is gone",
                CloseReason::NoAnswer => "the peer did not answer",
                CloseReason::NoPath => "no path to the peer was found",
                CloseReason::Handshake => "no keys could be agreed with the peer",
                other => other.name(),
            }),
            Self::Stream(reason) => reason.fmt(formatter),
            Self::Failed(why) => formatter.write_str(why),
        }
    }
}

/// What an ICE restart needs of the exchange before.
#[derive(Debug)]
struct Exchange {
    /// The peer's last offer; empty for a session that we offered.
    offer: String,
    /// Counts exchanges; the entity tag.
    version: u64,
}

/// A session. Clones share it; it goes on without any, until it ends or is closed.
#[derive(Debug, Clone)]
pub struct Session(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    id: String,
    name: StreamName,
    handle: Handle,
    stage: watch::Sender<Stage>,
    exchange: Mutex<Exchange>,
    /// Bits per second; zero while nothing limits.
    estimate: AtomicU64,
}

impl Session {
    pub(crate) fn new(name: StreamName, handle: Handle, offer: String) -> Self {
        // 128 random bits: who knows them may end the session.
        let id = format!("{:032x}", rand::random::<u128>());
        let (stage, exchange) = (watch::Sender::new(Stage::Connecting), Mutex::new(Exchange { offer, version: 1 }));
        Self(Arc::new(Shared { id, name, handle, stage, exchange, estimate: AtomicU64::new(0) }))
    }

    /// Its name in paths, 32 hexadecimal digits that nobody can guess.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The stream.
    #[must_use]
    pub fn name(&self) -> &StreamName {
        &self.0.name
    }

    /// How far it has come, and when that changes.
    #[must_use]
    pub fn stage(&self) -> watch::Receiver<Stage> {
        self.0.stage.subscribe()
    }

    /// Bits per second that a viewer's path carries, told from its receiver reports; `None` while nothing shows that it
    /// carries less than the stream, and for publishers.
    #[must_use]
    pub fn estimate(&self) -> Option<u64> {
        Some(self.0.estimate.load(Ordering::Relaxed)).filter(|rate| *rate > 0)
    }

    pub(crate) fn set_estimate(&self, rate: Option<u64>) {
        self.0.estimate.store(rate.unwrap_or_default(), Ordering::Relaxed);
    }

    /// Waits until media flows.
    ///
    /// # Errors
    /// The session ended before.
    pub async fn live(&self) -> Result<(), Ending> {
        let mut stage = self.stage();
        let seen = stage.wait_for(|stage| *stage != Stage::Connecting).await;
        match seen.as_deref() {
            Ok(Stage::Ended(ending)) => Err(ending.clone()),
            _ => Ok(()),
        }
    }

    /// Waits until it is over.
    pub async fn ended(&self) -> Ending {
        let mut stage = self.stage();
        let seen = stage.wait_for(|stage| matches!(stage, Stage::Ended(_))).await;
        match seen.as_deref() {
            Ok(Stage::Ended(ending)) => ending.clone(),
            // The sender lives in `self`.
            _ => Ending::Transport(CloseReason::Local),
        }
    }

    /// Ends it; the peer is told.
    pub fn close(&self) {
        self.0.handle.close();
    }

    pub(crate) fn is_ended(&self) -> bool {
        matches!(*self.0.stage.borrow(), Stage::Ended(_))
    }

    pub(crate) fn went_live(&self) {
        self.0.stage.send_if_modified(|stage| {
            let waited = *stage == Stage::Connecting;
            if waited {
                *stage = Stage::Live;
            }
            waited
        });
    }

    pub(crate) fn end(&self, ending: Ending) {
        self.0.handle.close();
        self.0.stage.send_replace(Stage::Ended(ending));
    }

    fn exchange(&self) -> MutexGuard<'_, Exchange> {
        self.0.exchange.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The entity tag of the ICE session (RFC 9725 section 4.3.1).
    pub(crate) fn etag(&self) -> String {
        format!("\"{}\"", self.exchange().version)
    }

    /// Takes trickled candidates.
    pub(crate) async fn trickle(&self, fragment: &Fragment) -> Result<(), Error> {
        for candidate in &fragment.candidates {
            self.0.handle.add_candidate(candidate.as_str()).await?;
        }
        Ok(())
    }

    /// Restarts ICE with the peer's new credentials, and returns ours.
    pub(crate) async fn restart(&self, fragment: &Fragment) -> Result<Fragment, Error> {
        let offer = fragment.applied_to(&self.exchange().offer);
        let answer = self.0.handle.accept_offer(offer.clone()).await?;
        let mut exchange = self.exchange();
        (exchange.offer, exchange.version) = (offer, exchange.version + 1);
        Ok(Fragment::of(&answer))
    }
}

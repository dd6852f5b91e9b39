//! Viewers that count what comes, a few of which decrypt it and look for the marks of pictures.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sluicegate_rtc_driver::{Event, State};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::http;
use super::peer::Peer;
use crate::error::Error;
use crate::publisher::{Clock, MARKED, marked};

/// From the offer to the connection, at most.
const CONNECT: Duration = Duration::from_secs(10);
/// Where the mark of a picture stands in its first packet, at most.
const HEAD: usize = 64;

/// What all viewers of a run have seen together.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Bytes of RTP, encrypted.
    pub(super) bytes: AtomicU64,
    received: AtomicU64,
    expected: AtomicU64,
    connected: Mutex<Vec<f64>>,
    first: Mutex<Vec<f64>>,
    latencies: Mutex<Vec<f64>>,
}

fn push(to: &Mutex<Vec<f64>>, value: Duration) {
    to.lock().unwrap_or_else(PoisonError::into_inner).push(value.as_secs_f64() * 1_000.0);
}

fn take(from: &Mutex<Vec<f64>>) -> Vec<f64> {
    std::mem::take(&mut *from.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Seen {
    /// Packets that did not come; what is still to come out of order is among them.
    pub(super) fn lost(&self) -> u64 {
        self.expected.load(Ordering::Relaxed).saturating_sub(self.received.load(Ordering::Relaxed))
    }

    /// Milliseconds from each offer to its connection.
    pub(super) fn take_connected(&self) -> Vec<f64> {
        take(&self.connected)
    }

    /// Milliseconds from each offer to the end of its first picture.
    pub(super) fn take_first(&self) -> Vec<f64> {
        take(&self.first)
    }

    /// Milliseconds from the publisher's write to the last packet of each picture, at the viewers that decrypt.
    pub(super) fn take_latencies(&self) -> Vec<f64> {
        take(&self.latencies)
    }
}

/// All viewers of a run; they end when this is dropped.
pub(super) struct Viewers {
    address: String,
    clock: Clock,
    seen: Arc<Seen>,
    tasks: JoinSet<()>,
}

impl Viewers {
    pub(super) fn new(address: String, clock: Clock, seen: Arc<Seen>) -> Self {
        Self { address, clock, seen, tasks: JoinSet::new() }
    }

    /// Adds a viewer of a stream and waits for its connection.
    pub(super) async fn join(&mut self, stream: &str, decrypts: bool) -> Result<(), Error> {
        let (mut peer, offer) = Peer::viewer()?;
        let begun = Instant::now();
        let (_, answer) = http::offer(&self.address, &format!("/whep/{stream}"), &offer).await?;
        peer.accept(&answer)?;
        let (told, connected) = oneshot::channel();
        let clock = decrypts.then(|| self.clock.clone());
        let watch = Watch { begun, clock, seen: Arc::clone(&self.seen), sources: Vec::new(), pictures: false };
        self.tasks.spawn(watch.run(peer, told));
        let connected = tokio::time::timeout(CONNECT, connected).await;
        match connected {
            Ok(Ok(())) => Ok(()),
            _ => Err(Error::Answer(format!("a viewer was not connected within {} s", CONNECT.as_secs()))),
        }
    }
}

/// One viewer.
struct Watch {
    begun: Instant,
    /// With it the viewer decrypts.
    clock: Option<Clock>,
    seen: Arc<Seen>,
    /// The newest sequence number of each source.
    sources: Vec<(u32, u16)>,
    pictures: bool,
}

impl Watch {
    async fn run(mut self, mut peer: Peer, told: oneshot::Sender<()>) {
        let (mut told, mut picture) = (Some(told), None);
        let (seen, begun, clock) = (Arc::clone(&self.seen), self.begun, self.clock.clone());
        loop {
            let event = |now: Instant, event: Event| match event {
                Event::State(State::Connected) => {
                    push(&seen.connected, now - begun);
                    if let Some(told) = told.take() {
                        // Whoever waited may have given up.
                        let _ = told.send(());
                    }
                }
                Event::Rtp { packet, .. } => {
                    picture = mark(&packet.payload).or(picture);
                    if let (true, Some(clock)) = (packet.marker, &clock)
                        && let Some(age) = picture.take().and_then(|number| clock.age(number, now))
                    {
                        push(&seen.latencies, age);
                    }
                }
                _ => {}
            };
            peer.turn(|now, data| self.count(now, data), event).await;
        }
    }

    /// Counts an encrypted packet; its head is readable. Tells whether the session is to have it.
    fn count(&mut self, now: Instant, data: &[u8]) -> bool {
        let [_, kind, high, low, _, _, _, _, a, b, c, d, ..] = *data else { return true };
        let (sequence, source) = (u16::from_be_bytes([high, low]), u32::from_be_bytes([a, b, c, d]));
        self.seen.bytes.fetch_add(data.len() as u64, Ordering::Relaxed);
        self.seen.received.fetch_add(1, Ordering::Relaxed);
        let mut new = 1;
        match self.sources.iter_mut().find(|(known, _)| *known == source) {
            Some((_, last)) => {
                let ahead = sequence.wrapping_sub(*last);
                new = if ahead.cast_signed() > 0 { u64::from(ahead) } else { 0 };
                *last = if new > 0 { sequence } else { *last };
            }
            None => self.sources.push((source, sequence)),
        }
        self.seen.expected.fetch_add(new, Ordering::Relaxed);
        if kind & 0x80 != 0 && !self.pictures {
            self.pictures = true;
            push(&self.seen.first, now - self.begun);
        }
        self.clock.is_some()
    }
}

/// The number of the picture that begins in a packet.
fn mark(payload: &[u8]) -> Option<u64> {
    let head = payload.get(..HEAD.min(payload.len()))?;
    head.windows(MARKED).find_map(marked)
}

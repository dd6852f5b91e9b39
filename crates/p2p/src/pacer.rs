//! How fast chunks go to a peer: a window over what it has not acknowledged, and a pace.
//!
//! A burst that a peer's socket buffer does not hold costs a second, because SCTP waits that long before it repeats the
//! last packets of a burst. And what waits longer than the channel's packet lifetime of 2 s is never sent. So peers nearby
//! get a small window and an even pace, and others what they were seen to drain in [`Limits::drain`]. Where several
//! connections go to a browser, each has a socket there and gets no more than that holds, so that nothing is lost at its
//! end, however late it is read. Instants in, verdicts out.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Bytes of a chunk's message; no window is smaller.
const MESSAGE: usize = crate::chunk::CHUNK_LENGTH + crate::chunk::HEADER_LENGTH;
/// How long the drain rate is measured at a time.
const SAMPLE: Duration = Duration::from_millis(200);
/// Round trips of which the least counts: one comes each second, and a busy host delays some of them.
const ROUND_TRIPS: usize = 8;
/// Where several connections go to one peer, the window of each covers so much time, or two round trips: what waits on one
/// cannot go by another that is quicker, and a segment is complete when the slowest has sent its part.
const SHARED_DRAIN: Duration = Duration::from_millis(200);
/// What a connection of which nothing is known yet is taken to drain, in bytes a second.
const UNKNOWN: f64 = 250_000.0;
/// How much of a pause a pacer makes good, in time: timers come up to a millisecond late. Beyond it one message goes out
/// at once, which keeps bursts near 48 KiB.
const CATCH_UP: Duration = Duration::from_micros(1_500);

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A browser, or somebody unknown: small socket buffers.
    Browser,
    /// Another WebRTC stack that is no browser, with the host's default buffers, but a reader that is quick.
    Stack,
    /// A node of ours.
    Node {
        /// Bytes that it can take in one burst, as it says.
        window: u32,
    },
}

/// Numbers of the pacer. The defaults were measured with Chromium on the same host.
#[derive(Debug, Clone)]
pub struct Limits {
    /// A peer with a smaller round trip is near. Default 5 ms.
    pub near: Duration,
    /// Unacknowledged bytes to a near browser, and on each of several connections to a far one. Default 64 KiB: one
    /// message and a little, which the 128 KiB of its socket hold as datagrams. On a busy host 128 KiB makes it stall for
    /// a second now and then, 1 MiB always.
    pub near_window: usize,
    /// Likewise to another stack. Default 96 KiB: what the 208 KiB of a Linux socket hold.
    pub stack_window: usize,
    /// Pace to a near browser in bytes a second. Default 150 Mbit/s.
    pub near_rate: u64,
    /// The window to others covers so much time at the measured drain rate. Default 0.8 s, well below a lifetime of 2 s.
    pub drain: Duration,
    /// The window to others before anything was measured, and where it is not measured to be less. Default 128 KiB.
    pub least: usize,
    /// The window to others, at most: throughput is this by round trip. Default 2 MiB; a peer can make us hold this much.
    pub most: usize,
    /// Bytes a second to each peer, for [`Share`]. Default none.
    pub peer_rate: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            near: Duration::from_millis(5),
            near_window: 64 << 10,
            stack_window: 96 << 10,
            near_rate: 150_000_000 / 8,
            drain: Duration::from_millis(800),
            least: 128 << 10,
            most: 2 << 20,
            peer_rate: None,
        }
    }
}

/// Whether a message may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Now.
    Send,
    /// At that instant.
    At(Instant),
    /// When no more than so many bytes are unacknowledged.
    Below(usize),
}

/// The pace to one peer.
#[derive(Debug)]
pub struct Pacer {
    limits: Limits,
    kind: Kind,
    /// Whether there are other connections to the same peer.
    shared: bool,
    round_trips: VecDeque<Duration>,
    /// Bytes a second that the peer acknowledged while there was always something to acknowledge.
    drain: Option<f64>,
    /// When the sample under way began, and what was acknowledged by then.
    sample: Option<(Instant, u64)>,
    sent: u64,
    /// When the pace allows the next message.
    next: Option<Instant>,
}

impl Pacer {
    /// The pace to a peer of whom nothing is known yet.
    #[must_use]
    pub fn new(limits: Limits, kind: Kind) -> Self {
        let round_trips = VecDeque::with_capacity(ROUND_TRIPS);
        Self { limits, kind, shared: false, round_trips, drain: None, sample: None, sent: 0, next: None }
    }

    /// Tells who is at the other end.
    pub fn set_kind(&mut self, kind: Kind) {
        self.kind = kind;
    }

    /// Who is at the other end.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Tells a measured round trip.
    pub fn handle_round_trip(&mut self, round_trip: Duration) {
        if self.round_trips.len() == ROUND_TRIPS {
            self.round_trips.pop_front();
        }
        self.round_trips.push_back(round_trip);
    }

    /// Tells whether other connections go to the same peer.
    pub fn set_shared(&mut self, shared: bool) {
        self.shared = shared;
    }

    /// The round trip to a peer that is not near.
    #[must_use]
    pub fn far(&self) -> Option<Duration> {
        self.round_trips.iter().min().copied().filter(|least| *least >= self.limits.near)
    }

    /// A peer that was not measured is treated as one nearby: that fits both.
    fn is_near(&self) -> bool {
        self.far().is_none()
    }

    /// Bytes that the peer has acknowledged so far, where it has not acknowledged `buffered`.
    #[must_use]
    pub fn acknowledged(&self, buffered: usize) -> u64 {
        self.sent.saturating_sub(buffered as u64)
    }

    /// In how many seconds so many bytes are through, as far as is known; for choosing among connections.
    #[must_use]
    pub fn seconds(&self, bytes: usize) -> f64 {
        bytes as f64 / self.drain.unwrap_or(UNKNOWN).max(1.0)
    }

    /// Tells how many bytes the peer has not acknowledged.
    pub fn handle_buffered(&mut self, now: Instant, buffered: usize) {
        let acknowledged = self.acknowledged(buffered);
        if buffered == 0 {
            // What the peer could do beyond this is not known.
            self.sample = None;
            return;
        }
        let Some((began, before)) = self.sample else {
            self.sample = Some((now, acknowledged));
            return;
        };
        let time = now.saturating_duration_since(began);
        if time >= SAMPLE {
            let rate = acknowledged.saturating_sub(before) as f64 / time.as_secs_f64();
            self.drain = Some(self.drain.map_or(rate, |drain| f64::midpoint(drain, rate)));
            self.sample = Some((now, acknowledged));
        }
    }

    /// Bytes that may be unacknowledged.
    #[must_use]
    pub fn window(&self) -> usize {
        let limits = &self.limits;
        match self.kind {
            Kind::Browser if self.is_near() => limits.near_window,
            Kind::Stack if self.is_near() => limits.stack_window,
            Kind::Node { window } if self.is_near() => {
                usize::try_from(window).unwrap_or(limits.most).clamp(limits.stack_window.min(limits.most), limits.most)
            }
            Kind::Browser if self.shared => limits.near_window,
            _ => {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is clamped below")]
                let drained = |time: Duration| self.drain.map(|rate| (rate * time.as_secs_f64()) as usize);
                if self.shared {
                    let time = SHARED_DRAIN.max(self.far().unwrap_or_default() * 2);
                    return drained(time).unwrap_or_default().clamp(2 * MESSAGE, limits.most);
                }
                drained(limits.drain).map_or(limits.least, |drained| drained.clamp(MESSAGE, limits.most))
            }
        }
    }

    /// Bytes that one of several connections to the peer carries in a round trip at most: the whole messages of its
    /// window, where the peer's socket bounds that.
    #[must_use]
    pub fn bound(&self) -> Option<usize> {
        (self.kind == Kind::Browser).then(|| (self.limits.near_window / MESSAGE).max(1) * MESSAGE)
    }

    fn rate(&self) -> Option<u64> {
        (self.kind == Kind::Browser && self.is_near()).then_some(self.limits.near_rate)
    }

    /// Whether a message of `length` bytes may go while `buffered` bytes are unacknowledged.
    #[must_use]
    pub fn verdict(&self, now: Instant, buffered: usize, length: usize) -> Verdict {
        let window = self.window();
        if buffered > 0 && buffered.saturating_add(length) > window {
            return Verdict::Below(window.saturating_sub(length));
        }
        match self.next {
            Some(next) if next > now && self.rate().is_some() => Verdict::At(next),
            _ => Verdict::Send,
        }
    }

    /// Tells that a message went out.
    pub fn handle_sent(&mut self, now: Instant, length: usize) {
        self.sent = self.sent.saturating_add(length as u64);
        let Some(rate) = self.rate() else { return };
        let start = self.next.map_or(now, |next| next.max(now.checked_sub(CATCH_UP).unwrap_or(now)));
        self.next = Some(start + time_of(length, rate));
    }
}

fn time_of(length: usize, rate: u64) -> Duration {
    Duration::from_secs_f64(length as f64 / rate.max(1) as f64)
}

/// The upload of all peers together, or of one over all its connections. Each peer reserves one message at a time, and they
/// are served in the order of asking, so that each gets the same share.
#[derive(Debug)]
pub struct Share {
    rate: Option<u64>,
    free: Option<Instant>,
}

impl Share {
    /// So many bytes a second for all; none is without bound.
    #[must_use]
    pub fn new(rate: Option<u64>) -> Self {
        Self { rate, free: None }
    }

    /// When a message of this length may go.
    pub fn reserve(&mut self, now: Instant, length: usize) -> Instant {
        let Some(rate) = self.rate else { return now };
        let start = self.free.map_or(now, |free| free.max(now));
        self.free = Some(start + time_of(length, rate));
        start
    }
}

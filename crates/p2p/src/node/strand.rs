//! Further connections between two peers that have a channel, which carry chunks from whoever has opened them.
//!
//! They are agreed on over that channel, so that no signalling server hears of them. [`Strands`] holds those of one peer;
//! [`crate::strands::Growth`] tells how many it is to have.

use std::time::{Duration, Instant};

use bytes::Bytes;
use sluicegate_rtc_driver::{ChannelId, Connection, Event, Handle, Message, State};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::AbortHandle;

use crate::pacer::{Pacer, Verdict};
use crate::strands::{Growth, Look};

/// How long a further connection may take to open.
const OPENING: Duration = Duration::from_secs(10);
/// One that the peer has opened and does not use is closed after so many of our own idle times.
const PATIENCE: u32 = 6;
/// Messages of further connections that wait for the peer's task: 1 MB.
const WAITING: usize = 16;

/// What carries chunks to a peer: the channel, or a further connection's.
#[derive(Debug)]
pub(super) struct Carrier {
    pub(super) handle: Handle,
    pub(super) channel: ChannelId,
    pub(super) pacer: Pacer,
    /// When it was last sent on.
    pub(super) used: Instant,
}

impl Carrier {
    /// Takes and gives the bytes that are not acknowledged.
    pub(super) fn buffered(&mut self, now: Instant) -> usize {
        let buffered = self.handle.buffered();
        self.pacer.handle_buffered(now, buffered);
        buffered
    }
}

/// When and on what the next chunk goes.
#[derive(Debug)]
pub(super) enum Way {
    /// Now, on this one of the carriers.
    Now(usize),
    /// At that instant, or when one of these has acknowledged all but so many bytes.
    Wait(Option<Instant>, Vec<(Handle, usize)>),
}

/// Chooses the carrier that has it through soonest.
pub(super) fn choose<'a>(carriers: impl Iterator<Item = &'a mut Carrier>, now: Instant, length: usize) -> Way {
    let mut best: Option<(usize, f64)> = None;
    let (mut at, mut below) = (None::<Instant>, Vec::new());
    for (number, carrier) in carriers.enumerate() {
        let buffered = carrier.buffered(now);
        match carrier.pacer.verdict(now, buffered, length) {
            Verdict::Send => {
                let seconds = carrier.pacer.seconds(buffered + length);
                if best.is_none_or(|(_, least)| seconds < least) {
                    best = Some((number, seconds));
                }
            }
            Verdict::At(instant) => at = Some(at.map_or(instant, |at| at.min(instant))),
            Verdict::Below(bytes) => below.push((carrier.handle.clone(), bytes)),
        }
    }
    best.map_or(Way::Wait(at, below), |(number, _)| Way::Now(number))
}

/// A connection that was made for a strand, and its description.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) connection: Connection,
    pub(super) sdp: String,
    /// Its place among those of the node.
    pub(super) permit: OwnedSemaphorePermit,
}

/// What comes of a strand.
#[derive(Debug)]
pub(super) enum Came {
    Open(ChannelId),
    Message(Bytes),
    Gone,
}

/// A strand's name: those that we open and those that the peer opens are numbered apart, each from 0. A number that is free
/// again is used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) ours: bool,
    pub(super) number: u32,
}

#[derive(Debug)]
struct Strand {
    name: Name,
    handle: Handle,
    carrier: Option<Carrier>,
    /// When something came of it.
    used: Instant,
    /// It gets no more, and is closed when all of it is acknowledged.
    retired: bool,
    pump: AbortHandle,
    _permit: OwnedSemaphorePermit,
}

impl Strand {
    fn is_idle(&self, now: Instant, limit: Duration) -> bool {
        let used = self.carrier.as_ref().map_or(self.used, |carrier| carrier.used.max(self.used));
        now >= used + limit
    }
}

impl Drop for Strand {
    fn drop(&mut self) {
        metrics::gauge!("sluicegate_p2p_strands").decrement(1.0);
        // With the task goes the connection, and the peer is told.
        self.pump.abort();
    }
}

/// The further connections of one peer.
#[derive(Debug)]
pub(super) struct Strands {
    strands: Vec<Strand>,
    limits: crate::strands::Limits,
    growth: Growth,
    /// Numbers of those of ours that are being made.
    asked: Vec<u32>,
    tell: mpsc::Sender<(Name, Came)>,
    told: mpsc::Receiver<(Name, Came)>,
}

impl Strands {
    pub(super) fn new(limits: crate::strands::Limits) -> Self {
        let (tell, told) = mpsc::channel(WAITING);
        Self { strands: Vec::new(), limits, growth: Growth::new(0), asked: Vec::new(), tell, told }
    }

    /// The peer takes so many.
    pub(super) fn allow(&mut self, most: usize) {
        self.growth = Growth::new(most.min(self.limits.each));
    }

    /// Those that are open, to the peer and from it.
    pub(super) fn open(&self) -> usize {
        self.strands.iter().filter(|strand| strand.carrier.is_some()).count()
    }

    /// Whether the channel, whose pace this is, is one of several that carry chunks, or soon to be. Until the first have
    /// opened only a browser's needs care: what a burst loses there holds up all that waits behind it.
    pub(super) fn is_shared(&mut self, now: Instant, pacer: &Pacer) -> bool {
        self.carriers().count() > 0 || (pacer.bound().is_some() && self.growth.is_growing(now))
    }

    fn of(&self, ours: bool) -> usize {
        self.strands.iter().filter(|strand| strand.name.ours == ours).count()
    }

    /// Whether the peer may open one more.
    pub(super) fn has_room(&self) -> bool {
        self.of(false) < self.limits.each
    }

    /// What chunks may go on.
    pub(super) fn carriers(&mut self) -> impl Iterator<Item = &mut Carrier> {
        let usable = self.strands.iter_mut().filter(|strand| strand.name.ours && !strand.retired);
        usable.filter_map(|strand| strand.carrier.as_mut())
    }

    /// Takes what is to be seen of the peer, and its channel's pace; gives the connections that are to be offered to it.
    pub(super) fn handle_look(&mut self, now: Instant, busy: bool, acknowledged: u64, pacer: &Pacer) -> Vec<Name> {
        let open = self.carriers().count();
        let look = Look { busy, acknowledged, round_trip: pacer.far(), open, bound: pacer.bound() };
        self.growth.handle_look(now, look);
        let wanted = self.growth.wanted();
        let kept = self.strands.iter_mut().filter(|strand| strand.name.ours && !strand.retired).skip(wanted);
        kept.for_each(|strand| strand.retired = true);
        let more = if busy { wanted.saturating_sub(self.of(true) + self.asked.len()) } else { 0 };
        if more == 0 {
            return Vec::new();
        }
        let names = (0..).map(|number| Name { ours: true, number });
        let free = names.filter(|name| self.handle(*name).is_none() && !self.asked.contains(&name.number));
        let free: Vec<Name> = free.take(more).collect();
        self.asked.extend(free.iter().map(|name| name.number));
        free
    }

    /// One of ours could not be made, or the peer does not take it.
    pub(super) fn refused(&mut self, now: Instant, name: Name) {
        self.asked.retain(|number| *number != name.number);
        self.strands.retain(|strand| strand.name != name);
        let open = self.carriers().count();
        self.growth.handle_refused(now, open);
    }

    /// A connection was made.
    pub(super) fn begin(&mut self, now: Instant, name: Name, made: Made) {
        if name.ours {
            self.asked.retain(|number| *number != name.number);
        }
        let handle = made.connection.handle().clone();
        let pump = tokio::spawn(pump(name, made.connection, self.tell.clone())).abort_handle();
        // A number that comes again stands for the newer one.
        self.strands.retain(|strand| strand.name != name);
        metrics::gauge!("sluicegate_p2p_strands").increment(1.0);
        self.strands.push(Strand {
            name,
            handle,
            carrier: None,
            used: now,
            retired: false,
            pump,
            _permit: made.permit,
        });
    }

    /// The connection of a strand.
    pub(super) fn handle(&self, name: Name) -> Option<&Handle> {
        self.strands.iter().find(|strand| strand.name == name).map(|strand| &strand.handle)
    }

    /// Waits for what comes of any of them.
    pub(super) async fn next(&mut self) -> Option<(Name, Came)> {
        self.told.recv().await
    }

    /// Takes what came; gives a message. `pacer` is for the chunks that may go on one that has opened.
    pub(super) fn came(&mut self, now: Instant, name: Name, came: Came, pacer: impl Fn() -> Pacer) -> Option<Bytes> {
        let strand = self.strands.iter_mut().find(|strand| strand.name == name)?;
        strand.used = now;
        match came {
            Came::Open(channel) => {
                if name.ours {
                    self.growth.handle_opened();
                }
                strand.carrier = Some(Carrier { handle: strand.handle.clone(), channel, pacer: pacer(), used: now });
            }
            Came::Message(bytes) => return Some(bytes),
            Came::Gone => {
                let opened = strand.carrier.is_some();
                self.strands.retain(|strand| strand.name != name);
                if name.ours && !opened {
                    let open = self.carriers().count();
                    self.growth.handle_failed(now, open);
                }
            }
        }
        None
    }

    /// Closes those that have nothing to do.
    pub(super) fn tidy(&mut self, now: Instant) {
        let idle = self.limits.idle;
        self.strands.retain(|strand| {
            let limit = if strand.name.ours { idle } else { idle * PATIENCE };
            let is_over = strand.retired || strand.is_idle(now, limit.max(OPENING));
            !is_over || strand.handle.buffered() > 0
        });
    }
}

/// Hands on what comes of a strand, until it is gone or does not open.
async fn pump(name: Name, mut connection: Connection, tell: mpsc::Sender<(Name, Came)>) {
    let mut opening = std::pin::pin!(tokio::time::sleep(OPENING));
    let mut open = false;
    loop {
        let event = tokio::select! {
            event = connection.next() => event,
            () = &mut opening, if !open => None,
        };
        let came = match event {
            None | Some(Event::State(State::Closed(_)) | Event::ChannelClosed(_)) => break,
            Some(Event::ChannelOpen { channel, .. }) => {
                open = true;
                Came::Open(channel)
            }
            Some(Event::Message { message: Message::Binary(bytes), .. }) => Came::Message(bytes),
            Some(_) => continue,
        };
        if tell.send((name, came)).await.is_err() {
            return;
        }
    }
    // Nobody is there to tell when the peer's task has ended.
    let _ = tell.send((name, Came::Gone)).await;
}

//! The state of one stream, shared by its publisher, its viewers and its offer.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use sluicegate_media::Frame;
use tokio::sync::watch;

use crate::assembler::Assembler;
use crate::rate::Rate;
use crate::ring::{Ring, Slot};
use crate::{
    Batch, Config, Ended, Error, Expects, Next, Owner, Publish, Reason, State, StreamName, StreamStatus, Variant,
    ViewerPath, ViewerStatus,
};

/// One stream.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) name: StreamName,
    state: Mutex<Inner>,
    /// Counts what viewers may want to look at: batches and ends.
    news: watch::Sender<u64>,
    /// Counts what viewers ask of the publisher: key frames.
    key_frames: watch::Sender<u64>,
    max_viewers: usize,
}

#[derive(Debug)]
struct Inner {
    ring: Ring,
    assembler: Assembler,
    rate: Rate,
    /// Counts the lives of the stream; a viewer of an earlier life has ended.
    life: u64,
    last_end: Reason,
    publisher: Option<PublisherEntry>,
    publishers: u64,
    away: bool,
    offer: Option<OfferEntry>,
    viewers: BTreeMap<u64, ViewerEntry>,
    next_viewer: u64,
    bytes_in: u64,
    frames_in: u64,
    bytes_out_before: u64,
    skipped_before: u64,
}

#[derive(Debug)]
struct PublisherEntry {
    id: u64,
    kind: &'static str,
    address: Option<SocketAddr>,
    since: SystemTime,
    closed: watch::Sender<Option<Reason>>,
}

#[derive(Debug)]
struct OfferEntry {
    owner: Option<Owner>,
    demand: watch::Sender<usize>,
}

#[derive(Debug)]
struct ViewerEntry {
    protocol: &'static str,
    address: Option<SocketAddr>,
    since: SystemTime,
    counters: Arc<Counters>,
}

/// What a viewer counts without the stream's lock.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) bytes: AtomicU64,
    pub(crate) skipped: AtomicU64,
    pub(crate) path: Mutex<Option<ViewerPath>>,
}

impl Counters {
    pub(crate) fn path(&self) -> MutexGuard<'_, Option<ViewerPath>> {
        self.path.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a publisher holds on to.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) id: u64,
    pub(crate) closed: watch::Receiver<Option<Reason>>,
}

/// What a viewer holds on to.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) id: u64,
    pub(crate) life: u64,
    pub(crate) refused: bool,
    pub(crate) news: watch::Receiver<u64>,
    pub(crate) counters: Arc<Counters>,
}

impl Stream {
    pub(crate) fn new(name: StreamName, config: &Config) -> Self {
        Self {
            name,
            max_viewers: config.max_viewers,
            news: watch::Sender::new(0),
            key_frames: watch::Sender::new(0),
            state: Mutex::new(Inner {
                ring: Ring::new(config.ring_bytes, config.ring_span),
                assembler: Assembler::new(config),
                rate: Rate::default(),
                life: 0,
                last_end: Reason::Finished,
                publisher: None,
                publishers: 0,
                away: false,
                offer: None,
                viewers: BTreeMap::new(),
                next_viewer: 0,
                bytes_in: 0,
                frames_in: 0,
                bytes_out_before: 0,
                skipped_before: 0,
            }),
        }
    }

    /// A panic while the lock was held leaves a state that is still whole: every change is complete on its own.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn announce(&self) {
        self.news.send_modify(|news| *news = news.wrapping_add(1));
    }

    /// A viewer needs a key frame.
    pub(crate) fn want_key_frame(&self) {
        self.key_frames.send_modify(|wanted| *wanted = wanted.wrapping_add(1));
    }

    pub(crate) fn key_frames_wanted(&self) -> watch::Receiver<u64> {
        self.key_frames.subscribe()
    }

    /// Gives the publisher's place to a new one.
    pub(crate) fn seat(&self, publish: Publish) -> Result<Seat, Error> {
        let Publish { kind, address, owner, expects, replace, patience } = publish;
        let mut inner = self.lock();
        let reserved = inner.offer.as_ref().and_then(|offer| offer.owner.as_ref());
        if let Some(site) = reserved.filter(|site| owner.as_ref() != Some(site)) {
            return Err(Error::Reserved { name: self.name.clone(), owner: site.clone() });
        }
        if let Some(live) = &inner.publisher {
            if !replace {
                return Err(Error::Conflict { name: self.name.clone(), by: live.kind });
            }
            live.closed.send_replace(Some(Reason::Replaced));
        }
        inner.publishers += 1;
        inner.away = false;
        inner.assembler.restart(expects, patience);
        inner.rate.restart();
        inner.ring.begin_anew();
        let (closed, receiver) = watch::channel(None);
        let id = inner.publishers;
        let since = SystemTime::now();
        inner.publisher = Some(PublisherEntry { id, kind, address, since, closed });
        Ok(Seat { id, closed: receiver })
    }

    pub(crate) fn expect(&self, publisher: u64, expects: Expects) {
        let mut inner = self.lock();
        if inner.is_published_by(publisher) {
            inner.assembler.expect(expects);
        }
    }

    pub(crate) fn push(&self, publisher: u64, frame: Frame) -> Result<(), Error> {
        let mut inner = self.lock();
        if !inner.is_published_by(publisher) {
            return Err(Ended { reason: Reason::Replaced }.into());
        }
        inner.frames_in += 1;
        inner.bytes_in += frame.payload.len() as u64;
        let batches = inner.assembler.handle_frame(frame)?;
        if batches.is_empty() {
            return Ok(());
        }
        for batch in batches {
            inner.rate.add(batch.start(), batch.bytes());
            inner.ring.push(Arc::new(batch));
        }
        drop(inner);
        self.announce();
        Ok(())
    }

    /// The publisher's place becomes free. Returns whether viewers wait for the next one.
    pub(crate) fn unseat(&self, publisher: u64) -> bool {
        let mut inner = self.lock();
        let was = inner.is_published_by(publisher);
        if was {
            inner.publisher = None;
            inner.away = true;
            inner.end_if_forsaken();
        }
        was && inner.away
    }

    /// Ends the stream if nobody has published since `publisher` left.
    pub(crate) fn end_if_away(&self, publisher: u64, reason: Reason) {
        let mut inner = self.lock();
        if inner.away && inner.publishers == publisher {
            inner.end(reason);
            drop(inner);
            self.announce();
        }
    }

    /// Ends the stream for its publisher and its viewers. Returns whether there was one to end.
    pub(crate) fn end(&self, reason: Reason) -> bool {
        let mut inner = self.lock();
        let was = inner.publisher.is_some() || inner.away || !inner.viewers.is_empty();
        inner.end(reason);
        drop(inner);
        self.announce();
        was
    }

    /// Without an owner anybody may publish.
    pub(crate) fn offer(&self, owner: Option<Owner>) -> Result<watch::Receiver<usize>, Error> {
        let mut inner = self.lock();
        match &inner.offer {
            Some(OfferEntry { owner: Some(site), .. }) => {
                return Err(Error::Reserved { name: self.name.clone(), owner: site.clone() });
            }
            Some(OfferEntry { owner: None, .. }) => {
                return Err(Error::Conflict { name: self.name.clone(), by: "relay" });
            }
            None => {}
        }
        if let Some(live) = &inner.publisher {
            return Err(Error::Conflict { name: self.name.clone(), by: live.kind });
        }
        let (demand, receiver) = watch::channel(inner.viewers.len());
        inner.offer = Some(OfferEntry { owner, demand });
        Ok(receiver)
    }

    pub(crate) fn withdraw(&self) {
        let mut inner = self.lock();
        inner.offer = None;
        inner.end(Reason::Withdrawn);
        drop(inner);
        self.announce();
    }

    pub(crate) fn enter(&self, protocol: &'static str, address: Option<SocketAddr>) -> Ticket {
        let mut inner = self.lock();
        let id = inner.next_viewer;
        inner.next_viewer += 1;
        let counters = Arc::new(Counters::default());
        let refused = inner.viewers.len() >= self.max_viewers;
        if !refused {
            let since = SystemTime::now();
            inner.viewers.insert(id, ViewerEntry { protocol, address, since, counters: Arc::clone(&counters) });
            inner.tell_demand();
        }
        Ticket { id, life: inner.life, refused, news: self.news.subscribe(), counters }
    }

    pub(crate) fn leave(&self, viewer: u64) {
        let mut inner = self.lock();
        if let Some(viewer) = inner.viewers.remove(&viewer) {
            inner.bytes_out_before += viewer.counters.bytes.load(Ordering::Relaxed);
            inner.skipped_before += viewer.counters.skipped.load(Ordering::Relaxed);
            inner.tell_demand();
            inner.end_if_forsaken();
        }
    }

    /// The batch at the viewer's cursor; sets or moves the cursor where it must.
    pub(crate) fn take(&self, life: u64, cursor: &mut Option<u64>, counters: &Counters) -> Next {
        let inner = self.lock();
        if inner.life != life {
            return Next::Ended(inner.last_end);
        }
        let Some(at) = cursor.or_else(|| inner.ring.start()) else { return Next::Empty };
        match inner.ring.at(at) {
            Slot::Ahead => {
                *cursor = Some(at);
                Next::Empty
            }
            Slot::Batch(batch) => {
                *cursor = Some(at + 1);
                Next::Batch(batch)
            }
            Slot::Fallen(key) => {
                counters.skipped.fetch_add(key.saturating_sub(at), Ordering::Relaxed);
                crate::metrics::skipped(key.saturating_sub(at));
                let Slot::Batch(batch) = inner.ring.at(key) else { return Next::Empty };
                *cursor = Some(key + 1);
                Next::Batch(batch)
            }
        }
    }

    /// The batch with this number if it is still there.
    pub(crate) fn batch(&self, life: u64, seq: u64) -> Option<Arc<Batch>> {
        let inner = self.lock();
        match inner.ring.at(seq) {
            Slot::Batch(batch) if inner.life == life => Some(batch),
            _ => None,
        }
    }

    /// The newest batch.
    pub(crate) fn newest(&self, life: u64) -> Option<Arc<Batch>> {
        let inner = self.lock();
        inner.ring.newest().filter(|_| inner.life == life)
    }

    /// Whether nothing holds the stream any more.
    pub(crate) fn is_idle(&self) -> bool {
        let inner = self.lock();
        inner.publisher.is_none() && !inner.away && inner.offer.is_none() && inner.viewers.is_empty()
    }

    pub(crate) fn status(&self) -> StreamStatus {
        let inner = self.lock();
        let live = inner.publisher.as_ref();
        let mut viewers = BTreeMap::new();
        inner.viewers.values().for_each(|viewer| *viewers.entry(viewer.protocol).or_default() += 1);
        StreamStatus {
            name: self.name.clone(),
            owner: inner.offer.as_ref().and_then(|offer| offer.owner.clone()),
            state: inner.state(),
            tracks: inner.assembler.tracks().iter().map(Into::into).collect(),
            viewers,
            publisher: live.map(|live| live.kind),
            publisher_address: live.and_then(|live| live.address),
            published_since: live.map(|live| live.since),
            bytes_in: inner.bytes_in,
            bits_per_second: inner.rate.bits_per_second(),
            bytes_out: inner.bytes_out_before + inner.sum(|counters| &counters.bytes),
            frames_in: inner.frames_in,
            frames_dropped: inner.assembler.dropped(),
            batches_skipped: inner.skipped_before + inner.sum(|counters| &counters.skipped),
        }
    }

    /// The stream as a variant.
    pub(crate) fn variant(&self) -> Variant {
        let inner = self.lock();
        Variant {
            name: self.name.clone(),
            owner: inner.offer.as_ref().and_then(|offer| offer.owner.clone()),
            state: inner.state(),
            bits_per_second: inner.rate.bits_per_second(),
            viewers: inner.viewers.len(),
        }
    }

    pub(crate) fn viewers(&self) -> Vec<ViewerStatus> {
        let inner = self.lock();
        let status = |(&id, viewer): (&u64, &ViewerEntry)| ViewerStatus {
            id,
            protocol: viewer.protocol,
            address: viewer.address,
            since: viewer.since,
            bytes_out: viewer.counters.bytes.load(Ordering::Relaxed),
            batches_skipped: viewer.counters.skipped.load(Ordering::Relaxed),
            path: *viewer.counters.path(),
        };
        inner.viewers.iter().map(status).collect()
    }
}

impl Inner {
    fn is_published_by(&self, publisher: u64) -> bool {
        self.publisher.as_ref().is_some_and(|live| live.id == publisher)
    }

    fn end(&mut self, reason: Reason) {
        if let Some(live) = self.publisher.take() {
            live.closed.send_replace(Some(reason));
        }
        self.away = false;
        self.life += 1;
        self.last_end = reason;
        self.ring.clear();
        self.assembler.restart(Expects::default(), None);
    }

    /// A publisher that is away is awaited for its viewers' sake. Without any the stream ends, so that one who comes
    /// later never starts with old pictures.
    fn end_if_forsaken(&mut self) {
        if self.away && self.viewers.is_empty() {
            self.end(Reason::PublisherGone);
        }
    }

    fn tell_demand(&self) {
        if let Some(offer) = &self.offer {
            offer.demand.send_replace(self.viewers.len());
        }
    }

    fn state(&self) -> State {
        match (&self.publisher, self.away, &self.offer) {
            (Some(_), ..) => State::Live,
            (None, true, _) => State::Away,
            (None, false, Some(_)) => State::Offered,
            (None, false, None) => State::Waiting,
        }
    }

    fn sum(&self, which: impl Fn(&Counters) -> &AtomicU64) -> u64 {
        self.viewers.values().map(|viewer| which(&viewer.counters).load(Ordering::Relaxed)).sum()
    }
}

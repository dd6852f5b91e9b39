//! The public host's end of the control stream: turns viewers into leases.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use crate::{Hello, IDLE, LEASE, LeaseId, Message, Offers, RENEW};

/// Streams that one site may offer. More are not looked at.
pub const MAX_STREAMS: usize = 1_000;

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The site said who it is.
    Hello(Hello),
    /// The site said what it offers; streams beyond [`MAX_STREAMS`] are cut off.
    Offers(Offers),
    /// A lease began: a push under this id is welcome.
    Leased(LeaseId, String),
    /// A lease ended: a push under this id is not accepted any more.
    Released(LeaseId, String),
    /// The site cannot push this stream, and why. The lease goes on: the site may succeed later.
    Failed(String, String),
}

#[derive(Debug, Default)]
struct Stream {
    always: bool,
    viewers: usize,
    lease: Option<Lease>,
}

#[derive(Debug)]
struct Lease {
    id: LeaseId,
    renew_at: Instant,
    /// Since when nobody watches.
    idle_since: Option<Instant>,
}

/// The upstream's session with one site.
#[derive(Debug, Default)]
pub struct Session {
    streams: BTreeMap<String, Stream>,
    messages: VecDeque<Message>,
    events: VecDeque<Event>,
}

impl Session {
    /// A session before the first message.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a message from the site. Messages that only an upstream sends are ignored.
    pub fn handle_message(&mut self, message: Message) {
        match message {
            Message::Hello(hello) => self.events.push_back(Event::Hello(hello)),
            Message::Offers(offers) => self.offers(offers),
            Message::PushFailed { lease, reason } => {
                let held = |stream: &&String| {
                    self.streams
                        .get(*stream)
                        .and_then(|stream| stream.lease.as_ref())
                        .is_some_and(|held| held.id == lease)
                };
                if let Some(stream) = self.streams.keys().find(held).cloned() {
                    self.events.push_back(Event::Failed(stream, reason));
                }
            }
            Message::PushStart { .. } | Message::PushRenew { .. } | Message::PushRelease { .. } => {}
        }
    }

    fn offers(&mut self, mut offers: Offers) {
        offers.streams.truncate(MAX_STREAMS);
        let gone = |name: &&String| !offers.streams.iter().any(|offer| offer.name == **name);
        let gone: Vec<_> = self.streams.keys().filter(gone).cloned().collect();
        for name in gone {
            self.release(&name);
            self.streams.remove(&name);
        }
        for offer in &offers.streams {
            self.streams.entry(offer.name.clone()).or_default().always = offer.always;
        }
        self.events.push_back(Event::Offers(offers));
    }

    /// Tells how many watch a stream that is offered. `fresh` makes the id of a lease if one begins.
    pub fn handle_viewers(&mut self, name: &str, viewers: usize, now: Instant, fresh: impl FnOnce() -> LeaseId) {
        let Some(stream) = self.streams.get_mut(name) else { return };
        stream.viewers = viewers;
        let wanted = stream.always || viewers > 0;
        match &mut stream.lease {
            Some(lease) if wanted => lease.idle_since = None,
            Some(lease) => lease.idle_since = lease.idle_since.or(Some(now)),
            None if wanted => {
                let id = fresh();
                let renew_at = now.checked_add(RENEW).unwrap_or(now);
                stream.lease = Some(Lease { id, renew_at, idle_since: None });
                self.messages.push_back(Message::PushStart {
                    lease: id,
                    stream: name.to_owned(),
                    expires_ms: lease_ms(),
                });
                self.events.push_back(Event::Leased(id, name.to_owned()));
            }
            None => {}
        }
    }

    /// Does what is due: renews leases that are wanted, releases those that are not.
    pub fn handle_timeout(&mut self, now: Instant) {
        let mut over = Vec::new();
        for (name, stream) in &mut self.streams {
            let Some(lease) = &mut stream.lease else { continue };
            if lease.idle_since.and_then(|since| since.checked_add(IDLE)).is_some_and(|end| end <= now) {
                over.push(name.clone());
            } else if lease.renew_at <= now {
                lease.renew_at = now.checked_add(RENEW).unwrap_or(now);
                self.messages.push_back(Message::PushRenew { lease: lease.id, expires_ms: lease_ms() });
            }
        }
        over.iter().for_each(|name| self.release(name));
    }

    fn release(&mut self, name: &str) {
        if let Some(lease) = self.streams.get_mut(name).and_then(|stream| stream.lease.take()) {
            self.messages.push_back(Message::PushRelease { lease: lease.id });
            self.events.push_back(Event::Released(lease.id, name.to_owned()));
        }
    }

    /// When [`Session::handle_timeout`] has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let due = |lease: &Lease| {
            let end = lease.idle_since.and_then(|since| since.checked_add(IDLE));
            end.map_or(lease.renew_at, |end| end.min(lease.renew_at))
        };
        self.streams.values().filter_map(|stream| stream.lease.as_ref()).map(due).min()
    }

    /// The next message to send.
    pub fn poll_message(&mut self) -> Option<Message> {
        self.messages.pop_front()
    }

    /// The next thing that has happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
}

fn lease_ms() -> u32 {
    u32::try_from(LEASE.as_millis()).unwrap_or(u32::MAX)
}

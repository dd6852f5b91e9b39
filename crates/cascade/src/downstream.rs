//! The site's end of the control stream: pushes what is leased, as long as it is leased.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::{Hello, LEASE, LeaseId, Message, Offers};

/// The longest lease that is believed, so that an upstream that is gone cannot have asked for a push of days.
const LONGEST: Duration = LEASE.saturating_mul(6);

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Push this stream under this lease; if it is pushed already, dial under the new lease when it must be dialled
    /// again.
    Push(String, LeaseId),
    /// Stop pushing this stream: nobody watches, or nobody has asked for too long.
    Stop(String),
}

#[derive(Debug)]
struct Lease {
    id: LeaseId,
    expires: Instant,
}

/// The site's session with one upstream. Leases outlive a lost control stream: they lapse by themselves.
#[derive(Debug)]
pub struct Session {
    hello: Hello,
    offers: Offers,
    leases: BTreeMap<String, Lease>,
    messages: VecDeque<Message>,
    events: VecDeque<Event>,
}

impl Session {
    /// A session of a site that offers this.
    #[must_use]
    pub fn new(hello: Hello, offers: Offers) -> Self {
        let (leases, messages, events) = (BTreeMap::new(), VecDeque::new(), VecDeque::new());
        Self { hello, offers, leases, messages, events }
    }

    /// The upstream has opened a control stream; what an earlier one was about to say is said anew.
    pub fn handle_opened(&mut self) {
        self.messages.clear();
        self.messages.push_back(Message::Hello(self.hello.clone()));
        self.messages.push_back(Message::Offers(self.offers.clone()));
    }

    /// The site's configuration has changed.
    pub fn handle_offers(&mut self, offers: Offers) {
        let gone = |name: &&String| !offers.streams.iter().any(|offer| offer.name == **name);
        let gone: Vec<_> = self.leases.keys().filter(gone).cloned().collect();
        gone.iter().for_each(|name| self.stop(name));
        self.offers = offers.clone();
        self.messages.push_back(Message::Offers(offers));
    }

    /// Takes a message from the upstream. Messages that only a site sends are ignored.
    pub fn handle_message(&mut self, message: Message, now: Instant) {
        match message {
            Message::PushStart { lease, stream, expires_ms } => self.start(lease, stream, expires(now, expires_ms)),
            Message::PushRenew { lease, expires_ms } => {
                if let Some(held) = self.leases.values_mut().find(|held| held.id == lease) {
                    held.expires = expires(now, expires_ms);
                }
            }
            Message::PushRelease { lease } => {
                let held = self.leases.iter().find(|(_, held)| held.id == lease).map(|(name, _)| name.clone());
                if let Some(name) = held {
                    self.stop(&name);
                }
            }
            Message::Hello(_) | Message::Offers(_) | Message::PushFailed { .. } => {}
        }
    }

    fn start(&mut self, id: LeaseId, stream: String, expires: Instant) {
        if !self.offers.streams.iter().any(|offer| offer.name == stream) {
            let reason = "this site does not offer that stream".to_owned();
            self.messages.push_back(Message::PushFailed { lease: id, reason });
            return;
        }
        let known = self.leases.get(&stream).is_some_and(|held| held.id == id);
        self.leases.insert(stream.clone(), Lease { id, expires });
        if !known {
            self.events.push_back(Event::Push(stream, id));
        }
    }

    /// Tells the upstream that a stream cannot be pushed.
    pub fn handle_failure(&mut self, stream: &str, reason: &str) {
        if let Some(lease) = self.leases.get(stream) {
            self.messages.push_back(Message::PushFailed { lease: lease.id, reason: reason.to_owned() });
        }
    }

    /// Ends what has lapsed.
    pub fn handle_timeout(&mut self, now: Instant) {
        let over = self.leases.iter().filter(|(_, lease)| lease.expires <= now).map(|(name, _)| name.clone());
        let over: Vec<_> = over.collect();
        over.iter().for_each(|name| self.stop(name));
    }

    fn stop(&mut self, name: &str) {
        if self.leases.remove(name).is_some() {
            self.events.push_back(Event::Stop(name.to_owned()));
        }
    }

    /// When [`Session::handle_timeout`] has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.leases.values().map(|lease| lease.expires).min()
    }

    /// The next message to send.
    pub fn poll_message(&mut self) -> Option<Message> {
        self.messages.pop_front()
    }

    /// The next thing to do.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
}

fn expires(now: Instant, millis: u32) -> Instant {
    let time = Duration::from_millis(u64::from(millis)).min(LONGEST);
    now.checked_add(time).unwrap_or(now)
}

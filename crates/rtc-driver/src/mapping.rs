//! The public address of a host behind NAT, as a STUN server sees it (RFC 8489 section 7, RFC 5780 section 4.3).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::wire::{Transaction, binding_request};

/// NATs forget a mapping that is idle for 30 s or more (RFC 4787 section 4.3 asks for 2 minutes and is not heard).
const REFRESH: Duration = Duration::from_secs(25);
/// First wait for an answer; it doubles each time (RFC 8489 section 6.2.1).
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest wait for an answer.
const LONGEST_WAIT: Duration = Duration::from_secs(16);

/// Asks one server again and again.
#[derive(Debug)]
pub(crate) struct Mapping {
    pub(crate) server: SocketAddr,
    /// The socket that asks, and its announced address.
    pub(crate) socket: usize,
    pub(crate) base: SocketAddr,
    asked: Option<Transaction>,
    wait: Duration,
    next: Instant,
}

impl Mapping {
    pub(crate) fn new(now: Instant, server: SocketAddr, socket: usize, base: SocketAddr) -> Self {
        Self { server, socket, base, asked: None, wait: FIRST_WAIT, next: now }
    }

    pub(crate) fn poll_timeout(&self) -> Instant {
        self.next
    }

    /// The query that is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Option<Vec<u8>> {
        if now < self.next {
            return None;
        }
        let transaction: Transaction = rand::random();
        self.asked = Some(transaction);
        self.next = now + self.wait;
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
        Some(binding_request(transaction))
    }

    /// Whether an answer is to our query and comes from the server.
    pub(crate) fn takes(&mut self, now: Instant, from: SocketAddr, transaction: &Transaction) -> bool {
        let ours = from == self.server && self.asked.as_ref() == Some(transaction);
        if ours {
            self.asked = None;
            self.wait = FIRST_WAIT;
            self.next = now + REFRESH;
        }
        ours
    }
}

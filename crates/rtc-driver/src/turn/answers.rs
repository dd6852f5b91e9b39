//! What a server's answers come to.

use std::time::{Duration, Instant};

use super::message::{self, Login};
use super::peers::RENEW;
use super::request::Purpose;
use super::{Client, Due, Fault, News, Phase, REFRESH, RENEWALS, credentials};
use crate::wire::{Class, Stun};

impl Client {
    /// Takes an answer, if it is one to a request of ours and the server's own.
    pub(super) fn answered(&mut self, now: Instant, bytes: &[u8], stun: &Stun<'_>) {
        let Some(request) = self.requests.get(&stun.transaction) else { return };
        let (purpose, renewals) = (request.purpose, request.renewals);
        if stun.method != purpose.method() {
            return;
        }
        let forged = |login: &Login| !message::is_signed(bytes, stun, &login.key);
        match stun.class {
            // Somebody else's answer: the server's own may still come.
            Class::Success if self.login.as_ref().is_some_and(forged) => return,
            Class::Success | Class::Failure => {}
            Class::Request | Class::Indication => return,
        }
        self.requests.remove(&stun.transaction);
        self.disarm(Due::Request(stun.transaction));
        if stun.class == Class::Success {
            self.succeeded(now, purpose, stun);
        } else {
            self.failed(now, purpose, renewals, stun);
        }
    }

    fn succeeded(&mut self, now: Instant, purpose: Purpose, stun: &Stun<'_>) {
        let lifetime = || message::lifetime(stun).map(|seconds| Duration::from_secs(u64::from(seconds)));
        match purpose {
            Purpose::Allocate => match (message::relayed(stun), lifetime()) {
                (Some(address), Some(lifetime)) if !lifetime.is_zero() => {
                    self.phase = Phase::Up { since: now };
                    self.arm(Due::Relay, now + REFRESH.min(lifetime / 2));
                    self.news.push_back(News::Relayed(address));
                }
                _ => self.down(now, Fault::Unreadable),
            },
            Purpose::Refresh => match lifetime() {
                Some(lifetime) if !lifetime.is_zero() => self.arm(Due::Relay, now + REFRESH.min(lifetime / 2)),
                _ => self.down(now, Fault::Unreadable),
            },
            Purpose::Release => self.without(now, purpose),
            Purpose::Permit(ip) => {
                for (peer, data) in self.peers.granted(ip) {
                    self.indicate(peer, &data);
                }
                self.arm(Due::Permission(ip), now + RENEW);
            }
            Purpose::Bind(peer, _) => {
                self.peers.opened(peer, true);
                self.arm(Due::Channel(peer), now + RENEW);
            }
        }
    }

    fn failed(&mut self, now: Instant, purpose: Purpose, renewals: u32, stun: &Stun<'_>) {
        let code = message::code(stun);
        let known = self.login.is_some();
        match code {
            Some(401) if known => self.down(now, Fault::Credentials),
            Some(401 | 438) if renewals < RENEWALS && self.log_in(now, stun) => {
                self.ask(now, purpose, renewals + 1);
            }
            // The server is of a network without IPv4.
            Some(440) if purpose == Purpose::Allocate && !self.ipv6.1 => {
                self.ipv6.1 = true;
                self.ask(now, purpose, renewals);
            }
            // The server holds a relay for our socket whose answer was lost; it may say so before it asks who we are.
            Some(437) if purpose == Purpose::Allocate && !self.streamed => self.ask(now, Purpose::Release, 0),
            Some(437) if purpose != Purpose::Release => self.down(now, Fault::Forgotten),
            _ => match purpose {
                Purpose::Allocate | Purpose::Refresh => {
                    self.down(now, code.map_or(Fault::Unreadable, Fault::Refused));
                }
                _ => self.without(now, purpose),
            },
        }
    }

    /// Takes the realm and the nonce that requests are to be signed with from now on.
    fn log_in(&mut self, now: Instant, stun: &Stun<'_>) -> bool {
        let Some(nonce) = message::nonce(stun) else { return false };
        if let Some(login) = &mut self.login {
            nonce.clone_into(&mut login.nonce);
            return true;
        }
        let Some(realm) = message::realm(stun) else { return false };
        let (username, password) = self.credentials.at(now);
        let key = credentials::key(&username, realm, &password);
        self.login = Some(Login { username, realm: realm.to_vec(), nonce: nonce.to_vec(), key });
        true
    }
}

//! Which session a datagram belongs to: by the user fragment of a connectivity check, by the transaction that it
//! answers, else by its remote address.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::SessionId;
use crate::wire::Transaction;

/// A socket and a remote address.
pub(crate) type Path = (usize, SocketAddr);

/// Addresses that one session holds, so that a peer cannot fill the table by checks from many addresses.
const MAX_PATHS: usize = 8;
/// Checks of one session whose answers may be under way.
const MAX_CHECKS: usize = 64;
/// A session that has exchanged no check for so long no longer defends its address. It is three times the pause
/// between checks.
const ALIVE: Duration = Duration::from_secs(3);

/// Who holds a path, and whether it has answered from there. A spoofed request is enough to claim a path, an answer to
/// our own check is not to be had by spoofing.
#[derive(Debug, Clone, Copy)]
struct Owner {
    id: SessionId,
    proven: bool,
}

/// What a claim to a path led to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// The path is the session's.
    Held,
    /// Another living session has it.
    Refused,
    /// It was taken from a session that had gone silent.
    Displaced(SessionId),
}

#[derive(Debug)]
struct Notes {
    fragment: String,
    paths: Vec<Path>,
    checks: VecDeque<Transaction>,
    checked_at: Instant,
}

/// The table. Its size is bounded by the number of sessions.
#[derive(Debug, Default)]
pub(crate) struct Table {
    notes: HashMap<SessionId, Notes>,
    fragments: HashMap<String, SessionId>,
    owners: HashMap<Path, Owner>,
    checks: HashMap<Transaction, Check>,
}

/// A check under way: whose it is, its two ends, and when it left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Check {
    pub(crate) id: SessionId,
    pub(crate) local: SocketAddr,
    pub(crate) path: Path,
    pub(crate) sent: Instant,
}

impl Table {
    /// Enters a session, or its new fragment after an ICE restart.
    pub(crate) fn set_fragment(&mut self, now: Instant, id: SessionId, fragment: &str) {
        let notes = self.notes.entry(id).or_insert_with(|| Notes {
            fragment: String::new(),
            paths: Vec::new(),
            checks: VecDeque::new(),
            checked_at: now,
        });
        if notes.fragment != fragment {
            self.fragments.remove(&notes.fragment);
            fragment.clone_into(&mut notes.fragment);
            self.fragments.insert(fragment.to_owned(), id);
        }
    }

    pub(crate) fn remove(&mut self, id: SessionId) {
        let Some(notes) = self.notes.remove(&id) else { return };
        self.fragments.remove(&notes.fragment);
        for check in notes.checks {
            self.checks.remove(&check);
        }
        for path in notes.paths {
            if self.owners.get(&path).is_some_and(|owner| owner.id == id) {
                self.owners.remove(&path);
            }
        }
    }

    /// The session of a request to `fragment`.
    pub(crate) fn by_fragment(&self, fragment: &str) -> Option<SessionId> {
        self.fragments.get(fragment).copied()
    }

    /// The check that is answered over `path`. It counts once, and only from where it was sent (RFC 8445 section
    /// 7.2.5.2.1): a recorded answer proves nothing.
    pub(crate) fn take_check(&mut self, transaction: &Transaction, path: Path) -> Option<Check> {
        let check = self.checks.get(transaction).copied().filter(|check| check.path == path)?;
        self.checks.remove(transaction);
        Some(check)
    }

    /// The session that holds a path.
    pub(crate) fn by_path(&self, path: Path) -> Option<SessionId> {
        self.owners.get(&path).map(|owner| owner.id)
    }

    /// Notes that a session sent a check.
    pub(crate) fn note_check(&mut self, transaction: Transaction, check: Check) {
        let Some(notes) = self.notes.get_mut(&check.id) else { return };
        if notes.checks.len() >= MAX_CHECKS
            && let Some(oldest) = notes.checks.pop_front()
        {
            self.checks.remove(&oldest);
        }
        notes.checks.push_back(transaction);
        self.checks.insert(transaction, check);
    }

    /// A session exchanged a check over a path: `proven` where the peer answered one of ours.
    pub(crate) fn claim(&mut self, now: Instant, id: SessionId, path: Path, proven: bool) -> Claim {
        let Some(notes) = self.notes.get_mut(&id) else { return Claim::Refused };
        notes.checked_at = now;
        let before = self.owners.get(&path).copied();
        if let Some(owner) = before
            && owner.id == id
        {
            self.owners.insert(path, Owner { id, proven: owner.proven || proven });
            return Claim::Held;
        }
        if let Some(owner) = before {
            let alive = self.notes.get(&owner.id).is_some_and(|notes| now < notes.checked_at + ALIVE);
            if !proven || (owner.proven && alive) {
                return Claim::Refused;
            }
        }
        self.own(id, path, proven);
        match before {
            Some(owner) if owner.proven => Claim::Displaced(owner.id),
            _ => Claim::Held,
        }
    }

    fn own(&mut self, id: SessionId, path: Path, proven: bool) {
        self.owners.insert(path, Owner { id, proven });
        let Some(notes) = self.notes.get_mut(&id) else { return };
        notes.paths.retain(|held| *held != path);
        notes.paths.push(path);
        if notes.paths.len() > MAX_PATHS {
            let unproven = |held: &Path| self.owners.get(held).is_none_or(|owner| owner.id != id || !owner.proven);
            let at = notes.paths.iter().position(unproven).unwrap_or(0);
            let given_up = notes.paths.remove(at);
            if self.owners.get(&given_up).is_some_and(|owner| owner.id == id) {
                self.owners.remove(&given_up);
            }
        }
    }

    /// Entries of all kinds: what the table costs.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.notes.len() + self.fragments.len() + self.owners.len() + self.checks.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(port: u16) -> Path {
        (0, SocketAddr::from(([192, 0, 2, 1], port)))
    }

    fn two(now: Instant) -> (Table, SessionId, SessionId) {
        let (mut table, first, second) = (Table::default(), SessionId(1), SessionId(2));
        table.set_fragment(now, first, "one");
        table.set_fragment(now, second, "two");
        (table, first, second)
    }

    #[test]
    fn a_request_claims_and_an_answer_proves() {
        let now = Instant::now();
        let (mut table, first, second) = two(now);
        assert_eq!(table.claim(now, first, path(1), false), Claim::Held);
        assert_eq!(table.claim(now, second, path(1), false), Claim::Refused);
        assert_eq!(table.claim(now, second, path(1), true), Claim::Held);
        assert_eq!(table.by_path(path(1)), Some(second));
        assert_eq!(table.claim(now, first, path(1), true), Claim::Refused);
        let later = now + ALIVE;
        assert_eq!(table.claim(later, first, path(1), true), Claim::Displaced(second));
    }

    #[test]
    fn a_restart_moves_the_fragment_and_removal_leaves_nothing() {
        let now = Instant::now();
        let (mut table, first, second) = two(now);
        table.set_fragment(now, first, "three");
        assert_eq!((table.by_fragment("one"), table.by_fragment("three")), (None, Some(first)));
        let check = |id| Check { id, local: path(9).1, path: path(1), sent: now };
        for number in 0..200_u8 {
            table.note_check([number; 12], check(first));
            table.claim(now, first, path(u16::from(number)), number == 0);
        }
        assert_eq!(table.take_check(&[0; 12], path(1)), None);
        assert_eq!(table.take_check(&[199; 12], path(2)), None);
        assert_eq!(table.take_check(&[199; 12], path(1)), Some(check(first)));
        assert_eq!(table.take_check(&[199; 12], path(1)), None);
        assert_eq!((table.by_path(path(0)), table.by_path(path(1))), (Some(first), None));
        assert!(table.len() <= 4 + MAX_PATHS + MAX_CHECKS);
        table.remove(first);
        table.remove(second);
        assert_eq!(table.len(), 0);
    }
}

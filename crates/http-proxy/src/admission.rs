//! How many requests may be in flight, counted by site and by client address.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Counts what is in flight by key and refuses beyond a limit.
#[derive(Debug)]
pub(crate) struct Gate<K: Hash + Eq + Clone> {
    limit: usize,
    counts: Mutex<HashMap<K, usize>>,
}

impl<K: Hash + Eq + Clone> Gate<K> {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, counts: Mutex::new(HashMap::new()) })
    }

    /// The most that one key may have in flight.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// One more for this key, until the pass is dropped. `None`: the key has as many as it may.
    pub(crate) fn enter(self: &Arc<Self>, key: K) -> Option<Pass<K>> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(key.clone()).or_insert(0);
        if *count >= self.limit {
            return None;
        }
        *count += 1;
        Some(Pass { gate: Arc::clone(self), key })
    }
}

/// One request in flight. Its drop makes room.
#[derive(Debug)]
pub(crate) struct Pass<K: Hash + Eq + Clone> {
    gate: Arc<Gate<K>>,
    key: K,
}

impl<K: Hash + Eq + Clone> Drop for Pass<K> {
    fn drop(&mut self) {
        let mut counts = self.gate.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut entry) = counts.entry(self.key.clone()) {
            *entry.get_mut() = entry.get().saturating_sub(1);
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

/// What one client is: its IPv4 address, or the /64 of its IPv6 address, since any host may use all of that.
pub(crate) fn client_key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_own_limit_and_leaves_nothing_behind() {
        let gate = Gate::new(2);
        let first = gate.enter("a").unwrap();
        let _second = gate.enter("a").unwrap();
        assert!(gate.enter("a").is_none());
        let other = gate.enter("b").unwrap();
        drop(first);
        assert!(gate.enter("a").is_some());
        drop(other);
        assert_eq!(gate.counts.lock().unwrap().len(), 1);
    }

    #[test]
    fn addresses_of_one_network_are_one_client() {
        let key = |text: &str| client_key(text.parse().unwrap());
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1"));
        assert_ne!(key("2001:db8:0:1::1"), key("2001:db8::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
    }
}

//! What was used last stays, within a budget.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::time::{Duration, Instant};

/// Values with a weight and an end, at most a budget of weight; what was not used for the longest time goes first.
#[derive(Debug)]
pub struct Lru<K, V> {
    budget: usize,
    bytes: usize,
    used: u64,
    entries: HashMap<K, Entry<V>>,
    order: BTreeMap<u64, K>,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    bytes: usize,
    until: Option<Instant>,
    used: u64,
}

impl<V> Entry<V> {
    /// An end that no clock can tell is none.
    fn is_fresh(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

impl<K: Clone + Eq + Hash, V> Lru<K, V> {
    /// An empty one.
    #[must_use]
    pub fn new(budget: usize) -> Self {
        Self { budget, bytes: 0, used: 0, entries: HashMap::new(), order: BTreeMap::new() }
    }

    /// The weight of all.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// A value that is still good; it counts as used.
    pub fn get(&mut self, key: &K, now: Instant) -> Option<&V> {
        if !self.entries.get(key)?.is_fresh(now) {
            self.remove(key);
            return None;
        }
        self.used += 1;
        let entry = self.entries.get_mut(key)?;
        self.order.remove(&entry.used);
        entry.used = self.used;
        self.order.insert(self.used, key.clone());
        Some(&entry.value)
    }

    /// Keeps a value for a time, and returns the keys that had to go for it. One that is heavier than the budget is not
    /// kept, and is among them.
    pub fn insert(&mut self, key: K, value: V, bytes: usize, time: Duration, now: Instant) -> Vec<K> {
        self.remove(&key);
        let mut gone = Vec::new();
        if bytes > self.budget || time.is_zero() {
            gone.push(key);
            return gone;
        }
        self.used += 1;
        self.bytes += bytes;
        self.order.insert(self.used, key.clone());
        self.entries.insert(key, Entry { value, bytes, until: now.checked_add(time), used: self.used });
        while self.bytes > self.budget {
            let Some((_, oldest)) = self.order.pop_first() else { break };
            self.remove(&oldest);
            gone.push(oldest);
        }
        gone
    }

    /// Forgets a value.
    pub fn remove(&mut self, key: &K) {
        if let Some(entry) = self.entries.remove(key) {
            self.order.remove(&entry.used);
            self.bytes -= entry.bytes;
        }
    }

    /// All that is still good, in no order; this is no use of it.
    pub fn iter(&self, now: Instant) -> impl Iterator<Item = (&K, &V)> {
        let fresh = self.entries.iter().filter(move |(_, entry)| entry.is_fresh(now));
        fresh.map(|(key, entry)| (key, &entry.value))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn the_budget_holds_and_the_longest_unused_goes_first() {
        let (mut lru, now) = (Lru::new(10), Instant::now());
        lru.insert('a', 1, 4, LONG, now);
        lru.insert('b', 2, 4, LONG, now);
        assert_eq!(lru.get(&'a', now), Some(&1));
        lru.insert('c', 3, 4, LONG, now);
        assert_eq!((lru.get(&'b', now).copied(), lru.bytes()), (None, 8));
        lru.insert('d', 4, 11, LONG, now);
        assert_eq!((lru.get(&'d', now).copied(), lru.bytes()), (None, 8));
        lru.insert('a', 5, 1, LONG, now);
        assert_eq!((lru.get(&'a', now).copied(), lru.bytes()), (Some(5), 5));
    }

    #[test]
    fn what_is_over_is_gone() {
        let (mut lru, now) = (Lru::new(10), Instant::now());
        lru.insert('a', 1, 4, LONG, now);
        assert_eq!(lru.iter(now).count(), 1);
        let later = now + LONG;
        assert_eq!((lru.iter(later).count(), lru.get(&'a', later).copied(), lru.bytes()), (0, None, 0));
    }

    proptest! {
        #[test]
        fn the_weight_is_the_sum_and_within_the_budget(uses in prop::collection::vec((0_u8..8, 0_usize..6, any::<bool>()), 0..200)) {
            let (mut lru, now) = (Lru::new(12), Instant::now());
            for (key, bytes, is_insert) in uses {
                if is_insert {
                    lru.insert(key, (), bytes, LONG, now);
                } else {
                    lru.get(&key, now);
                }
                prop_assert!(lru.bytes() <= 12);
                prop_assert_eq!(lru.bytes(), lru.entries.values().map(|entry| entry.bytes).sum::<usize>());
                prop_assert_eq!(lru.order.len(), lru.entries.len());
            }
        }
    }
}

//! What has come and gone, and what has failed.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::error::Error;
use crate::report::line;

/// Counts by kind.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<BTreeMap<&'static str, Counts>>);

#[derive(Debug, Default)]
struct Counts {
    done: u64,
    failed: u64,
}

impl Tally {
    /// Counts one of a kind; a failure is told at once.
    pub(super) fn count<T>(&self, kind: &'static str, result: Result<T, Error>) -> Option<T> {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = kinds.entry(kind).or_default();
        match result {
            Ok(done) => {
                counts.done += 1;
                Some(done)
            }
            Err(error) => {
                counts.failed += 1;
                line(&format!("failed: {kind}: {error}"));
                None
            }
        }
    }

    /// How many have come and gone, and how many have failed.
    pub(super) fn total(&self) -> (u64, u64) {
        let kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kinds.values().fold((0, 0), |sum, counts| (sum.0 + counts.done, sum.1 + counts.failed))
    }

    /// Prints a line for each kind.
    pub(super) fn report(&self) {
        let kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (kind, counts) in kinds.iter() {
            line(&format!("{kind:<28} {:>8} times, {} failed", counts.done, counts.failed));
        }
    }
}

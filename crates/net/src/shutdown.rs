//! The orderly end of a program: one signal, and work that is waited for.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// The signal that the program is to end. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    signal: CancellationToken,
    work: TaskTracker,
}

/// Work that must be done before the program ends; it is done when this is dropped.
#[derive(Debug)]
pub struct Guard(#[expect(dead_code, reason = "its drop tells that the work is done")] TaskTrackerToken);

impl Shutdown {
    /// A signal that has not been given.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives the signal. Nothing that was begun is cut by it.
    pub fn begin(&self) {
        self.signal.cancel();
    }

    /// Whether the signal has been given.
    #[must_use]
    pub fn is_begun(&self) -> bool {
        self.signal.is_cancelled()
    }

    /// Waits for the signal.
    pub async fn begun(&self) {
        self.signal.cancelled().await;
    }

    /// Registers work that is to be waited for.
    #[must_use]
    pub fn guard(&self) -> Guard {
        Guard(self.work.token())
    }

    /// Waits until all registered work is done, at most `deadline`. Returns whether it is.
    pub async fn drained(&self, deadline: Duration) -> bool {
        self.work.close();
        tokio::time::timeout(deadline, self.work.wait()).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn work_is_waited_for_but_not_for_ever() {
        let shutdown = Shutdown::new();
        let guard = shutdown.guard();
        shutdown.begin();
        shutdown.begun().await;
        assert!(!shutdown.drained(Duration::from_secs(5)).await);
        drop(guard);
        assert!(shutdown.is_begun() && shutdown.drained(Duration::from_secs(5)).await);
    }
}

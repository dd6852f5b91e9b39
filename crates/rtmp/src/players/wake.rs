//! Which sockets of a writer are ready, told by their wakers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

use tokio::sync::Notify;

/// The places of players whose sockets have become readable or writable, each at most once.
#[derive(Debug, Default)]
pub(super) struct Ready {
    keys: Mutex<Vec<usize>>,
    notify: Notify,
}

impl Ready {
    /// Waits until a socket is ready, then moves the places into `into`.
    pub(super) async fn take(&self, into: &mut Vec<usize>) {
        loop {
            let notified = self.notify.notified();
            into.append(&mut self.keys.lock().unwrap_or_else(PoisonError::into_inner));
            if !into.is_empty() {
                return;
            }
            notified.await;
        }
    }
}

/// One player's waker.
#[derive(Debug)]
pub(super) struct Bell {
    ready: Arc<Ready>,
    key: usize,
    rung: AtomicBool,
}

impl Bell {
    pub(super) fn new(ready: &Arc<Ready>, key: usize) -> Arc<Self> {
        Arc::new(Self { ready: Arc::clone(ready), key, rung: AtomicBool::new(false) })
    }

    pub(super) fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::clone(self))
    }

    /// The player is about to be looked at; a wake from now on counts anew.
    pub(super) fn answer(&self) {
        self.rung.store(false, Ordering::Release);
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            self.ready.keys.lock().unwrap_or_else(PoisonError::into_inner).push(self.key);
            self.ready.notify.notify_one();
        }
    }
}

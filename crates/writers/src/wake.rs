//! Tells a writer which of its viewers' sockets are ready, so that it need not look at all of them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

use tokio::sync::Notify;

/// The keys of viewers whose sockets have become ready. Holds each viewer at most once.
#[derive(Debug, Default)]
pub(crate) struct Ready {
    keys: Mutex<Vec<usize>>,
    notify: Notify,
}

impl Ready {
    /// Waits until a socket is ready, then moves the keys into `into`.
    pub(crate) async fn take(&self, into: &mut Vec<usize>) {
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

/// One viewer's place in [`Ready`].
#[derive(Debug)]
pub(crate) struct Bell {
    ready: Arc<Ready>,
    key: usize,
    rung: AtomicBool,
}

impl Bell {
    pub(crate) fn new(ready: &Arc<Ready>, key: usize) -> Arc<Self> {
        Arc::new(Self { ready: Arc::clone(ready), key, rung: AtomicBool::new(false) })
    }

    /// The waker that puts the viewer into [`Ready`].
    pub(crate) fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::clone(self))
    }

    /// The viewer is about to be looked at; a wake from now on counts anew.
    pub(crate) fn answer(&self) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_viewer_is_ready_once_until_it_is_looked_at() {
        let ready = Arc::new(Ready::default());
        let bell = Bell::new(&ready, 7);
        let waker = bell.waker();
        waker.wake_by_ref();
        waker.wake_by_ref();
        let mut keys = Vec::new();
        ready.take(&mut keys).await;
        assert_eq!(keys, [7]);
        bell.answer();
        waker.wake();
        keys.clear();
        ready.take(&mut keys).await;
        assert_eq!(keys, [7]);
    }
}

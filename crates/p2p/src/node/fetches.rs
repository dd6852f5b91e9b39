//! Segments from peers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::link::Command;
use super::state::{Shared, lock};
use crate::chunk::{Key, Message};
use crate::peer::{Fetch, Progress, Step};

/// Peers that are asked for one segment.
const ASKED: usize = 32;
/// Messages of peers that wait for one fetch, 13 MB of chunks. What comes beyond is asked for again.
const WAITING: usize = 256;

/// Listens for a segment until it is dropped.
struct Listening<'a> {
    shared: &'a Arc<Shared>,
    key: &'a Key,
    number: u64,
    /// Who is to be told that we want no more of it.
    source: Option<String>,
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        lock(&self.shared.listeners).retain(|(_, number, _)| *number != self.number);
        if let Some(source) = self.source.take() {
            self.shared.say(&source, Message::Quit(self.key.clone()));
        }
    }
}

impl Shared {
    fn say(&self, uid: &str, message: Message) {
        if let Some(link) = lock(&self.links).get(uid) {
            // A peer whose queue is full is as good as gone: the fetch moves on by its own deadlines.
            let _ = link.commands.try_send(Command::Say(message));
        }
    }

    /// Tells those who wait for a segment what came of a peer. Tells whether somebody waits.
    pub(super) fn tell(&self, key: &Key, uid: &str, progress: &Progress) -> bool {
        let mut heard = false;
        for (wanted, _, listener) in lock(&self.listeners).iter() {
            if wanted == key {
                heard = true;
                // A chunk that does not fit the queue is asked for again.
                let _ = listener.try_send((uid.to_owned(), progress.clone()));
            }
        }
        heard
    }

    /// Tells everybody who waits for something that a peer is gone.
    pub(super) fn tell_gone(&self, uid: &str) {
        for (_, _, listener) in lock(&self.listeners).iter() {
            let _ = listener.try_send((uid.to_owned(), Progress::Gone));
        }
    }
}

pub(super) async fn fetch(shared: &Arc<Shared>, key: Key, found: Duration) -> Option<Bytes> {
    let (tell, mut told) = mpsc::channel(WAITING);
    let number = shared.fetches.fetch_add(1, Ordering::Relaxed);
    let open = |link: &super::state::Link| link.open.load(Ordering::Relaxed);
    let peers: Vec<String> = {
        let links = lock(&shared.links);
        links.values().filter(|link| open(link)).take(ASKED).map(|link| link.uid.clone()).collect()
    };
    lock(&shared.listeners).push((key.clone(), number, tell));
    let mut listening = Listening { shared, key: &key, number, source: None };
    let mut fetch = Fetch::new(Instant::now(), key.clone(), &peers, found);
    loop {
        while let Some(step) = fetch.poll_step() {
            match step {
                Step::Say(uid, message) => {
                    match &message {
                        Message::Resolve(_) | Message::Resend(..) => listening.source = Some(uid.clone()),
                        Message::Quit(_) => listening.source = None,
                        _ => {}
                    }
                    shared.say(&uid, message);
                }
                Step::Done(segment) => {
                    listening.source = None;
                    metrics::counter!("sluicegate_p2p_fetches_total", "outcome" => "done").increment(1);
                    return Some(segment);
                }
                Step::Failed => {
                    metrics::counter!("sluicegate_p2p_fetches_total", "outcome" => "failed").increment(1);
                    return None;
                }
            }
        }
        tokio::select! {
            Some((uid, progress)) = told.recv() => fetch.handle_progress(Instant::now(), &uid, progress),
            () = tokio::time::sleep_until(fetch.poll_timeout().into()) => fetch.handle_timeout(Instant::now()),
        }
    }
}

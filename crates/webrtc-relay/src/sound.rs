//! Opus for viewers of streams with AAC: made once per stream, while a viewer listens.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use sluicegate_hub::{Batch, Ended, Hub, Next, StreamName, Subscriber, TrackSet, Viewer};
use sluicegate_media::{Codec, Content, Kind};
use sluicegate_sound::{Packet, Transcoder};
use tokio::sync::broadcast::error::TryRecvError;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Packets that wait for a viewer: 2 s. One that is slower misses some.
const WAITING: usize = 100;

/// One packet of Opus.
#[derive(Debug, Clone)]
pub(crate) struct Opus {
    /// In ticks of 48 kHz.
    pub(crate) timestamp: u32,
    pub(crate) payload: Bytes,
}

/// Whether a batch that a viewer has taken is the newest of its stream, which begins a while ago for who comes anew.
pub(crate) fn is_newest(subscriber: &Subscriber, batch: &Batch) -> bool {
    subscriber.newest().is_none_or(|newest| newest.seq <= batch.seq)
}

/// The sound of one stream; it is made while somebody holds this.
#[derive(Debug)]
pub(crate) struct Feed {
    packets: broadcast::Sender<Opus>,
    /// Changes with each batch whose sound is made.
    made: watch::Receiver<()>,
    _stop: DropGuard,
}

impl Feed {
    pub(crate) fn listen(&self) -> Listener {
        Listener { packets: self.packets.subscribe(), made: self.made.clone() }
    }
}

/// A viewer's ear.
#[derive(Debug)]
pub(crate) struct Listener {
    packets: broadcast::Receiver<Opus>,
    made: watch::Receiver<()>,
}

impl Listener {
    /// The viewer's next batch, as a rule once its sound is made, so that both are sent at once: later it would need a
    /// sending of its own, or wait for the next picture. `None` where there is new sound alone. Safe to cancel.
    pub(crate) async fn next(&mut self, subscriber: &mut Subscriber) -> Result<Option<Arc<Batch>>, Ended> {
        let mut next = subscriber.try_next();
        if matches!(next, Next::Empty) {
            if self.made.changed().await.is_err() {
                return subscriber.next().await.map(Some);
            }
            next = subscriber.try_next();
        }
        match next {
            Next::Batch(batch) => Ok(Some(batch)),
            Next::Ended(reason) => Err(Ended { reason }),
            Next::Empty => Ok(None),
        }
    }

    /// What was made since the last time; what a slow viewer has missed is left out.
    pub(crate) fn made(&mut self) -> impl Iterator<Item = Opus> {
        std::iter::from_fn(|| {
            loop {
                match self.packets.try_recv() {
                    Ok(packet) => return Some(packet),
                    Err(TryRecvError::Lagged(_)) => {}
                    Err(TryRecvError::Empty | TryRecvError::Closed) => return None,
                }
            }
        })
    }
}

/// All feeds of a hub.
#[derive(Debug)]
pub(crate) struct Feeds {
    hub: Hub,
    feeds: Mutex<HashMap<StreamName, Weak<Feed>>>,
    encoded: Arc<AtomicU64>,
}

impl Feeds {
    pub(crate) fn new(hub: Hub) -> Self {
        Self { hub, feeds: Mutex::default(), encoded: Arc::default() }
    }

    /// Packets encoded so far.
    pub(crate) fn encoded(&self) -> u64 {
        self.encoded.load(Ordering::Relaxed)
    }

    /// The feed of a stream, begun if nobody listens yet. One whose stream has ended makes nothing any more.
    pub(crate) fn of(&self, name: &StreamName) -> Arc<Feed> {
        let mut feeds = self.feeds.lock().unwrap_or_else(PoisonError::into_inner);
        let known = feeds.get(name).and_then(Weak::upgrade);
        if let Some(feed) = known.filter(|feed| feed.made.has_changed().is_ok()) {
            return feed;
        }
        feeds.retain(|_, feed| feed.strong_count() > 0);
        let stop = CancellationToken::new();
        let (tell, made) = watch::channel(());
        let packets = broadcast::Sender::new(WAITING);
        let feed = Arc::new(Feed { packets, made, _stop: stop.clone().drop_guard() });
        let maker = Maker {
            hub: self.hub.clone(),
            name: name.clone(),
            packets: feed.packets.clone(),
            tell,
            encoded: Arc::clone(&self.encoded),
            tracks: None,
            transcoder: None,
        };
        tokio::spawn(async move {
            let _ = stop.run_until_cancelled(maker.run()).await;
        });
        feeds.insert(name.clone(), Arc::downgrade(&feed));
        feed
    }
}

/// The task that makes one feed.
struct Maker {
    hub: Hub,
    name: StreamName,
    packets: broadcast::Sender<Opus>,
    tell: watch::Sender<()>,
    encoded: Arc<AtomicU64>,
    tracks: Option<Arc<TrackSet>>,
    transcoder: Option<Transcoder>,
}

impl Maker {
    async fn run(mut self) {
        // It reads as a viewer does, and is shown as one, by the name of what it does.
        let mut subscriber = self.hub.subscribe(&self.name, Viewer::by("opus"));
        // Viewers hear from the newest batch on.
        let mut present = false;
        while let Ok(batch) = subscriber.next().await {
            self.check_tracks(&batch);
            present = present || is_newest(&subscriber, &batch);
            if present {
                self.transcode(&batch);
            }
            self.tell.send_replace(());
        }
    }

    fn check_tracks(&mut self, batch: &Batch) {
        if self.tracks.as_ref().is_some_and(|known| Arc::ptr_eq(known, &batch.tracks)) {
            return;
        }
        let aac = batch.tracks.first(Kind::Audio).filter(|track| track.codec == Codec::Aac);
        let made = aac.map(|track| Transcoder::new(&track.configuration));
        if let Some(Err(error)) = &made {
            tracing::warn!(stream = %self.name, %error, "WebRTC viewers hear nothing");
        }
        self.transcoder = made.and_then(Result::ok);
        self.tracks = Some(Arc::clone(&batch.tracks));
    }

    fn transcode(&mut self, batch: &Batch) {
        let Some(transcoder) = &mut self.transcoder else { return };
        let mut made = Vec::new();
        for frame in batch.frames.iter().filter(|frame| frame.codec == Codec::Aac && frame.content == Content::Media) {
            if let Err(error) = transcoder.handle_frame(frame.dts, &frame.payload, &mut made) {
                tracing::debug!(stream = %self.name, %error, "sound is lost");
            }
        }
        self.encoded.fetch_add(made.len() as u64, Ordering::Relaxed);
        for Packet { at, payload } in made {
            let timestamp = sluicegate_rtp::timestamp(Codec::Opus, at);
            // Without a listener at this moment there is nothing to do.
            let _ = self.packets.send(Opus { timestamp, payload });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sluicegate_hub::{Config, Expects, Publish};
    use sluicegate_media::{Frame, Timestamp, TrackId};
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_stream_that_begins_anew_has_sound_though_somebody_holds_the_feed_of_before() {
        let (hub, name) = (Hub::new(Config::default()).unwrap(), StreamName::parse("live/cam").unwrap());
        let feeds = Feeds::new(hub.clone());
        let publish = || hub.publish(&name, Publish::by("test").expecting(Expects::VIDEO)).unwrap();
        let publisher = publish();
        let before = feeds.of(&name);
        assert!(Arc::ptr_eq(&before, &feeds.of(&name)));
        let mut made = before.made.clone();
        publisher.push(Frame::configuration(TrackId::VIDEO, Codec::Vp8, Timestamp::ZERO, Bytes::new())).unwrap();
        for millis in [0, 40, 80] {
            let picture = Frame::media(TrackId::VIDEO, Codec::Vp8, Timestamp::from_millis(millis), vec![0].into());
            publisher.push(picture.with_key(true)).unwrap();
        }
        let soon = Duration::from_secs(10);
        timeout(soon, made.changed()).await.unwrap().unwrap();
        publisher.finish();
        timeout(soon, async { while made.changed().await.is_ok() {} }).await.unwrap();
        let _publisher = publish();
        assert!(feeds.of(&name).made.has_changed().is_ok());
    }
}

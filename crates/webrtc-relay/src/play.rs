//! A viewer's session: batches of the hub out, as packets that all viewers share.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sluicegate_hub::{Batch, Ended, Output, StreamName, Subscriber, TrackSet, Viewer, ViewerPath};
use sluicegate_media::Kind;
use sluicegate_rtc_driver::media::{Direction, RtpPacket};
use sluicegate_rtc_driver::{CloseReason, Connection, Event, State};
use tokio::time::sleep_until;

use crate::cut::Cuts;
use crate::engine::{Engine, Place, Sent};
use crate::estimate::Path;
use crate::lane::{self, Lane};
use crate::offer::codec;
use crate::sound::{self, Feed, Listener, Opus};
use crate::splice::Splice;
use crate::switch::{Ready, Switch};
use crate::{Ending, Error, Session, metrics};

/// Bytes that go out at once when a viewer begins; what is older than now follows at [`CATCH_UP`].
const BURST: u64 = 256 * 1024;
/// Bytes a second at which a beginning viewer is brought to the present: 100 Mbit/s, several times any stream, and
/// little enough for the socket buffers of browsers.
const CATCH_UP: u64 = 12_500_000;
/// Between two requests of a viewer for a key frame that reach the publisher.
const KEY_FRAME_PAUSE: Duration = Duration::from_millis(500);

/// What a viewer's session needs of the stream.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) engine: Engine,
    /// The stream that plays; its variant.
    pub(crate) name: StreamName,
    pub(crate) viewer: Viewer,
    pub(crate) output: Output,
    /// Holds the viewer's place, and the demand, until the session is connected.
    pub(crate) place: Place,
    /// The stream's packets, as all its viewers get them.
    pub(crate) cuts: Arc<Cuts>,
    /// Opus in place of the stream's own sound.
    pub(crate) feed: Option<Arc<Feed>>,
}

/// One viewer.
#[derive(Debug)]
pub(crate) struct Playing {
    connection: Connection,
    source: Source,
    /// Moves the viewer to other variants where it may.
    switch: Option<Switch>,
    splice: Splice,
    session: Session,
    lanes: Vec<Lane>,
    tracks: Option<Arc<TrackSet>>,
    /// Frames are left out until a key frame comes.
    skipping: bool,
    /// The newest batch has been sent once. What is older was shown, and its pictures are needed for the next ones, but
    /// its sound would be played at its own pace, with pictures held back to wait for it.
    present: bool,
    /// The peer knows which time of the stream is now.
    told: bool,
    began: Option<Instant>,
    sent: u64,
    asked: Option<Instant>,
    path: Path,
}

impl Playing {
    pub(crate) fn new(
        connection: Connection,
        source: Source,
        switch: Option<Switch>,
        session: Session,
        lanes: &[Sent],
    ) -> Self {
        let lanes = lanes.iter().copied().map(Lane::new).collect();
        let (tracks, skipping, present, told, began, sent, asked) = (None, true, false, false, None, 0, None);
        let (path, splice) = (Path::new(Instant::now()), Splice::new(Instant::now()));
        Self {
            connection,
            source,
            switch,
            splice,
            session,
            lanes,
            tracks,
            skipping,
            present,
            told,
            began,
            sent,
            asked,
            path,
        }
    }

    /// Runs until the session or the stream ends.
    pub(crate) async fn run(mut self) {
        let ending = match self.connect().await {
            Ok(()) => self.send().await,
            Err(ending) => ending,
        };
        metrics::ended("play", ending.name());
        tracing::info!(stream = %self.source.name, reason = %ending, "WebRTC viewer ended");
        self.session.end(ending);
    }

    async fn connect(&mut self) -> Result<(), Ending> {
        loop {
            let event = self.connection.next().await;
            let connected = event == Some(Event::State(State::Connected));
            self.handle(event)?;
            if connected {
                self.session.went_live();
                return Ok(());
            }
        }
    }

    fn handle(&mut self, event: Option<Event>) -> Result<(), Ending> {
        match event {
            None => Err(Ending::Transport(CloseReason::Local)),
            Some(Event::State(State::Closed(reason))) => Err(Ending::Transport(reason)),
            Some(Event::TrackOpen { track, direction: Direction::Send, codec: opened, .. }) => {
                let codec = codec(&opened.name);
                self.lanes
                    .iter_mut()
                    .filter(|lane| Some(lane.codec) == codec)
                    .for_each(|lane| lane.track = Some(track));
                Ok(())
            }
            Some(Event::KeyFrameWanted(_)) => {
                self.want_key_frame();
                Ok(())
            }
            Some(Event::ReceiverReport { track, lost, round_trip }) => {
                let pictures = |lane: &Lane| lane.track == Some(track) && lane.codec.kind() == Kind::Video;
                if self.lanes.iter().any(pictures) {
                    let now = Instant::now();
                    self.path.report(now, lost, round_trip);
                    if let Some(switch) = &mut self.switch {
                        self.path.set_richest(switch.look(now, &self.source.name, self.path.estimate()));
                    }
                    self.session.set_estimate(self.path.estimate());
                    self.path.estimate().into_iter().for_each(metrics::estimate);
                    let estimate = self.path.estimate();
                    self.source.place.subscriber.set_path(ViewerPath { estimate, round_trip, lost });
                }
                Ok(())
            }
            Some(_) => Ok(()),
        }
    }

    fn want_key_frame(&mut self) {
        let now = Instant::now();
        if self.asked.is_none_or(|asked| now.saturating_duration_since(asked) >= KEY_FRAME_PAUSE) {
            self.asked = Some(now);
            self.source.place.subscriber.want_key_frame();
        }
    }

    async fn send(&mut self) -> Ending {
        // A new cursor begins at the newest key frame, which may be younger than the request.
        self.source.place.subscriber = self.source.engine.hub().subscribe(&self.source.name, self.source.viewer);
        // The stream may have ended and begun anew while the session connected, and a feed ends with its stream.
        if let Some(feed) = &mut self.source.feed {
            *feed = self.source.engine.feed(&self.source.name);
        }
        self.began = Some(Instant::now());
        let mut sound = self.source.feed.as_ref().map(|feed| feed.listen());
        loop {
            let batch = tokio::select! {
                event = self.connection.next() => {
                    if let Err(ending) = self.handle(event) {
                        return ending;
                    }
                    continue;
                }
                ready = Switch::ready(&mut self.switch, |tracks| lane::fit(&self.lanes, tracks)) => {
                    let batch = self.go_on_with(ready);
                    sound = self.source.feed.as_ref().map(|feed| feed.listen());
                    Ok(Some(batch))
                }
                batch = next(&mut self.source.place.subscriber, &mut sound) => batch,
            };
            let done = match batch {
                Ok(None) => Ok(()),
                Ok(Some(batch)) => self.batch(&batch).map_err(|error| Ending::Failed(error.line())),
                Err(Ended { reason }) => Err(Ending::Stream(reason)),
            };
            if let Err(ending) = done {
                return ending;
            }
            self.sound(&mut sound);
            if let Some(due) = self.paced() {
                sleep_until(due.into()).await;
            }
        }
    }

    /// When the next batch may go out, for a viewer that is still being brought to the present.
    fn paced(&self) -> Option<Instant> {
        let over = self.sent.checked_sub(BURST)?;
        let due = self.began? + Duration::from_micros(over.saturating_mul(1_000_000) / CATCH_UP);
        (due > Instant::now()).then_some(due)
    }

    fn batch(&mut self, batch: &Batch) -> Result<(), Error> {
        self.check_tracks(batch)?;
        self.splice.note(Instant::now(), batch);
        let begins = self.skipping && batch.random_access;
        self.skipping &= !batch.random_access;
        let cut = self.source.cuts.of(self.source.output.body(batch));
        if !self.admits(cut.bytes, begins) {
            metrics::left_out();
        }
        self.tell_clock();
        self.present = self.present || sound::is_newest(&self.source.place.subscriber, batch);
        let (skipping, present) = (self.skipping, self.present);
        // Sound goes on without pictures.
        let goes = |lane: &&mut Lane| if lane.codec.kind() == Kind::Audio { present } else { !skipping };
        for lane in self.lanes.iter_mut().filter(goes) {
            let Some(track) = lane.track.filter(|_| lane.source == lane.codec && !lane.silent) else { continue };
            let kind = lane.codec.kind();
            let packets = cut.of(kind);
            if kind == Kind::Video && packets.iter().any(|packet| lane.goes_back(packet.timestamp)) {
                return Err(Error::Reordered);
            }
            let Ok(count) = u16::try_from(packets.len()) else { continue };
            let first = lane.sequence.wrapping_add(1);
            lane.sequence = lane.sequence.wrapping_add(count);
            let packets = lane.placed(packets, self.splice.ticks(lane.codec));
            if count > 0 && self.connection.handle().send_shared(track, packets, first).is_err() {
                // The session is far behind: it goes on at a key frame.
                metrics::left_out();
                self.skipping = true;
            }
        }
        if !skipping {
            self.source.place.subscriber.sent(cut.bytes);
            self.sent = self.sent.saturating_add(cut.bytes as u64);
        }
        Ok(())
    }

    /// Before the first packets, which are pictures of a while ago and the sound of now, the peer learns which timestamps
    /// are now.
    fn tell_clock(&mut self) {
        if std::mem::replace(&mut self.told, true) {
            return;
        }
        let newest = self.source.place.subscriber.newest();
        let Some(present) = newest.and_then(|batch| batch.frames.iter().map(|frame| frame.dts).max()) else { return };
        let timestamps = self.lanes.iter().filter_map(|lane| {
            let track = lane.track.filter(|_| !lane.silent)?;
            Some((track, sluicegate_rtp::timestamp(lane.codec, present).wrapping_add(self.splice.ticks(lane.codec))))
        });
        self.connection.handle().tell_clock(Instant::now(), timestamps.collect());
    }

    /// Leaves the stream that played for another variant of it, whose first batch this is.
    fn go_on_with(&mut self, Ready { to, place, pace, batch }: Ready) -> Arc<Batch> {
        let now = Instant::now();
        self.lanes.iter_mut().for_each(|lane| lane.go_on_with(&batch.tracks));
        let transcodes = self.lanes.iter().any(|lane| lane.source != lane.codec);
        tracing::info!(from = %self.source.name, to = %to.to(), estimate = self.path.estimate(), "WebRTC viewer moved");
        self.source = self.source.engine.source(place, self.source.viewer, transcodes);
        self.splice.join(now, pace, &batch);
        self.path.moved(to.direction() == "up");
        (self.tracks, self.skipping) = (None, false);
        self.switch.iter_mut().for_each(|switch| switch.moved(now, &to));
        batch
    }

    /// Whether the pictures of a batch go out. A path that carries less than the stream gets them from key frame to key
    /// frame.
    fn admits(&mut self, bytes: usize, begins: bool) -> bool {
        if self.skipping {
            self.path.leave_out(bytes);
        } else if !self.path.admits(Instant::now(), bytes, begins) {
            self.skipping = true;
            metrics::skipped();
        }
        !self.skipping
    }

    /// Sends what was made of the stream's sound since the last time.
    fn sound(&mut self, sound: &mut Option<Listener>) {
        let Some(sound) = sound else { return };
        let lane = self.lanes.iter_mut().find(|lane| lane.source != lane.codec);
        let packet = |Opus { timestamp, payload }| RtpPacket { sequence: 0, timestamp, marker: false, payload };
        let mut packets: Vec<RtpPacket> = sound.made().map(packet).collect();
        let Some((lane, track)) = lane.and_then(|lane| lane.track.map(|track| (lane, track))) else { return };
        let shift = self.splice.ticks(lane.codec);
        for packet in &mut packets {
            lane.sequence = lane.sequence.wrapping_add(1);
            (packet.sequence, packet.timestamp) = (lane.sequence, packet.timestamp.wrapping_add(shift));
        }
        let bytes = packets.iter().map(|packet| packet.payload.len()).sum();
        self.source.place.subscriber.sent(bytes);
        if !packets.is_empty() && self.connection.handle().send_rtp(track, packets).is_err() {
            metrics::left_out();
        }
    }

    /// New parameter sets travel in band; another codec needs another session.
    fn check_tracks(&mut self, batch: &Batch) -> Result<(), Error> {
        if self.tracks.as_ref().is_some_and(|known| Arc::ptr_eq(known, &batch.tracks)) {
            return Ok(());
        }
        for lane in self.lanes.iter().filter(|lane| !lane.silent) {
            let now = batch.tracks.first(lane.source.kind()).map(|track| track.codec);
            if let Some(codec) = now.filter(|codec| *codec != lane.source) {
                return Err(Error::Changed { codec });
            }
        }
        self.tracks = Some(Arc::clone(&batch.tracks));
        Ok(())
    }
}

/// A stream's next batch; `None` where there is sound alone. Safe to cancel.
async fn next(subscriber: &mut Subscriber, sound: &mut Option<Listener>) -> Result<Option<Arc<Batch>>, Ended> {
    match sound {
        Some(sound) => sound.next(subscriber).await,
        None => subscriber.next().await.map(Some),
    }
}

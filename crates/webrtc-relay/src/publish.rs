//! A publisher's session: packets in, frames to the hub.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sluicegate_hub::{Expects, Publisher};
use sluicegate_media::{Codec, Kind, TrackId};
use sluicegate_rtc_driver::media::{self, Direction, RtpPacket};
use sluicegate_rtc_driver::{CloseReason, Connection, Event, State};
use sluicegate_rtp::{Inbound, Limits, Output, Packet};
use tokio::time::sleep_until;

use crate::hold::{Frames, Hold};
use crate::offer::codec;
use crate::{Config, Ending, Error, Session, metrics};

/// One publisher.
#[derive(Debug)]
pub(crate) struct Publishing {
    connection: Connection,
    publisher: Publisher,
    session: Session,
    config: Config,
    inbound: Inbound,
    hold: Hold,
    /// The hub's number and codec of each of the session's tracks.
    tracks: HashMap<media::TrackId, (TrackId, Codec)>,
    last_packet: Option<Instant>,
    last_key: Instant,
    asked: Option<Instant>,
}

impl Publishing {
    pub(crate) fn new(
        connection: Connection,
        publisher: Publisher,
        expects: Expects,
        session: Session,
        config: Config,
    ) -> Self {
        let (inbound, hold, tracks) = (Inbound::new(Limits::default()), Hold::new(expects), HashMap::new());
        let (last_packet, last_key, asked) = (None, Instant::now(), None);
        Self { connection, publisher, session, config, inbound, hold, tracks, last_packet, last_key, asked }
    }

    /// Runs until the session or the stream ends.
    pub(crate) async fn run(mut self) {
        let name = self.publisher.name().clone();
        let ending = self.receive().await;
        metrics::ended("publish", ending.name());
        tracing::info!(stream = %name, reason = %ending, "WebRTC publisher ended");
        let done = matches!(ending, Ending::Transport(CloseReason::Local | CloseReason::Peer));
        // Whoever says goodbye is done; whoever is lost may come back, and viewers wait for that.
        if done {
            self.publisher.finish();
        }
        self.session.end(ending);
    }

    async fn receive(&mut self) -> Ending {
        let began = Instant::now();
        let mut wanted = self.publisher.key_frames_wanted();
        loop {
            let silent = self.last_packet.map_or(began + self.config.first_packet, |at| at + self.config.silence);
            let dues = [self.inbound.poll_timeout(), self.hold.due(), self.next_key_frame()];
            let due = dues.into_iter().flatten().fold(silent, Instant::min);
            let event = tokio::select! {
                event = self.connection.next() => event,
                reason = self.publisher.closed() => return Ending::Stream(reason),
                Ok(()) = wanted.changed() => { self.ask_key_frame(Instant::now()); continue }
                () = sleep_until(due.into()) => {
                    let now = Instant::now();
                    if now >= silent {
                        let since = self.last_packet.unwrap_or(began);
                        return Ending::Failed(Error::Silent { seconds: (now - since).as_secs() }.to_string());
                    }
                    if let Err(ending) = self.tick(now) {
                        return ending;
                    }
                    continue;
                }
            };
            match self.handle(event) {
                Ok(()) => {}
                Err(ending) => return ending,
            }
        }
    }

    fn handle(&mut self, event: Option<Event>) -> Result<(), Ending> {
        match event {
            None => return Err(Ending::Transport(CloseReason::Local)),
            Some(Event::State(State::Closed(reason))) => return Err(Ending::Transport(reason)),
            Some(Event::TrackOpen { track, direction: Direction::Receive, codec: opened, .. }) => {
                self.open(track, &opened);
            }
            Some(Event::Rtp { track, packet }) => return self.packet(track, packet),
            Some(Event::SenderReport { track, ntp, timestamp }) => {
                if let Some((id, _)) = self.tracks.get(&track) {
                    self.inbound.handle_report(*id, ntp, timestamp);
                }
            }
            Some(_) => {}
        }
        Ok(())
    }

    fn open(&mut self, track: media::TrackId, opened: &media::Codec) {
        let Some(codec) = codec(&opened.name) else { return };
        let id = if codec.kind() == Kind::Video { TrackId::VIDEO } else { TrackId::AUDIO };
        tracing::debug!(stream = %self.publisher.name(), %codec, "a track begins");
        self.inbound.add_track(id, codec);
        self.tracks.insert(track, (id, codec));
    }

    fn packet(&mut self, track: media::TrackId, packet: RtpPacket) -> Result<(), Ending> {
        let now = Instant::now();
        let Some((id, _)) = self.tracks.get(&track) else { return Ok(()) };
        if self.last_packet.replace(now).is_none() {
            self.session.went_live();
        }
        let RtpPacket { sequence, timestamp, marker, payload } = packet;
        self.inbound.handle_packet(now, *id, Packet { sequence, timestamp, marker, payload });
        self.outputs(now)
    }

    fn tick(&mut self, now: Instant) -> Result<(), Ending> {
        self.inbound.handle_timeout(now);
        let waited = self.hold.timed_out(now);
        self.push(waited)?;
        if self.next_key_frame().is_some_and(|due| now >= due) {
            self.ask_key_frame(now);
        }
        self.outputs(now)
    }

    fn outputs(&mut self, now: Instant) -> Result<(), Ending> {
        while let Some(output) = self.inbound.poll_output() {
            match output {
                Output::Frame(frame) => {
                    if frame.kind() == Kind::Video && frame.key {
                        self.last_key = now;
                    }
                    let frames = self.hold.take(now, frame);
                    self.push(frames)?;
                }
                Output::KeyFrameWanted(_) => self.ask_key_frame(now),
                Output::Damaged(_, error) => {
                    metrics::damaged();
                    tracing::debug!(stream = %self.publisher.name(), %error, "a payload is damaged");
                }
            }
        }
        Ok(())
    }

    fn push(&mut self, frames: Frames) -> Result<(), Ending> {
        frames.into_iter().try_for_each(|frame| self.publisher.push(frame)).map_err(|error| match error {
            sluicegate_hub::Error::Ended(ended) => Ending::Stream(ended.reason),
            other => Ending::Failed(Error::from(other).line()),
        })
    }

    fn video(&self) -> Option<media::TrackId> {
        self.tracks.iter().find(|(_, (_, codec))| codec.kind() == Kind::Video).map(|(track, _)| *track)
    }

    /// When the publisher is asked because it has sent no key frame by itself.
    fn next_key_frame(&self) -> Option<Instant> {
        self.video()?;
        let due = self.last_key + self.config.key_frame_interval;
        Some(self.asked.map_or(due, |asked| due.max(asked + self.pause())))
    }

    /// A publisher that does not answer is asked at the interval, not at the shorter pause.
    fn pause(&self) -> Duration {
        self.config.key_frame_interval
    }

    fn ask_key_frame(&mut self, now: Instant) {
        let Some(track) = self.video() else { return };
        if self.asked.is_none_or(|asked| now.saturating_duration_since(asked) >= self.config.key_frame_pause) {
            self.asked = Some(now);
            metrics::key_frame_asked();
            self.connection.handle().request_key_frame(track);
        }
    }
}

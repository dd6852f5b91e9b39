//! Packets of a publisher into the hub.

use bytes::Bytes;
use sluicegate_hub::{Expects, Publisher, StreamName};
use sluicegate_media::{Frame, Kind, TrackId};
use sluicegate_rtp::{Inbound, Limits, Output};
use tokio::time::Instant;

use crate::sdp::Media;
use crate::server::MAX_TRACKS;
use crate::server::transport::Transport;
use crate::wire::rtp;
use crate::{Error, metrics};

/// What a client has said that it publishes.
#[derive(Debug)]
pub(super) struct Announced {
    pub(super) name: StreamName,
    /// Its software, as it says.
    pub(super) agent: String,
    media: Vec<Option<Media>>,
}

impl Announced {
    /// `None` when nothing of it can be carried.
    pub(super) fn new(name: StreamName, mut media: Vec<Option<Media>>, agent: String) -> Option<Self> {
        media.truncate(MAX_TRACKS);
        media.iter().any(Option::is_some).then_some(Self { name, agent, media })
    }

    /// Whether there is a media at this place. One that cannot be carried may be set up; it leads nowhere.
    pub(super) fn has(&self, place: usize) -> bool {
        place < self.media.len()
    }

    fn set_up<'a>(
        &'a self,
        tracks: &'a [Option<Transport>; MAX_TRACKS],
    ) -> impl Iterator<Item = (&'a Media, u8, u8)> + 'a {
        self.media.iter().zip(tracks).filter_map(|(media, track)| match track {
            Some(Transport::Interleaved(rtp, rtcp)) => Some((media.as_ref()?, *rtp, *rtcp)),
            _ => None,
        })
    }

    /// What will come, of the tracks that are set up.
    pub(super) fn expects(&self, tracks: &[Option<Transport>; MAX_TRACKS]) -> Expects {
        let has = |kind| self.set_up(tracks).any(|(media, ..)| media.codec.kind() == kind);
        Expects { video: has(Kind::Video), audio: has(Kind::Audio) }
    }
}

/// Where a track's packets arrive.
#[derive(Debug)]
struct Channel {
    rtp: u8,
    rtcp: u8,
    id: TrackId,
    media: Media,
    configured: bool,
}

/// One publisher's packets.
#[derive(Debug)]
pub(super) struct Intake {
    inbound: Inbound,
    channels: Vec<Channel>,
    progress: Instant,
}

impl Intake {
    pub(super) fn new(announced: &Announced, tracks: &[Option<Transport>; MAX_TRACKS]) -> Self {
        let mut inbound = Inbound::new(Limits::default());
        let mut channels = Vec::new();
        for (media, rtp, rtcp) in announced.set_up(tracks) {
            let id = if media.codec.kind() == Kind::Video { TrackId::VIDEO } else { TrackId::AUDIO };
            inbound.add_track_at(id, media.codec, media.rate);
            let configured = media.configuration.is_empty();
            channels.push(Channel { rtp, rtcp, id, media: media.clone(), configured });
        }
        Self { inbound, channels, progress: Instant::now() }
    }

    /// When a frame came last.
    pub(super) const fn progress(&self) -> Instant {
        self.progress
    }

    /// When [`advance`](Self::advance) is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.inbound.poll_timeout().map(Instant::from_std)
    }

    /// Takes what comes on a channel.
    pub(super) fn take(&mut self, channel: u8, payload: Bytes, publisher: &Publisher) -> Result<(), Error> {
        let of = |known: &&Channel| known.rtp == channel || known.rtcp == channel;
        let Some(Channel { rtp, id, .. }) = self.channels.iter().find(of) else { return Ok(()) };
        // Some send reports among the packets; their types are none that packets have (RFC 5761 section 4).
        let is_report = payload.get(1).is_some_and(|kind| (192..=223).contains(kind));
        if *rtp != channel || is_report {
            if let Some((ntp, timestamp)) = rtp::report(&payload) {
                self.inbound.handle_report(*id, ntp, timestamp);
            }
            return Ok(());
        }
        match rtp::parse(payload) {
            Some((_, packet)) => self.inbound.handle_packet(Instant::now().into_std(), *id, packet),
            None => metrics::fault(),
        }
        self.publish(publisher)
    }

    /// Gives up on what is overdue.
    pub(super) fn advance(&mut self, publisher: &Publisher) -> Result<(), Error> {
        self.inbound.handle_timeout(Instant::now().into_std());
        self.publish(publisher)
    }

    fn publish(&mut self, publisher: &Publisher) -> Result<(), Error> {
        while let Some(output) = self.inbound.poll_output() {
            match output {
                Output::Frame(frame) => {
                    self.progress = Instant::now();
                    if let Some(configuration) = self.configuration(&frame) {
                        publisher.push(configuration)?;
                    }
                    publisher.push(apart(frame))?;
                }
                Output::Damaged(_, error) => {
                    metrics::fault();
                    tracing::debug!(%error, "a packet of a publisher cannot be used");
                }
                // A publisher by RTSP cannot be asked.
                Output::KeyFrameWanted(_) => {}
            }
        }
        Ok(())
    }

    /// What the description told of the track, before its first frame.
    fn configuration(&mut self, frame: &Frame) -> Option<Frame> {
        let channel = self.channels.iter_mut().find(|channel| channel.id == frame.track && !channel.configured)?;
        channel.configured = true;
        let configuration = channel.media.configuration.clone();
        Some(Frame::configuration(frame.track, frame.codec, frame.dts, configuration))
    }
}

/// Sound is a piece of what was read; as such it would keep all of that in memory, pictures included, as long as the
/// stream keeps the sound.
fn apart(frame: Frame) -> Frame {
    match frame.kind() {
        Kind::Audio => Frame { payload: Bytes::copy_from_slice(&frame.payload), ..frame },
        _ => frame,
    }
}

//! Ordered packets of one track to whole frames.

use bytes::{Bytes, BytesMut};
use sluicegate_media::{Codec, av1 as av1_record, avc, hevc};
use smallvec::SmallVec;

use crate::nal::{self, Sets};
use crate::{Error, Packet, aac, av1, h264, h265, vp8, vp9};

/// `OpusHead` of what WebRTC sends: stereo, 48 kHz, no pre-skip, since a live stream has no beginning (RFC 7845 §5.1).
const OPUS_HEAD: &[u8] = b"OpusHead\x01\x02\x00\x00\x80\xbb\x00\x00\x00\x00\x00";

/// A whole frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    pub(crate) timestamp: u32,
    pub(crate) key: bool,
    pub(crate) payload: Bytes,
    /// The decoder configuration, where it differs from the last.
    pub(crate) configuration: Option<Bytes>,
}

/// The frame in the making.
#[derive(Debug)]
enum Building {
    Avc(nal::Builder),
    Hevc(nal::Builder),
    Av1(av1::Builder),
    /// VP8 and VP9: the frame, and whether it has begun and is a key frame.
    Vpx {
        frame: BytesMut,
        begun: bool,
        key: bool,
    },
    Sound(Bytes),
}

impl Building {
    fn new(codec: Codec) -> Self {
        match codec {
            Codec::H264 => Self::Avc(nal::Builder::default()),
            Codec::H265 => Self::Hevc(nal::Builder::default()),
            Codec::Av1 => Self::Av1(av1::Builder::default()),
            Codec::Vp8 | Codec::Vp9 => Self::Vpx { frame: BytesMut::new(), begun: false, key: false },
            _ => Self::Sound(Bytes::new()),
        }
    }

    fn add(&mut self, codec: Codec, payload: &Bytes) -> Result<(), Error> {
        match self {
            Self::Avc(unit) => h264::depacketize(payload, unit),
            Self::Hevc(unit) => h265::depacketize(payload, unit),
            Self::Av1(unit) => unit.depacketize(payload),
            Self::Vpx { frame, begun, key } => {
                let (piece, begins, is_key) = match codec {
                    Codec::Vp9 => vp9::depacketize(payload)?,
                    _ => vp8::depacketize(payload).map(|(piece, begins)| (piece, begins, vp8::is_key(piece)))?,
                };
                if begins && !*begun {
                    (*begun, *key) = (true, is_key);
                }
                if !*begun {
                    return Err(Error::Fragment { codec: if codec == Codec::Vp9 { "VP9" } else { "VP8" } });
                }
                frame.extend_from_slice(piece);
                Ok(())
            }
            Self::Sound(frame) => {
                *frame = payload.clone();
                Ok(())
            }
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Avc(unit) | Self::Hevc(unit) => unit.len(),
            Self::Av1(unit) => unit.len(),
            Self::Vpx { frame, .. } => frame.len(),
            Self::Sound(frame) => frame.len(),
        }
    }
}

/// Gathers the packets of one track.
#[derive(Debug)]
pub(crate) struct Depacketizer {
    codec: Codec,
    limit: usize,
    building: Option<(u32, Building)>,
    /// The rest of the picture at hand cannot be used.
    skipping: Option<u32>,
    sets: Sets,
    configured: Option<Bytes>,
    /// AAC, of which a packet holds any number of frames.
    aac: aac::Builder,
}

impl Depacketizer {
    pub(crate) fn new(codec: Codec, limit: usize) -> Self {
        let (sets, aac) = (Sets::default(), aac::Builder::default());
        Self { codec, limit, building: None, skipping: None, sets, configured: None, aac }
    }

    fn is_sound(&self) -> bool {
        self.codec.kind() == sluicegate_media::Kind::Audio
    }

    /// Packets are missing: the picture at hand is lost, and so is the one that the next packet belongs to.
    pub(crate) fn gap(&mut self) {
        self.building = None;
        self.aac.gap();
    }

    /// Skips what is left of the picture with this timestamp.
    pub(crate) fn skip(&mut self, timestamp: u32) {
        self.building = None;
        self.skipping = Some(timestamp);
    }

    /// Takes the next packet; returns the frames that it completes: the one before, whose marker was missing, and its own.
    pub(crate) fn handle_packet(&mut self, packet: &Packet) -> SmallVec<[Result<Unit, Error>; 2]> {
        if self.codec == Codec::Aac && !packet.payload.is_empty() {
            return self.aac.depacketize(packet);
        }
        self.handle_part(packet).into_iter().flatten().collect()
    }

    fn handle_part(&mut self, packet: &Packet) -> [Option<Result<Unit, Error>>; 2] {
        let before = match &self.building {
            Some((timestamp, _)) if *timestamp != packet.timestamp => self.finish(),
            _ => None,
        };
        if self.skipping == Some(packet.timestamp) {
            return [before, None];
        }
        self.skipping = None;
        if packet.payload.is_empty() {
            // Padding, which senders probe with.
            return [before, None];
        }
        let (codec, timestamp) = (self.codec, packet.timestamp);
        let (_, building) = self.building.get_or_insert_with(|| (timestamp, Building::new(codec)));
        let added = building.add(codec, &packet.payload);
        let too_long = building.len() > self.limit;
        if let Err(error) = added.and(if too_long { Err(Error::TooLong { limit: self.limit }) } else { Ok(()) }) {
            self.skip(timestamp);
            return [before, Some(Err(error))];
        }
        let now = if packet.marker || self.is_sound() { self.finish() } else { None };
        [before, now]
    }

    fn finish(&mut self) -> Option<Result<Unit, Error>> {
        let (timestamp, building) = self.building.take()?;
        let unit = self.unit(timestamp, building);
        unit.map(|unit| (!unit.payload.is_empty()).then_some(unit)).transpose()
    }

    fn unit(&mut self, timestamp: u32, building: Building) -> Result<Unit, Error> {
        let (payload, key, configuration) = match building {
            Building::Avc(unit) => {
                self.sets.update(unit.sets.clone());
                let record = self.sets.sps.as_ref().and_then(|sps| avc::record(sps, &self.sets.pps).ok());
                let key = unit.key;
                (unit.finish("H264")?, key, record)
            }
            Building::Hevc(unit) => {
                self.sets.update(unit.sets.clone());
                let Sets { vps, sps, pps } = &self.sets;
                let record = vps.as_ref().zip(sps.as_ref()).and_then(|(vps, sps)| hevc::record(vps, sps, pps).ok());
                let key = unit.key;
                (unit.finish("H265")?, key, record)
            }
            Building::Av1(unit) => {
                let record = unit.sequence_header.as_ref().and_then(|header| av1_record::record(header).ok());
                // Encoders for RTP send a sequence header with each key frame and nowhere else.
                let key = unit.sequence_header.is_some();
                (unit.finish()?, key, record)
            }
            Building::Vpx { frame, key, .. } => (frame.freeze(), key, None),
            Building::Sound(frame) => {
                let opus = self.codec == Codec::Opus;
                (frame, true, opus.then(|| OPUS_HEAD.to_vec()))
            }
        };
        let configuration = configuration.map(Bytes::from).filter(|made| self.configured.as_ref() != Some(made));
        if configuration.is_some() {
            self.configured.clone_from(&configuration);
        }
        Ok(Unit { timestamp, key, payload, configuration })
    }
}

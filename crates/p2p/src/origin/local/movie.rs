//! What a `moov` says of its tracks.

use bytes::Buf;
use sluicegate_media::{aac, av1, avc, hevc};

use super::source::ScanError;
use crate::index::{BoxHead, IndexError};

/// Tracks of a file, at most.
const MAX_TRACKS: usize = 32;
/// Bytes of a picture's and of a sound's description before its own boxes.
const VISUAL_ENTRY: usize = 78;
const AUDIO_ENTRY: usize = 28;

/// What a track carries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Kind {
    Video,
    Audio,
    #[default]
    Other,
}

/// A track.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Track {
    pub(super) id: u32,
    pub(super) kind: Kind,
    pub(super) timescale: u32,
    pub(super) codec: String,
    pub(super) height: u32,
    /// Of a sample that says nothing itself.
    pub(super) default_duration: u32,
    pub(super) default_flags: u32,
}

/// A movie.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Movie {
    pub(super) tracks: Vec<Track>,
    timescale: u32,
    duration: u64,
}

/// The boxes within a box, each with its content. A damaged one ends them.
pub(super) fn boxes(mut content: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let head = BoxHead::parse(content).ok()?;
        let size = head.size.map_or(Some(content.len()), |size| usize::try_from(size).ok())?;
        let (start, whole) = (usize::try_from(head.head).ok()?, content.get(..size)?);
        content = content.get(size..)?;
        Some((head.kind, whole.get(start..)?))
    })
}

/// The content of the first box of a kind.
fn find<'a>(content: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    boxes(content).find(|(found, _)| found == kind).map(|(_, content)| content)
}

/// The content of a box behind a path of kinds.
fn descend<'a>(content: &'a [u8], path: &[&[u8; 4]]) -> Option<&'a [u8]> {
    path.iter().try_fold(content, |content, kind| find(content, kind))
}

impl Movie {
    /// Reads what a `moov` contains.
    pub(super) fn parse(moov: &[u8]) -> Result<Self, ScanError> {
        let mut movie = Self::default();
        for (kind, content) in boxes(moov) {
            match &kind {
                b"mvhd" => (movie.timescale, movie.duration) = times(content).unwrap_or_default(),
                b"trak" if movie.tracks.len() < MAX_TRACKS => movie.tracks.extend(Track::parse(content)),
                _ => {}
            }
        }
        let extends = find(moov, b"mvex").unwrap_or_default();
        if let Some(mut content) = find(extends, b"mehd") {
            let version = content.try_get_u32().map(|head| head >> 24).unwrap_or_default();
            let duration = if version == 1 { content.try_get_u64() } else { content.try_get_u32().map(u64::from) };
            movie.duration = duration.unwrap_or(movie.duration);
        }
        boxes(extends).filter(|(kind, _)| kind == b"trex").for_each(|(_, content)| movie.extend(content));
        if movie.tracks.is_empty() { Err(ScanError::Wrong("it has no track")) } else { Ok(movie) }
    }

    fn extend(&mut self, mut content: &[u8]) {
        let mut next = || content.try_get_u32().unwrap_or_default();
        let (_version, id, _description, duration, _size, flags) = (next(), next(), next(), next(), next(), next());
        if let Some(track) = self.tracks.iter_mut().find(|track| track.id == id) {
            (track.default_duration, track.default_flags) = (duration, flags);
        }
    }

    /// The track by which segments are made: the first with pictures, else the first.
    pub(super) fn reference(&self) -> Option<&Track> {
        self.tracks.iter().find(|track| track.kind == Kind::Video).or(self.tracks.first())
    }

    /// Ticks a second of the reference track.
    pub(super) fn timescale(&self) -> u32 {
        self.reference().map_or(1, |track| track.timescale.max(1))
    }

    /// `video/mp4; codecs="…"`, pictures first.
    pub(super) fn mime(&self) -> String {
        let of = |kind| self.tracks.iter().filter(move |track| track.kind == kind && !track.codec.is_empty());
        let codecs: Vec<&str> = of(Kind::Video).chain(of(Kind::Audio)).map(|track| track.codec.as_str()).collect();
        let has_video = self.tracks.iter().any(|track| track.kind == Kind::Video);
        let kind = if has_video { "video/mp4" } else { "audio/mp4" };
        if codecs.is_empty() { kind.to_owned() } else { format!("{kind}; codecs=\"{}\"", codecs.join(", ")) }
    }

    /// The height of the picture; 0 for sound.
    pub(super) fn height(&self) -> u32 {
        self.tracks.iter().map(|track| track.height).max().unwrap_or_default()
    }

    /// How long it lasts, in milliseconds; 0 when it does not say so.
    pub(super) fn milliseconds(&self) -> u64 {
        self.duration.saturating_mul(1_000) / u64::from(self.timescale.max(1))
    }
}

/// Ticks a second and ticks of a `mvhd` or `mdhd`.
fn times(mut content: &[u8]) -> Result<(u32, u64), bytes::TryGetError> {
    let version = content.try_get_u32()? >> 24;
    if version == 1 {
        let (_created, _modified) = (content.try_get_u64()?, content.try_get_u64()?);
        return Ok((content.try_get_u32()?, content.try_get_u64()?));
    }
    let (_created, _modified) = (content.try_get_u32()?, content.try_get_u32()?);
    Ok((content.try_get_u32()?, content.try_get_u32()?.into()))
}

impl Track {
    fn parse(trak: &[u8]) -> Option<Self> {
        let mut header = find(trak, b"tkhd")?;
        let version = header.try_get_u32().ok()? >> 24;
        header.advance_checked(if version == 1 { 16 } else { 8 })?;
        let id = header.try_get_u32().ok()?;
        let media = find(trak, b"mdia")?;
        let (timescale, _) = times(find(media, b"mdhd")?).ok()?;
        let kind = match find(media, b"hdlr")?.get(8..12)? {
            b"vide" => Kind::Video,
            b"soun" => Kind::Audio,
            _ => Kind::Other,
        };
        let descriptions = descend(media, &[b"minf", b"stbl", b"stsd"])?;
        let (entry, content) = boxes(descriptions.get(8..)?).next()?;
        let codec = codec(entry, content, kind);
        let height =
            content.get(26..28).filter(|_| kind == Kind::Video).map_or(0, |mut height| height.get_u16().into());
        Some(Self { id, kind, timescale, codec, height, default_duration: 0, default_flags: 0 })
    }
}

/// A step forward that may lead beyond the end.
trait AdvanceChecked {
    fn advance_checked(&mut self, count: usize) -> Option<()>;
}

impl AdvanceChecked for &[u8] {
    fn advance_checked(&mut self, count: usize) -> Option<()> {
        *self = self.get(count..)?;
        Some(())
    }
}

/// The codec as `codecs` names it (RFC 6381); empty when it cannot be told.
fn codec(entry: [u8; 4], content: &[u8], kind: Kind) -> String {
    let own = content.get(if kind == Kind::Video { VISUAL_ENTRY } else { AUDIO_ENTRY }..).unwrap_or_default();
    let name = String::from_utf8_lossy(&entry).trim().to_owned();
    let renamed = |text: String| text.get(4..).map(|rest| format!("{name}{rest}"));
    let found = match &entry {
        b"avc1" | b"avc3" => {
            let record = find(own, b"avcC").and_then(|record| avc::DecoderConfigurationRecord::parse(record).ok());
            record.and_then(|record| renamed(record.rfc6381()))
        }
        b"hvc1" | b"hev1" => {
            let record = find(own, b"hvcC").and_then(|record| hevc::DecoderConfigurationRecord::parse(record).ok());
            record.and_then(|record| renamed(record.rfc6381()))
        }
        b"av01" => {
            let record = find(own, b"av1C").and_then(|record| av1::CodecConfigurationRecord::parse(record).ok());
            record.map(|record| record.rfc6381())
        }
        b"vp08" | b"vp09" => find(own, b"vpcC").and_then(|record| vp9(&name, record)),
        b"mp4a" => find(own, b"esds").and_then(mp4a),
        b"Opus" => Some("opus".to_owned()),
        b"fLaC" => Some("flac".to_owned()),
        _ => None,
    };
    found.unwrap_or(name)
}

/// Profile, level and bit depth of a `vpcC`.
fn vp9(name: &str, record: &[u8]) -> Option<String> {
    let [_, _, _, _, profile, level, depth, ..] = record else { return None };
    Some(format!("{name}.{profile:02}.{level:02}.{:02}", depth >> 4))
}

/// Descriptors of an `esds` (ISO/IEC 14496-1, 7.2.6), down to the decoder's configuration.
fn mp4a(esds: &[u8]) -> Option<String> {
    let (es, _) = descriptor(esds.get(4..)?, 0x03)?;
    let flags = *es.get(2)?;
    // A dependence and a URL may stand before the decoder's descriptor.
    let more = if flags & 0x80 == 0 { 0 } else { 2 };
    let url = if flags & 0x40 == 0 { 0 } else { 1 + usize::from(*es.get(3 + more)?) };
    let (decoder, _) = descriptor(es.get(3 + more + url..)?, 0x04)?;
    let object = *decoder.first()?;
    if object != 0x40 {
        return Some(format!("mp4a.{object:02X}"));
    }
    let (config, _) = descriptor(decoder.get(13..)?, 0x05)?;
    aac::AudioSpecificConfig::parse(config).ok().map(|config| config.rfc6381())
}

/// The content of the descriptor with this tag at the beginning, and what follows it.
fn descriptor(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, mut rest) = bytes.split_first()?;
    if *found != tag {
        return None;
    }
    let mut size = 0_usize;
    for _ in 0..4 {
        let (byte, more) = rest.split_first()?;
        (size, rest) = (size << 7 | usize::from(byte & 0x7f), more);
        if byte & 0x80 == 0 {
            break;
        }
    }
    rest.split_at_checked(size)
}

impl From<bytes::TryGetError> for ScanError {
    fn from(_: bytes::TryGetError) -> Self {
        Self::Index(IndexError::Short("a box"))
    }
}

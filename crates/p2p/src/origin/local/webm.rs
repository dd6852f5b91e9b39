//! `WebM` files (RFC 9559), whose Cues stand before or after the clusters.

use super::cues::{Places, move_before};
use super::layout::Layout;
use super::source::{ScanError, Source};
use crate::index::{Children, Element, MAX_PART, SegmentHead, segment_head, unsigned};
use crate::media::ByteRange;
use sluicegate_media::av1;

const SEEK_HEAD: u32 = 0x114d_9b74;
const SEEK: u32 = 0x4dbb;
const SEEK_ID: u32 = 0x53ab;
const SEEK_POSITION: u32 = 0x53ac;
const INFO: u32 = 0x1549_a966;
const TIMESTAMP_SCALE: u32 = 0x2a_d7b1;
const DURATION: u32 = 0x4489;
const TRACKS: u32 = 0x1654_ae6b;
const TRACK_ENTRY: u32 = 0xae;
const TRACK_TYPE: u32 = 0x83;
const CODEC_ID: u32 = 0x86;
const CODEC_PRIVATE: u32 = 0x63a2;
const VIDEO: u32 = 0xe0;
const PIXEL_HEIGHT: u32 = 0xba;
const CLUSTER: u32 = 0x1f43_b675;
const CUES: u32 = 0x1c53_bb6b;

/// The longest head of an element: an id of 4 bytes and a size of 8.
const HEAD: usize = 12;
/// What is read to find the Segment.
const FIRST: usize = 4 << 10;
/// Elements of the Segment that are looked at, at most: clusters of 36 hours, one a second.
const MAX_ELEMENTS: usize = 200_000;
/// Bytes of an element that is read whole, at most.
const MAX_ELEMENT: usize = 2 << 20;

/// Finds out how a file is served.
pub(super) fn scan(source: &(impl Source + ?Sized)) -> Result<Layout, ScanError> {
    let segment = segment_head(&source.read_up_to(0, FIRST)?).ok_or(ScanError::Wrong("it has no Segment"))?;
    let (mut scan, mut at) = (Scan { segment, ..Scan::default() }, segment.content);
    for _ in 0..MAX_ELEMENTS {
        if at >= source.len() || scan.is_done() {
            break;
        }
        let Ok(element) = Element::parse(&source.read_up_to(at, HEAD)?) else { break };
        let start = at + u64::try_from(element.head).unwrap_or_default();
        // A cluster of unknown size is that of a live stream; nothing can be found behind it.
        let end = element.size.map_or(source.len(), |size| start.saturating_add(size).min(source.len()));
        scan.element(source, element.id, ByteRange { start: at, end }, start)?;
        at = end;
    }
    let places = scan.places();
    let mut layout = scan.layout(source.len());
    if let Some(places) = places {
        move_before(source, places, &mut layout)?;
    }
    Ok(layout)
}

/// What was found so far.
#[derive(Debug, Default)]
struct Scan {
    segment: SegmentHead,
    /// What says where the Cues are.
    seek_head: Option<ByteRange>,
    /// Where the Cues are said to be.
    promised: Option<u64>,
    cues: Option<ByteRange>,
    cluster: Option<u64>,
    scale: u64,
    duration: f64,
    video: Vec<String>,
    audio: Vec<String>,
    has_video: bool,
    height: u32,
}

impl Scan {
    fn is_done(&self) -> bool {
        self.cues.is_some() && self.cluster.is_some()
    }

    fn element(
        &mut self,
        source: &(impl Source + ?Sized),
        id: u32,
        whole: ByteRange,
        content: u64,
    ) -> Result<(), ScanError> {
        match id {
            SEEK_HEAD => {
                self.seek_head(&source.part(content, whole.end, MAX_ELEMENT)?);
                let end = whole.end.saturating_sub(1);
                self.seek_head.get_or_insert(ByteRange { start: whole.start, end });
            }
            INFO => self.info(&source.part(content, whole.end, MAX_ELEMENT)?),
            TRACKS => {
                let content = source.part(content, whole.end, MAX_ELEMENT)?;
                let entries = Children(&content).flatten().filter(|(id, _)| *id == TRACK_ENTRY);
                entries.for_each(|(_, entry)| self.track(entry));
            }
            CUES if whole.end > whole.start && whole.end - whole.start <= MAX_PART => {
                self.cues = Some(ByteRange { start: whole.start, end: whole.end - 1 });
            }
            CLUSTER if self.cluster.is_none() => {
                self.cluster = Some(whole.start);
                // Without this all clusters would be looked at.
                if let Some(at) = self.promised.filter(|at| self.cues.is_none() && *at > whole.start) {
                    self.look(source, at)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Looks for the Cues where they are said to be.
    fn look(&mut self, source: &(impl Source + ?Sized), at: u64) -> Result<(), ScanError> {
        let Ok(element) = Element::parse(&source.read_up_to(at, HEAD)?) else { return Ok(()) };
        let end = u64::try_from(element.head).ok().zip(element.size);
        let end = end.and_then(|(head, size)| at.checked_add(head)?.checked_add(size));
        let Some(end) = end.filter(|end| element.id == CUES && *end <= source.len()) else { return Ok(()) };
        self.element(source, CUES, ByteRange { start: at, end }, at)
    }

    fn seek_head(&mut self, content: &[u8]) {
        for (_, seek) in Children(content).flatten().filter(|(id, _)| *id == SEEK) {
            let is_cues = child(seek, SEEK_ID).and_then(unsigned) == Some(CUES.into());
            if let Some(at) = child(seek, SEEK_POSITION).and_then(unsigned).filter(|_| is_cues) {
                self.promised = self.segment.content.checked_add(at);
            }
        }
    }

    fn info(&mut self, content: &[u8]) {
        self.scale = child(content, TIMESTAMP_SCALE).and_then(unsigned).unwrap_or(1_000_000);
        self.duration = match child(content, DURATION) {
            Some(&[a, b, c, d]) => f32::from_be_bytes([a, b, c, d]).into(),
            Some(&[a, b, c, d, e, f, g, h]) => f64::from_be_bytes([a, b, c, d, e, f, g, h]),
            _ => 0.0,
        };
    }

    fn track(&mut self, entry: &[u8]) {
        let id = child(entry, CODEC_ID).map(String::from_utf8_lossy).unwrap_or_default();
        let private = child(entry, CODEC_PRIVATE).unwrap_or_default();
        let codec = match &*id {
            "V_VP8" => "vp8".to_owned(),
            "V_VP9" => "vp9".to_owned(),
            "V_AV1" => av1::CodecConfigurationRecord::parse(private).map_or("av01".to_owned(), |av1| av1.rfc6381()),
            "A_OPUS" => "opus".to_owned(),
            "A_VORBIS" => "vorbis".to_owned(),
            other => other.trim_start_matches(['V', 'A', '_']).to_ascii_lowercase(),
        };
        match child(entry, TRACK_TYPE).and_then(unsigned) {
            Some(1) => {
                self.has_video = true;
                self.video.push(codec);
                let height = child(entry, VIDEO).and_then(|video| child(video, PIXEL_HEIGHT)).and_then(unsigned);
                self.height = height.and_then(|height| u32::try_from(height).ok()).unwrap_or_default();
            }
            Some(2) => self.audio.push(codec),
            _ => {}
        }
    }

    /// Where everything is, when the Cues stand behind the clusters.
    fn places(&self) -> Option<Places> {
        let (cluster, cues) = (self.cluster?, self.cues?);
        let places = Places { segment: self.segment, cluster, cues, seek_head: self.seek_head };
        (cues.start > cluster).then_some(places)
    }

    fn layout(self, len: u64) -> Layout {
        let kind = if self.has_video { "video/webm" } else { "audio/webm" };
        let codecs = [self.video, self.audio].concat().join(", ");
        let mime = if codecs.is_empty() { kind.to_owned() } else { format!("{kind}; codecs=\"{codecs}\"") };
        // Without clusters or Cues there is no index, and the file is served as a whole.
        let (index, first) = (self.cues.filter(|_| self.cluster.is_some()), self.cluster.unwrap_or_default());
        // What stands between Cues and clusters is room that was kept for more Cues. Existing nodes want a cluster
        // right behind the index.
        let close = |cues: &ByteRange| (cues.end + 1..=cues.start + MAX_PART).contains(&first);
        let index = index.map(|cues| if close(&cues) { ByteRange { end: first - 1, ..cues } } else { cues });
        let init = index.map(|cues| ByteRange { start: 0, end: cues.start.min(first).saturating_sub(1) });
        let seconds = self.duration * milliseconds(self.scale);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a cast from a float stops at the ends, and what is no number becomes 0"
        )]
        let duration = seconds as u64;
        Layout { len, init, index, mime, height: self.height, duration, ..Layout::default() }
    }
}

/// Milliseconds of a tick of so many nanoseconds.
fn milliseconds(scale: u64) -> f64 {
    f64::from(u32::try_from(scale).unwrap_or(u32::MAX)) / 1_000_000.0
}

/// The content of the first child with an id.
fn child(content: &[u8], wanted: u32) -> Option<&[u8]> {
    Children(content).flatten().find(|(id, _)| *id == wanted).map(|(_, content)| content)
}

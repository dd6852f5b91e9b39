//! The init segment: what a player needs before the first fragment.

use bytes::{BufMut, Bytes, BytesMut};
use sluicegate_media::{ClockRate, Codec, Kind, Track, Tracks};

use crate::Error;
use crate::boxes::{put, put_full};
use crate::entry::put_entry;

/// The unity matrix (ISO/IEC 14496-12 §6.2.2).
const MATRIX: [u32; 9] = [0x0001_0000, 0, 0, 0, 0x0001_0000, 0, 0, 0, 0x4000_0000];
/// `und`, three letters of five bits.
const UNDETERMINED: u16 = 0x55c4;
/// Enabled, in the movie and in its preview.
const TRACK_FLAGS: u32 = 7;

/// Whether we put this codec into MP4.
#[must_use]
pub fn supports(codec: Codec) -> bool {
    matches!(codec, Codec::H264 | Codec::H265 | Codec::Av1 | Codec::Aac | Codec::Opus)
}

/// The tracks that go into MP4, with their number there. The same tracks have the same numbers in every segment.
pub(crate) fn carried(tracks: &Tracks) -> impl Iterator<Item = (u32, &Track)> {
    (1..).zip(tracks.iter().filter(|track| supports(track.codec)))
}

/// The clock of a track: 90 kHz for pictures, the sample rate for sound.
pub(crate) fn clock(track: &Track) -> ClockRate {
    let rate = if track.kind() == Kind::Audio { ClockRate::new(track.audio.sample_rate) } else { None };
    rate.unwrap_or(ClockRate::VIDEO)
}

/// The MIME type with codecs (RFC 6381) that these tracks have in MP4; `None` when none can be carried.
#[must_use]
pub fn mime(tracks: &Tracks) -> Option<String> {
    let codecs: Vec<&str> = carried(tracks).map(|(_, track)| track.rfc6381.as_str()).collect();
    (!codecs.is_empty()).then(|| format!("video/mp4; codecs=\"{}\"", codecs.join(",")))
}

/// `ftyp` and `moov` for these tracks. Tracks of codecs that MP4 cannot carry are left out.
///
/// # Errors
/// [`Error::NoTrack`] when none is left.
pub fn init_segment(tracks: &Tracks) -> Result<Bytes, Error> {
    let next = carried(tracks).map(|(number, _)| number).last().ok_or(Error::NoTrack)?.saturating_add(1);
    let mut out = BytesMut::with_capacity(1_024);
    put(&mut out, b"ftyp", |out| {
        out.put_slice(b"iso6\0\0\0\x01iso6mp41dash");
    });
    put(&mut out, b"moov", |out| {
        put_full(out, b"mvhd", 0, 0, |out| movie_header(next, out));
        carried(tracks).for_each(|(number, track)| put(out, b"trak", |out| put_track(number, track, out)));
        put(out, b"mvex", |out| carried(tracks).for_each(|(number, _)| extends(number, out)));
    });
    Ok(out.freeze())
}

fn movie_header(next_track: u32, out: &mut BytesMut) {
    out.put_u64(0);
    out.put_u32(ClockRate::MILLIS.hz());
    out.put_u32(0);
    out.put_u32(0x0001_0000);
    out.put_u16(0x0100);
    out.put_bytes(0, 10);
    MATRIX.iter().for_each(|&entry| out.put_u32(entry));
    out.put_bytes(0, 24);
    out.put_u32(next_track);
}

fn put_track(number: u32, track: &Track, out: &mut BytesMut) {
    let is_sound = track.kind() == Kind::Audio;
    put_full(out, b"tkhd", 0, TRACK_FLAGS, |out| {
        out.put_u64(0);
        out.put_u32(number);
        out.put_bytes(0, 16);
        out.put_u16(0);
        out.put_u16(u16::from(is_sound));
        out.put_u16(if is_sound { 0x0100 } else { 0 });
        out.put_u16(0);
        MATRIX.iter().for_each(|&entry| out.put_u32(entry));
        out.put_u32(track.video.width.saturating_mul(1 << 16));
        out.put_u32(track.video.height.saturating_mul(1 << 16));
    });
    put(out, b"mdia", |out| media(track, out));
}

fn media(track: &Track, out: &mut BytesMut) {
    put_full(out, b"mdhd", 0, 0, |out| {
        out.put_u64(0);
        out.put_u32(clock(track).hz());
        out.put_u32(0);
        out.put_u16(UNDETERMINED);
        out.put_u16(0);
    });
    let is_sound = track.kind() == Kind::Audio;
    put_full(out, b"hdlr", 0, 0, |out| {
        out.put_u32(0);
        out.put_slice(if is_sound { b"soun" } else { b"vide" });
        out.put_bytes(0, 12);
        out.put_slice(if is_sound { b"sound\0" } else { b"video\0" });
    });
    put(out, b"minf", |out| {
        if is_sound {
            put_full(out, b"smhd", 0, 0, |out| out.put_u32(0));
        } else {
            put_full(out, b"vmhd", 0, 1, |out| out.put_u64(0));
        }
        put(out, b"dinf", |out| {
            put_full(out, b"dref", 0, 0, |out| {
                out.put_u32(1);
                put_full(out, b"url ", 0, 1, |_| {});
            });
        });
        put(out, b"stbl", |out| sample_table(track, out));
    });
}

/// The sample entry and tables that are empty, since all samples are in fragments.
fn sample_table(track: &Track, out: &mut BytesMut) {
    put_full(out, b"stsd", 0, 0, |out| {
        out.put_u32(1);
        put_entry(track, out);
    });
    put_full(out, b"stts", 0, 0, |out| out.put_u32(0));
    put_full(out, b"stsc", 0, 0, |out| out.put_u32(0));
    put_full(out, b"stsz", 0, 0, |out| out.put_u64(0));
    put_full(out, b"stco", 0, 0, |out| out.put_u32(0));
}

fn extends(number: u32, out: &mut BytesMut) {
    put_full(out, b"trex", 0, 0, |out| {
        out.put_u32(number);
        out.put_u32(1);
        out.put_bytes(0, 12);
    });
}

#[cfg(test)]
#[path = "init/tests.rs"]
mod tests;

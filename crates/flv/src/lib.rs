//! FLV bytes to typed tags and frames and back, incrementally and without copying.
//!
//! [`Reader`] takes bytes however they are cut and gives [`sluicegate_media::Frame`]s; a payload that arrived in one
//! piece is cut from it, not copied. [`write_head`] and [`write_frame`] make FLV of frames. Below them lie the
//! [`Decoder`] for tags, [`video`] and [`audio`] headers (legacy and E-RTMP v2), and [`amf0`] script data.
//!
//! Sources: Adobe Flash Video File Format Specification 10.1 annex E ("FLV"), Veovera Enhanced RTMP v2 ("E-RTMP").
//!
//! ```
//! use bytes::{Bytes, BytesMut};
//! use sluicegate_flv::{Limits, Reader, write_frame, write_head};
//! use sluicegate_media::{Codec, Frame, Timestamp, Track, TrackId, Tracks};
//!
//! let track = Track::new(TrackId::AUDIO, Codec::Aac, Bytes::from_static(b"\x12\x10")).unwrap();
//! let sound = Frame::media(TrackId::AUDIO, Codec::Aac, Timestamp::from_millis(23), Bytes::from_static(b"\x21\x00"));
//! let mut out = BytesMut::new();
//! write_head(&Tracks::from_iter([track]), true, Timestamp::ZERO, &mut out);
//! write_frame(&sound, &mut out);
//!
//! let mut reader = Reader::new(Limits::default());
//! reader.handle_bytes(out.freeze());
//! let configuration = reader.poll_frame().unwrap().unwrap();
//! assert_eq!(configuration.payload, b"\x12\x10"[..]);
//! assert_eq!(reader.poll_frame().unwrap(), Some(sound));
//! ```

#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

pub mod amf0;
pub mod audio;
pub mod video;

mod buffer;
mod cursor;
mod decoder;
mod error;
mod fourcc;
mod metadata;
mod reader;
mod tag;
mod writer;

pub use decoder::{Decoder, Event, Limits};
pub use error::{Error, Fault};
pub use fourcc::FourCc;
pub use reader::Reader;
pub use tag::{Header, Tag, TagKind};
pub use writer::{supports, write_frame, write_head};

/// One fuzzed run over the whole input path; the corpus runs through it as an ordinary test.
///
/// The first byte says how the rest is cut.
pub fn fuzz_reader(data: &[u8]) {
    let Some((&cut, bytes)) = data.split_first() else { return };
    let mut reader = Reader::new(Limits::default());
    for chunk in bytes.chunks(usize::from(cut).saturating_add(1)) {
        reader.handle_bytes(bytes::Bytes::copy_from_slice(chunk));
        while let Ok(Some(frame)) = reader.poll_frame() {
            write_frame(&frame, &mut bytes::BytesMut::new());
        }
    }
}

//! Frames to fragmented MP4 for Media Source Extensions.
//!
//! [`init_segment`] makes `ftyp` and `moov` of a stream's tracks, [`fragment`] a `moof` and `mdat` of the frames that
//! belong together, [`mime`] the type that `MediaSource.isTypeSupported` wants. Nothing is kept between calls: a
//! fragment depends on its frames only, so it is made once and shared by all viewers.
//!
//! Sources: ISO/IEC 14496-12 (ISOBMFF), 14496-14 (`mp4a`), 14496-15 (`avc1`, `hvc1`), AV1-ISOBMFF, Opus in ISOBMFF.
//!
//! ```
//! use sluicegate_fmp4::{fragment, init_segment, mime};
//! use sluicegate_media::{Codec, Frame, Timestamp, Track, TrackId, Tracks};
//!
//! let track = Track::new(TrackId::AUDIO, Codec::Aac, b"\x12\x10"[..].into()).unwrap();
//! let tracks = Tracks::from_iter([track]);
//! assert_eq!(mime(&tracks).as_deref(), Some("video/mp4; codecs=\"mp4a.40.2\""));
//! let sound = Frame::media(TrackId::AUDIO, Codec::Aac, Timestamp::ZERO, b"\x21\x00"[..].into());
//! let init = init_segment(&tracks).unwrap();
//! let media = fragment(1, &tracks, &[sound]).unwrap();
//! assert_eq!((&init[4..8], &media[4..8]), (&b"ftyp"[..], &b"moof"[..]));
//! ```

#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

mod boxes;
mod entry;
mod error;
mod fragment;
mod init;

pub use error::Error;
pub use fragment::fragment;
pub use init::{init_segment, mime, supports};

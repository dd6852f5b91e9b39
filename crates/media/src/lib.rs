//! The vocabulary of live media: codecs, tracks, frames, timestamps and decoder configurations.
//!
//! Every protocol of Sluicegate turns its bytes into [`Frame`]s on the way in and makes its bytes from
//! them on the way out. This crate says what a frame is and reads the decoder configurations that
//! describe its track. It knows no container, no socket and no clock.
//!
//! ```
//! use sluicegate_media::{Codec, Frame, Timestamp, TrackId};
//! let frame = Frame::media(TrackId::VIDEO, Codec::H264, Timestamp::from_millis(40), b"\0\0\0\x01\x65"[..].into())
//!     .with_key(true);
//! assert_eq!(frame.pts(), Timestamp::from_millis(40));
//! ```

#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

mod bits;
mod codec;
mod error;
mod frame;
mod time;
mod track;

pub mod aac;
pub mod av1;
pub mod avc;
pub mod hevc;
pub mod opus;

pub use codec::{Codec, Kind};
pub use error::Error;
pub use frame::{Content, Frame};
pub use time::{ClockRate, Timestamp};
pub use track::{AudioInfo, Track, TrackId, Tracks, VideoInfo};

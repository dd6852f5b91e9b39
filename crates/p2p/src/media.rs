//! Videos and their segments: what they are called, what is known of them, and where their bytes come from.
//!
//! [`Library`] is what the chunk node and the HTTP face read from. It asks an [`Origin`] once for what many want at the
//! same time, and keeps what was read within a budget of bytes.

mod document;
mod error;
mod given;
mod id;
mod info;
mod library;
mod limits;

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

pub use document::{Document, DocumentKind};
pub use error::MediaError;
pub use given::Given;
pub use id::{BadId, Itag, SegmentId, VideoId};
pub use info::{ByteRange, Caption, Stream, VideoInfo};
pub use library::{Library, Neighbours};
pub use limits::Limits;

/// Where videos come from.
///
/// An origin holds no cache and shares no requests: [`Library`] does both.
pub trait Origin: fmt::Debug + Send + Sync {
    /// What is known of a video.
    fn info<'a>(&'a self, vid: &'a VideoId) -> BoxFuture<'a, Result<VideoInfo, MediaError>>;

    /// For how long what [`Origin::info`] gives may be kept.
    fn fresh(&self) -> Duration {
        Duration::from_secs(3_600)
    }

    /// A part of a stream, both ends included. The answer has exactly that many bytes.
    fn part<'a>(
        &'a self,
        info: &'a VideoInfo,
        stream: &'a Stream,
        range: RangeInclusive<u64>,
    ) -> BoxFuture<'a, Result<Bytes, MediaError>>;

    /// Bytes of a stream whose document does not tell. Origins do not know more unless they say so.
    fn length<'a>(&'a self, _info: &'a VideoInfo, stream: &'a Stream) -> BoxFuture<'a, Result<u64, MediaError>> {
        let unknown = MediaError::Answer { what: "it does not say how long the stream is".to_owned() };
        std::future::ready(stream.len.ok_or(unknown)).boxed()
    }

    /// The SHA-256 of a segment's bytes, for those that others gave. Origins know none unless they say so.
    fn sha256<'a>(&'a self, _id: &'a SegmentId) -> BoxFuture<'a, Option<[u8; 32]>> {
        std::future::ready(None).boxed()
    }

    /// Captions or a picture of a video. Origins have none unless they say so.
    fn document<'a>(
        &'a self,
        _vid: &'a VideoId,
        _kind: &'a DocumentKind,
    ) -> BoxFuture<'a, Result<Document, MediaError>> {
        std::future::ready(Err(MediaError::UnknownVideo)).boxed()
    }
}

//! The library behind the node, and the node before the library's origin.

use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{Node, Segments};
use crate::chunk::{Code, Key};
use crate::media::{Library, MediaError, Neighbours, SegmentId};

/// How long neighbours may take to say that they have a segment, and to send it; then the origin is asked.
const FOUND: Duration = Duration::from_millis(300);
const WHOLE: Duration = Duration::from_secs(5);

/// A segment's name, if it can be one.
fn named(key: &Key) -> Option<SegmentId> {
    SegmentId::parse(&key.id, u32::try_from(key.index).ok()?).ok()
}

impl Segments for Library {
    fn length(&self, key: Key) -> BoxFuture<'static, Option<u64>> {
        let library = self.clone();
        async move {
            let id = named(&key)?;
            let index = library.index(&id.vid, id.itag).await.ok()?;
            index.segment(id.index).map(|range| range.count())
        }
        .boxed()
    }

    fn cached(&self, key: &Key) -> bool {
        named(key).is_some_and(|id| Self::cached(self, &id))
    }

    fn segment(&self, key: Key) -> BoxFuture<'static, Result<Bytes, Code>> {
        let library = self.clone();
        async move {
            let id = named(&key).ok_or(Code::NotFound)?;
            let segment = library.segment(&id).await;
            segment.map_err(|error| {
                tracing::debug!(%key, %error, "a segment cannot be had");
                match error {
                    MediaError::UnknownVideo
                    | MediaError::Denied
                    | MediaError::UnknownStream
                    | MediaError::NoIndex
                    | MediaError::NoSegment { .. } => Code::NotFound,
                    _ => Code::Source,
                }
            })
        }
        .boxed()
    }
}

impl Neighbours for Node {
    fn segment<'a>(&'a self, id: &'a SegmentId) -> BoxFuture<'a, Option<Bytes>> {
        let key = Key::new(id.stream(), id.index.into());
        tokio::time::timeout(WHOLE, self.fetch(key, FOUND)).map(|got| got.ok().flatten()).boxed()
    }
}

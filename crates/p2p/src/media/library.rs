//! What the chunk node and the HTTP face read from.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use sha2::{Digest, Sha256};

use super::{
    ByteRange, Document, DocumentKind, Itag, Limits, MediaError, Origin, SegmentId, Stream, VideoId, VideoInfo,
};
use crate::cache::{Disk, Keep, Store};
use crate::index::{Builder, SegmentIndex};

/// How long an index is kept; it belongs to a version of its stream.
const INDEX_TIME: Duration = Duration::from_secs(3_600);
/// Bytes of documents and of indexes that are kept, each. A document of 30 streams has some 8 KiB, an index of an hour
/// of five-second segments 12 KiB.
const DOCUMENTS: usize = 8 << 20;
/// Bytes of hashes that are kept, and of lengths: some 3,500 of each.
const HASHES: usize = 1 << 20;
/// What a document weighs besides its streams, and each of those.
const DOCUMENT: usize = 1_024;

/// Other nodes as a source; asked before the origin where there are any.
pub trait Neighbours: fmt::Debug + Send + Sync {
    /// A whole segment, or `None` when none of them gives it soon enough to be worth the wait.
    fn segment<'a>(&'a self, id: &'a SegmentId) -> BoxFuture<'a, Option<Bytes>>;
}

/// Videos, their streams and segments: from what is kept in memory, else from the origin. Clones share it.
#[derive(Debug, Clone)]
pub struct Library(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    origin: Arc<dyn Origin>,
    neighbours: OnceLock<Arc<dyn Neighbours>>,
    disk: OnceLock<Disk>,
    limits: Limits,
    infos: Store<VideoId, Arc<VideoInfo>, MediaError>,
    indexes: Store<Version, Arc<SegmentIndex>, MediaError>,
    parts: Store<(Version, ByteRange), Bytes, MediaError>,
    hashes: Store<(Version, ByteRange), [u8; 32], MediaError>,
    documents: Store<(VideoId, DocumentKind), Document, MediaError>,
    lengths: Store<Version, u64, MediaError>,
}

/// A stream as it is now: a file that is replaced makes another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Version {
    vid: VideoId,
    itag: Itag,
    len: Option<u64>,
    modified: Option<std::time::SystemTime>,
}

impl Version {
    fn of(vid: &VideoId, stream: &Stream) -> Self {
        Self { vid: vid.clone(), itag: stream.itag, len: stream.len, modified: stream.modified }
    }
}

impl Library {
    /// What an origin has.
    #[must_use]
    pub fn new(origin: Arc<dyn Origin>, limits: Limits) -> Self {
        let parts = Store::new("media", limits.cache_bytes);
        let (infos, indexes) = (Store::new("videos", DOCUMENTS), Store::new("indexes", DOCUMENTS));
        let (hashes, documents) = (Store::new("hashes", HASHES), Store::new("documents", DOCUMENTS));
        let lengths = Store::new("lengths", HASHES);
        let (neighbours, disk) = (OnceLock::new(), OnceLock::new());
        Self(Arc::new(Inner { origin, neighbours, disk, limits, infos, indexes, parts, hashes, documents, lengths }))
    }

    /// Asks other nodes before the origin from now on. Only the first call counts.
    pub fn ask_first(&self, neighbours: Arc<dyn Neighbours>) {
        // Whoever comes second is not asked.
        let _ = self.0.neighbours.set(neighbours);
    }

    /// Keeps what the origin gives on disk as well from now on. Only the first call counts.
    pub fn keep_on(&self, disk: Disk) {
        // Whoever comes second is not used.
        let _ = self.0.disk.set(disk);
    }

    /// What is known of a video.
    ///
    /// # Errors
    /// The origin does not know it or does not answer.
    pub async fn info(&self, vid: &VideoId) -> Result<Arc<VideoInfo>, MediaError> {
        let (inner, asked) = (Arc::clone(&self.0), vid.clone());
        let read = move || async move { inner.origin.info(&asked).await.map(Arc::new) }.boxed();
        let (limits, fresh) = (self.0.limits.clone(), self.0.origin.fresh());
        let keep = move |read: &Result<Arc<VideoInfo>, MediaError>| match read {
            Ok(info) => Keep { time: fresh, bytes: DOCUMENT * (1 + info.streams.len()) },
            Err(error) => limits.failure(error),
        };
        self.0.infos.get(vid, read, keep).await
    }

    /// Where the segments of a stream are.
    ///
    /// # Errors
    /// There is no such stream, it has no index, or the origin does not give it.
    pub async fn index(&self, vid: &VideoId, itag: Itag) -> Result<Arc<SegmentIndex>, MediaError> {
        let info = self.info(vid).await?;
        self.index_of(&info, info.stream(itag)?).await
    }

    async fn index_of(&self, info: &Arc<VideoInfo>, stream: &Stream) -> Result<Arc<SegmentIndex>, MediaError> {
        if stream.init.is_none() || stream.index.is_none() {
            return Err(MediaError::NoIndex);
        }
        let (inner, info, wanted) = (Arc::clone(&self.0), Arc::clone(info), stream.clone());
        let key = Version::of(&info.id, stream);
        let read = move || {
            async move {
                let mut builder = Builder::new(&wanted)?;
                while let Some(range) = builder.wants() {
                    let bytes = inner.origin.part(&info, &wanted, range.into()).await?;
                    builder.handle(&bytes)?;
                }
                Ok(Arc::new(builder.finish()?))
            }
            .boxed()
        };
        let limits = self.0.limits.clone();
        let keep = move |read: &Result<Arc<SegmentIndex>, MediaError>| match read {
            Ok(index) => Keep { time: INDEX_TIME, bytes: size_of_val(index.segments()) },
            Err(error) => limits.failure(error),
        };
        self.0.indexes.get(&key, read, keep).await
    }

    /// How many segments a stream has.
    ///
    /// # Errors
    /// As [`Library::index`].
    pub async fn segment_count(&self, vid: &VideoId, itag: Itag) -> Result<u32, MediaError> {
        self.index(vid, itag).await.map(|index| index.count())
    }

    /// Whether a segment exists. That it can be read is another question.
    pub async fn has(&self, id: &SegmentId) -> bool {
        self.segment_count(&id.vid, id.itag).await.is_ok_and(|count| id.index < count)
    }

    /// Whether a segment is in memory.
    #[must_use]
    pub fn cached(&self, id: &SegmentId) -> bool {
        let Some(Ok(info)) = self.0.infos.peek(&id.vid) else { return false };
        let Ok(stream) = info.stream(id.itag) else { return false };
        let version = Version::of(&info.id, stream);
        let Some(Ok(index)) = self.0.indexes.peek(&version) else { return false };
        let part = index.segment(id.index).and_then(|range| self.0.parts.peek(&(version, range)));
        part.is_some_and(|part| part.is_ok())
    }

    /// A segment's video, and where the segment is.
    async fn place(&self, id: &SegmentId) -> Result<(Arc<VideoInfo>, ByteRange), MediaError> {
        let info = self.info(&id.vid).await?;
        let index = self.index_of(&info, info.stream(id.itag)?).await?;
        let range = index.segment(id.index).ok_or(MediaError::NoSegment { count: index.count() })?;
        Ok((info, range))
    }

    /// A whole segment.
    ///
    /// # Errors
    /// There is no such segment, it is larger than [`Limits::part_bytes`], or the origin does not give it.
    pub async fn segment(&self, id: &SegmentId) -> Result<Bytes, MediaError> {
        let (info, range) = self.place(id).await?;
        self.part_of(&info, info.stream(id.itag)?, range, Some(id)).await
    }

    /// The SHA-256 of a whole segment as the origin has it, whoever gave it to us.
    ///
    /// # Errors
    /// As [`Library::segment`].
    pub async fn sha256(&self, id: &SegmentId) -> Result<[u8; 32], MediaError> {
        let (info, range) = self.place(id).await?;
        let (library, segment) = (self.clone(), id.clone());
        let key = (Version::of(&info.id, info.stream(id.itag)?), range);
        let part = key.clone();
        let read = move || {
            async move {
                let mut bytes = library.segment(&segment).await?;
                if library.0.neighbours.get().is_some() {
                    if let Some(hash) = library.0.origin.sha256(&segment).await {
                        return Ok(hash);
                    }
                    bytes = library.checked(&info, &segment, part, bytes).await?;
                }
                hash(bytes).await
            }
            .boxed()
        };
        let limits = self.0.limits.clone();
        let keep = move |read: &Result<[u8; 32], MediaError>| match read {
            Ok(hash) => Keep { time: INDEX_TIME, bytes: hash.len() },
            Err(error) => limits.failure(error),
        };
        self.0.hashes.get(&key, read, keep).await
    }

    /// What the origin has instead of what neighbours may have given, which is replaced where it is something else.
    async fn checked(
        &self,
        info: &VideoInfo,
        id: &SegmentId,
        part: (Version, ByteRange),
        given: Bytes,
    ) -> Result<Bytes, MediaError> {
        let own = self.0.read_own(info, info.stream(id.itag)?, part.1).await?;
        if own != given {
            wrong(id);
            let keep = Keep { time: self.0.limits.part_time, bytes: own.len() };
            self.0.parts.put(&part, Ok(own.clone()), keep);
        }
        Ok(own)
    }

    /// Bytes of a whole stream; the origin is asked where the document does not tell.
    ///
    /// # Errors
    /// The origin does not tell either.
    pub async fn length(&self, info: &Arc<VideoInfo>, stream: &Stream) -> Result<u64, MediaError> {
        if let Some(len) = stream.len {
            return Ok(len);
        }
        let (inner, info, wanted) = (Arc::clone(&self.0), Arc::clone(info), stream.clone());
        let key = Version::of(&info.id, stream);
        let read = move || async move { inner.origin.length(&info, &wanted).await }.boxed();
        let limits = self.0.limits.clone();
        let keep = move |read: &Result<u64, MediaError>| match read {
            Ok(_) => Keep { time: INDEX_TIME, bytes: 0 },
            Err(error) => limits.failure(error),
        };
        self.0.lengths.get(&key, read, keep).await
    }

    /// Captions or a picture.
    ///
    /// # Errors
    /// The origin has none, or does not give it.
    pub async fn document(&self, vid: &VideoId, kind: &DocumentKind) -> Result<Document, MediaError> {
        let (inner, key) = (Arc::clone(&self.0), (vid.clone(), kind.clone()));
        let (vid, kind) = key.clone();
        let read = move || async move { inner.origin.document(&vid, &kind).await }.boxed();
        let (limits, fresh) = (self.0.limits.clone(), self.0.origin.fresh());
        let keep = move |read: &Result<Document, MediaError>| match read {
            Ok(document) => Keep { time: fresh, bytes: document.bytes.len() },
            Err(error) => limits.failure(error),
        };
        self.0.documents.get(&key, read, keep).await
    }

    /// The videos of which something is known now, and of which it is known that there is nothing.
    #[must_use]
    pub fn known(&self) -> Vec<(VideoId, Option<Arc<VideoInfo>>)> {
        self.0.infos.all().into_iter().map(|(vid, info)| (vid, info.ok())).collect()
    }

    /// Its limits.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// A part of a stream, both ends included.
    ///
    /// # Errors
    /// There is no such stream or part, it is larger than [`Limits::part_bytes`], or the origin does not give it.
    pub async fn part(&self, vid: &VideoId, itag: Itag, range: ByteRange) -> Result<Bytes, MediaError> {
        let info = self.info(vid).await?;
        self.part_of(&info, info.stream(itag)?, range, None).await
    }

    /// A part of a stream as it was when `info` was asked for: a file that has changed meanwhile is a failure.
    pub(crate) async fn part_of(
        &self,
        info: &Arc<VideoInfo>,
        stream: &Stream,
        range: ByteRange,
        segment: Option<&SegmentId>,
    ) -> Result<Bytes, MediaError> {
        if range.count() > self.0.limits.part_bytes {
            let (bytes, limit) = (range.count(), self.0.limits.part_bytes);
            return Err(MediaError::TooLarge { what: "the part", bytes, limit });
        }
        if let Some(length) = stream.len.filter(|len| range.count() == 0 || range.end >= *len) {
            return Err(MediaError::Range { length });
        }
        let (inner, info, wanted) = (Arc::clone(&self.0), Arc::clone(info), stream.clone());
        let (key, segment) = ((Version::of(&info.id, stream), range), segment.cloned());
        let read = move || async move { inner.read(&info, &wanted, range, segment.as_ref()).await }.boxed();
        let limits = self.0.limits.clone();
        let keep = move |read: &Result<Bytes, MediaError>| match read {
            Ok(bytes) => Keep { time: limits.part_time, bytes: bytes.len() },
            Err(error) => limits.failure(error),
        };
        self.0.parts.get(&key, read, keep).await
    }
}

/// Neighbours gave something else than the origin has.
fn wrong(id: &SegmentId) {
    tracing::warn!(%id, "neighbours gave other bytes than the origin");
    metrics::counter!("sluicegate_p2p_neighbours_wrong_total").increment(1);
}

/// A segment of many megabytes takes longer than a task may hold its thread.
async fn hash(bytes: Bytes) -> Result<[u8; 32], MediaError> {
    let hash = tokio::task::spawn_blocking(move || Sha256::digest(&bytes).into()).await;
    hash.map_err(|_| MediaError::Answer { what: "hashing was broken off".to_owned() })
}

impl Inner {
    async fn read(
        &self,
        info: &VideoInfo,
        stream: &Stream,
        range: ByteRange,
        segment: Option<&SegmentId>,
    ) -> Result<Bytes, MediaError> {
        let fits = |bytes: &Bytes| u64::try_from(bytes.len()) == Ok(range.count());
        if let (Some(id), Some(neighbours)) = (segment, self.neighbours.get())
            && let Some(bytes) = neighbours.segment(id).await.filter(fits)
        {
            // Where the origin tells no hash, the size is all that can be looked at.
            match self.origin.sha256(id).await {
                Some(expected) if hash(bytes.clone()).await? != expected => wrong(id),
                _ => return Ok(bytes),
            }
        }
        self.read_own(info, stream, range).await
    }

    /// The same, from nobody but the origin.
    async fn read_own(&self, info: &VideoInfo, stream: &Stream, range: ByteRange) -> Result<Bytes, MediaError> {
        let fits = |bytes: &Bytes| u64::try_from(bytes.len()) == Ok(range.count());
        let key = || format!("{:?} {range:?}", Version::of(&info.id, stream));
        let kept = match self.disk.get() {
            Some(disk) => disk.get(&key(), range.count()).await,
            None => None,
        };
        if let Some(bytes) = kept {
            return Ok(bytes);
        }
        let bytes = self.origin.part(info, stream, range.into()).await?;
        let wrong = || MediaError::Answer { what: format!("{} bytes of {}", bytes.len(), range.count()) };
        if !fits(&bytes) {
            return Err(wrong());
        }
        if let Some(disk) = self.disk.get() {
            disk.put(&key(), &bytes);
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests;

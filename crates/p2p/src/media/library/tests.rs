//! The library over scripted origins.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use tokio::sync::Semaphore;

use super::*;
use crate::media::Given;

fn id(index: u32) -> SegmentId {
    SegmentId::parse("testvideo01:134", index).unwrap()
}

fn given() -> Given {
    let segments: Vec<Bytes> = (1..=3_u8).map(|n| Bytes::from(vec![n; 1_000 * usize::from(n)])).collect();
    Given::new().with(&id(0).vid, id(0).itag, &segments).unwrap()
}

/// Counts what it is asked for, and answers when it may.
#[derive(Debug)]
struct Counting {
    given: Given,
    parts: AtomicUsize,
    gate: Semaphore,
}

impl Origin for Arc<Counting> {
    fn info<'a>(&'a self, vid: &'a VideoId) -> BoxFuture<'a, Result<VideoInfo, MediaError>> {
        self.given.info(vid)
    }

    fn part<'a>(
        &'a self,
        info: &'a VideoInfo,
        stream: &'a Stream,
        range: RangeInclusive<u64>,
    ) -> BoxFuture<'a, Result<Bytes, MediaError>> {
        self.parts.fetch_add(1, Ordering::SeqCst);
        async move {
            self.gate.acquire().await.unwrap().forget();
            self.given.part(info, stream, range).await
        }
        .boxed()
    }
}

fn counting(permits: usize) -> (Arc<Counting>, Library) {
    let origin = Arc::new(Counting { given: given(), parts: AtomicUsize::new(0), gate: Semaphore::new(permits) });
    (Arc::clone(&origin), Library::new(Arc::new(origin), Limits::default()))
}

#[tokio::test]
async fn segments_are_whole_and_those_beyond_the_last_are_not() {
    let library = Library::new(Arc::new(given()), Limits::default());
    assert!(!library.cached(&id(1)));
    assert_eq!(library.segment(&id(1)).await.unwrap(), vec![2_u8; 2_000]);
    assert!(library.cached(&id(1)) && !library.cached(&id(2)));
    assert_eq!(library.segment_count(&id(0).vid, id(0).itag).await, Ok(3));
    assert!(library.has(&id(2)).await && !library.has(&id(3)).await && !library.has(&id(u32::MAX)).await);
    assert_eq!(library.segment(&id(3)).await, Err(MediaError::NoSegment { count: 3 }));
    let other = SegmentId::parse("testvideo01:135", 0).unwrap();
    assert_eq!(library.segment(&other).await, Err(MediaError::UnknownStream));
    let other = SegmentId::parse("testvideo02:134", 0).unwrap();
    assert_eq!(library.segment(&other).await, Err(MediaError::UnknownVideo));
}

#[tokio::test]
async fn many_who_want_the_same_ask_the_origin_once() {
    let (origin, library) = counting(0);
    let (want, many) = (id(1), library.clone());
    let all = tokio::spawn(async move { join_all((0..50).map(|_| many.segment(&want))).await });
    // One for the index, one for the segment.
    origin.gate.add_permits(2);
    for segment in all.await.unwrap() {
        assert_eq!(segment.unwrap().len(), 2_000);
    }
    assert_eq!(origin.parts.load(Ordering::SeqCst), 2);
    library.segment(&id(1)).await.unwrap();
    assert_eq!((origin.parts.load(Ordering::SeqCst), library.0.parts.counts().1), (2, 0));
}

#[tokio::test]
async fn a_reading_that_nobody_waits_for_is_dropped_and_begun_anew() {
    let (origin, library) = counting(1);
    library.index(&id(0).vid, id(0).itag).await.unwrap();
    let (want, again) = (id(1), id(1));
    let mut given_up = Box::pin(library.segment(&want));
    assert!(futures_util::poll!(&mut given_up).is_pending());
    assert_eq!(library.0.parts.counts().1, 1);
    drop(given_up);
    assert_eq!(library.0.parts.counts().1, 0);
    origin.gate.add_permits(1);
    assert!(library.segment(&again).await.is_ok());
    assert_eq!(origin.parts.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn the_cache_has_a_budget_and_one_part_a_limit() {
    let limits = Limits { cache_bytes: 4_000, part_bytes: 2_500, ..Limits::default() };
    let library = Library::new(Arc::new(given()), limits);
    library.segment(&id(0)).await.unwrap();
    library.segment(&id(1)).await.unwrap();
    assert!(library.cached(&id(0)) && library.cached(&id(1)) && library.0.parts.counts().0 <= 4_000);
    let refused = library.segment(&id(2)).await;
    assert_eq!(refused, Err(MediaError::TooLarge { what: "the part", bytes: 3_000, limit: 2_500 }));
    let beyond = ByteRange { start: 0, end: 99_999 };
    assert!(library.part(&id(0).vid, id(0).itag, beyond).await.is_err());
}

#[derive(Debug)]
struct Peers(Bytes);

impl Neighbours for Peers {
    fn segment<'a>(&'a self, _id: &'a SegmentId) -> BoxFuture<'a, Option<Bytes>> {
        std::future::ready(Some(self.0.clone())).boxed()
    }
}

#[tokio::test]
async fn neighbours_are_asked_first_and_are_believed_only_when_the_size_is_right() {
    for (size, right) in [(2_000, b'n'), (1_999, 2)] {
        let library = Library::new(Arc::new(given()), Limits::default());
        library.ask_first(Arc::new(Peers(Bytes::from(vec![b'n'; size]))));
        assert_eq!(library.segment(&id(1)).await.unwrap(), vec![right; 2_000]);
        // Hashes are those of the origin's bytes, and show what was wrong.
        let own = Library::new(Arc::new(given()), Limits::default());
        assert_eq!(library.sha256(&id(1)).await, own.sha256(&id(1)).await);
        assert_eq!(library.segment(&id(1)).await.unwrap(), vec![2; 2_000]);
    }
}

/// An origin that tells hashes.
#[derive(Debug)]
struct Telling(Given);

impl Origin for Telling {
    fn info<'a>(&'a self, vid: &'a VideoId) -> BoxFuture<'a, Result<VideoInfo, MediaError>> {
        self.0.info(vid)
    }

    fn part<'a>(
        &'a self,
        info: &'a VideoInfo,
        stream: &'a Stream,
        range: RangeInclusive<u64>,
    ) -> BoxFuture<'a, Result<Bytes, MediaError>> {
        self.0.part(info, stream, range)
    }

    fn sha256<'a>(&'a self, _id: &'a SegmentId) -> BoxFuture<'a, Option<[u8; 32]>> {
        std::future::ready(Some(Sha256::digest(vec![2; 2_000]).into())).boxed()
    }
}

#[tokio::test]
async fn neighbours_are_believed_where_the_origin_tells_the_same_hash() {
    for given_by_them in [b'n', 2] {
        let library = Library::new(Arc::new(Telling(given())), Limits::default());
        library.ask_first(Arc::new(Peers(Bytes::from(vec![given_by_them; 2_000]))));
        assert_eq!(library.segment(&id(1)).await.unwrap(), vec![2; 2_000]);
        let own = Library::new(Arc::new(given()), Limits::default());
        assert_eq!(library.sha256(&id(1)).await, own.sha256(&id(1)).await);
    }
}

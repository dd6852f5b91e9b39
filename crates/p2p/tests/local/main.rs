//! A folder of files that ffmpeg has made: what is served of them is what is in them, segment by segment.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod files;

use std::path::Path;
use std::sync::Arc;

use files::{Kind, make};
use sluicegate_p2p::media::{ByteRange, Itag, Library, Limits, MediaError, SegmentId, Stream, VideoId};
use sluicegate_p2p::origin::Local;
use sluicegate_testbed::media::hashes;
use sluicegate_testbed::peer::{Peer, find};

const VID: &str = "localvideo1";

fn vid() -> VideoId {
    VID.parse().unwrap()
}

fn itag(number: u16) -> Itag {
    Itag::new(number).unwrap()
}

fn library(folder: &Path) -> Library {
    Library::new(Arc::new(Local::new(folder)), Limits::default())
}

async fn all(library: &Library, itag: Itag) -> (Stream, Vec<u8>) {
    let stream = library.info(&vid()).await.unwrap().stream(itag).unwrap().clone();
    let whole = ByteRange { start: 0, end: stream.len.unwrap() - 1 };
    (stream, library.part(&vid(), itag, whole).await.unwrap().to_vec())
}

async fn segments(library: &Library, itag: Itag) -> Vec<Vec<u8>> {
    let mut segments = Vec::new();
    for index in 0..library.segment_count(&vid(), itag).await.unwrap() {
        segments.push(library.segment(&SegmentId { vid: vid(), itag, index }).await.unwrap().to_vec());
    }
    segments
}

fn part(bytes: &[u8], range: ByteRange) -> &[u8] {
    &bytes[usize::try_from(range.start).unwrap()..=usize::try_from(range.end).unwrap()]
}

/// The initialisation segment as it stands before any segments: without the size of all that follows in the file.
fn beginning(whole: &[u8], init: ByteRange) -> Vec<u8> {
    let mut init = part(whole, init).to_vec();
    if let Some(at) = init.windows(4).position(|window| window == [0x18, 0x53, 0x80, 0x67]) {
        init[at + 4..at + 12].copy_from_slice(&[0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    }
    init
}

/// Looks at one file: its document, its bytes, its segments, and what ffmpeg decodes of them.
async fn check(ffmpeg: &Path, kind: Kind, mime: &str, inserts: bool) {
    let folder = tempfile::tempdir().unwrap();
    let path = make(ffmpeg, folder.path(), VID, kind).await;
    let (library, itag, source) = (library(folder.path()), itag(kind.itag()), std::fs::read(&path).unwrap());
    let (stream, whole) = all(&library, itag).await;
    assert_eq!(stream.mime, mime, "{kind:?}");
    let duration: f64 = library.info(&vid()).await.unwrap().duration.parse().unwrap();
    assert!((5.9..6.2).contains(&duration), "{kind:?} lasts {duration} s");
    let (init, index) = (stream.init.unwrap(), stream.index.unwrap());
    let segments = segments(&library, itag).await;
    // Six seconds, a key picture a second.
    assert!((3..=7).contains(&segments.len()), "{kind:?} has {} segments", segments.len());
    if inserts {
        let (media, end) = (segments.concat(), kind.media_end(&source));
        let begin = usize::try_from(init.end).unwrap() + 1;
        assert!(kind.has_absolute_places() || media == source[begin..end], "{kind:?}: other bytes than the source's");
        assert_eq!(media.len(), end - begin, "{kind:?}");
        let same = part(&whole, init) == &source[..begin];
        assert!(same || kind == Kind::CuesLast, "{kind:?}: another initialisation segment");
    } else {
        assert!(whole == source, "{kind:?}: other bytes than the source's");
    }
    let is_webm = stream.is_webm();
    for (number, segment) in segments.iter().enumerate() {
        let begins = if is_webm {
            segment.starts_with(&[0x1f, 0x43, 0xb6, 0x75])
        } else {
            [&b"moof"[..], b"styp", b"sidx"].contains(&&segment[4..8])
        };
        assert!(begins, "{kind:?}: segment {number} begins with {:x?}", &segment[..8]);
    }
    assert_eq!(whole.len() as u64, stream.len.unwrap());
    assert!(index.start > init.end || index.end < init.start, "{kind:?}");
    let letter = if stream.mime.starts_with("audio") { 'a' } else { 'v' };
    let expected = hashes(ffmpeg, &source, letter).await;
    assert!(expected.len() > 100, "{kind:?}: {} frames", expected.len());
    assert_eq!(hashes(ffmpeg, &whole, letter).await, expected, "{kind:?}: the whole");
    if kind.has_absolute_places() {
        return;
    }
    // The segments one after the other are what a player appends. Each begins with a key picture.
    let beginning = beginning(&whole, init);
    let appended = [&beginning[..], &segments.concat()].concat();
    assert_eq!(hashes(ffmpeg, &appended, letter).await, expected, "{kind:?}: segments");
    // What existing nodes count on.
    let first = library.index(&vid(), itag).await.unwrap().segment(0).unwrap().start;
    assert!(
        matches!(kind, Kind::CuesLast | Kind::Sidx0) || first == index.end + 1,
        "{kind:?}: segment 0 at {first}, index {index:?}"
    );
    if letter == 'v' {
        let later = hashes(ffmpeg, &[beginning, segments[2].clone()].concat(), letter).await;
        let at = expected.iter().position(|hash| *hash == later[0]).unwrap();
        assert_eq!(expected[at..at + later.len()], later, "{kind:?}: segment 2 alone");
    }
}

#[tokio::test]
async fn mp4_with_a_sidx_of_version_1_and_0() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    check(&ffmpeg, Kind::Sidx1, "video/mp4; codecs=\"avc1.42C01E\"", false).await;
    check(&ffmpeg, Kind::Sidx0, "video/mp4; codecs=\"avc1.42C01E\"", false).await;
}

#[tokio::test]
async fn mp4_in_fragments_gets_an_index() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    check(&ffmpeg, Kind::Fragments, "video/mp4; codecs=\"avc1.42C01E\"", true).await;
    check(&ffmpeg, Kind::FragmentsWithSound, "video/mp4; codecs=\"avc1.42C01E, mp4a.40.2\"", true).await;
    check(&ffmpeg, Kind::PictureFragments, "video/mp4; codecs=\"avc1.42C01E\"", true).await;
    check(&ffmpeg, Kind::AbsoluteFragments, "video/mp4; codecs=\"avc1.42C01E\"", true).await;
    check(&ffmpeg, Kind::SidxEach, "video/mp4; codecs=\"avc1.42C01E\"", true).await;
    check(&ffmpeg, Kind::Sound, "audio/mp4; codecs=\"mp4a.40.2\"", true).await;
}

#[tokio::test]
async fn webm_with_cues_at_either_end() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    check(&ffmpeg, Kind::CuesFirst, "video/webm; codecs=\"vp8\"", false).await;
    check(&ffmpeg, Kind::CuesWithRoom, "video/webm; codecs=\"vp8\"", false).await;
    check(&ffmpeg, Kind::CuesLast, "video/webm; codecs=\"vp8\"", true).await;
    check(&ffmpeg, Kind::Opus, "audio/webm; codecs=\"opus\"", false).await;
}

#[tokio::test]
async fn a_file_in_one_piece_has_no_segments_and_is_served_whole() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = make(&ffmpeg, folder.path(), VID, Kind::OnePiece).await;
    let library = library(folder.path());
    let info = library.info(&vid()).await.unwrap();
    assert_eq!(info.duration, "6");
    let (stream, whole) = all(&library, itag(Kind::OnePiece.itag())).await;
    assert_eq!((stream.init, stream.index, stream.quality.as_str()), (None, None, "180p"));
    assert!(whole == std::fs::read(path).unwrap());
    assert_eq!(library.segment_count(&vid(), itag(Kind::OnePiece.itag())).await, Err(MediaError::NoIndex));
}

#[tokio::test]
async fn what_is_no_media_is_left_out_and_what_is_missing_is_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join(VID);
    std::fs::create_dir(&own).unwrap();
    std::fs::write(own.join("1.mp4"), b"no media").unwrap();
    std::fs::write(own.join("2.webm"), b"").unwrap();
    std::fs::create_dir(own.join("3.mp4")).unwrap();
    assert_eq!(library(folder.path()).info(&vid()).await, Err(MediaError::UnknownVideo));
    assert_eq!(library(folder.path()).info(&"another-video".parse().unwrap()).await, Err(MediaError::UnknownVideo));
}

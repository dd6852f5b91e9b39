//! Indexes by hand, and indexes that are damaged.
#![expect(clippy::cast_possible_truncation, reason = "the files of these tests are small")]

use bytes::{BufMut, BytesMut};
use proptest::prelude::*;

use super::*;

/// A box of 833 to 928 as the recorded stream 134 has it: version 0, three references.
const VERSION_0: &[u8] = &[
    0, 0, 0, 68, b's', b'i', b'd', b'x', 0, 0, 0, 0, // version and flags
    0, 0, 0, 1, 0, 0, 0x32, 0, // reference id, 12800 ticks a second
    0, 0, 0, 0, 0, 0, 0, 5, // earliest, first offset
    0, 0, 0, 3, // reserved, count
    0, 0, 0, 10, 0, 0, 0x64, 0, 0x90, 0, 0, 0, // 10 bytes
    0, 0, 0, 20, 0, 0, 0x64, 0, 0x90, 0, 0, 0, // 20 bytes
    0, 0, 1, 0, 0, 0, 0x64, 0, 0x90, 0, 0, 0, // 256 bytes
];

fn stream(mime: &str, index: (u64, u64), len: u64) -> Stream {
    Stream {
        mime: mime.to_owned(),
        len: Some(len),
        init: Some(ByteRange { start: 0, end: index.0.max(1) - 1 }),
        index: Some(ByteRange { start: index.0, end: index.1 }),
        ..Stream::default()
    }
}

fn ranges(index: &SegmentIndex) -> Vec<(u64, u64)> {
    index.segments().iter().map(|range| (range.start, range.end)).collect()
}

fn media(size: u32) -> Reference {
    Reference { is_index: false, size, duration: 1 }
}

fn sidx(first_offset: u64, references: Vec<Reference>) -> Vec<u8> {
    write_sidx(&Sidx { timescale: 1, earliest: 0, first_offset, references }).unwrap().to_vec()
}

/// The same box with its references to indexes marked, which the writer does not do.
fn index_of(first_offset: u64, sizes: &[u32]) -> Vec<u8> {
    let mut bytes = sidx(first_offset, sizes.iter().copied().map(media).collect());
    for number in 0..sizes.len() {
        bytes[40 + 12 * number] |= 0x80;
    }
    bytes
}

#[test]
fn version_0_by_hand() {
    let mut file = vec![0_u8; 100];
    file.extend_from_slice(VERSION_0);
    file.resize(100 + 68 + 5 + 286, 7);
    let stream = stream("video/mp4", (100, 167), file.len() as u64);
    let index = read_from(&file, &stream).unwrap();
    assert_eq!(ranges(&index), [(173, 182), (183, 202), (203, 458)]);
    assert_eq!((index.count(), index.segment(3)), (3, None));
    // The same, one byte of the last segment missing.
    let shorter = Stream { len: Some(458), ..stream };
    assert_eq!(read_from(&file[..458], &shorter), Err(IndexError::Wrong("a segment beyond the stream's end")));
}

#[test]
fn version_1_has_64_bit_places_and_the_boxes_before_it_are_skipped() {
    let far = 6_u64 << 32;
    let mut file = b"\0\0\0\x08free".to_vec();
    file.extend_from_slice(&sidx(far, vec![media(0x7fff_ffff), media(1)]));
    let end = file.len() as u64;
    let stream = stream("video/mp4", (0, end - 1), u64::MAX);
    let first = (end + far, end + far + 0x7fff_fffe);
    assert_eq!(ranges(&read_from(&file, &stream).unwrap()), [first, (first.1 + 1, first.1 + 1)]);
}

#[test]
fn levels_lie_together_or_before_their_media() {
    // All boxes first, then all media.
    let leaves = [sidx(52, vec![media(3)]), sidx(3, vec![media(4)])];
    let mut file = index_of(0, &[52, 52]);
    leaves.iter().for_each(|leaf| file.extend_from_slice(leaf));
    let end = file.len() as u64;
    file.extend_from_slice(b"xxxyyyy");
    leaves.iter().for_each(|leaf| assert_eq!(leaf.len(), 52));
    let whole = stream("video/mp4", (0, end - 1), file.len() as u64);
    assert_eq!(ranges(&read_from(&file, &whole).unwrap()), [(168, 170), (171, 174)]);
    // Each box before its media; the document names the first box only.
    let mut file = index_of(0, &[52 + 3, 52 + 4]);
    for (text, size) in [(&b"xxx"[..], 3), (&b"yyyy"[..], 4)] {
        file.extend_from_slice(&sidx(0, vec![media(size)]));
        file.extend_from_slice(text);
    }
    let first = stream("video/mp4", (0, 63), file.len() as u64);
    let found = read_from(&file, &first).unwrap();
    let texts: Vec<&[u8]> = found.segments().iter().map(|r| &file[r.start as usize..=r.end as usize]).collect();
    assert_eq!(texts, [&b"xxx"[..], b"yyyy"]);
}

#[test]
fn what_turns_in_a_circle_or_has_no_end_is_refused() {
    // A reference of no bytes would lead to itself.
    let file = index_of(0, &[0]);
    assert!(read_from(&file, &stream("video/mp4", (0, file.len() as u64 - 1), 1_000)).is_err());
    // Each of many parts costs a request.
    let (mut file, links) = (Vec::new(), 1_100);
    for _ in 0..links {
        file.extend_from_slice(&index_of(0, &[52]));
    }
    let many = read_from(&file, &stream("video/mp4", (0, 51), file.len() as u64));
    assert_eq!(many, Err(IndexError::TooMany { what: "parts", limit: 1_024 }));
    // What the document says is not believed either.
    let huge = stream("video/mp4", (0, 1 << 40), 1 << 41);
    assert!(matches!(Builder::new(&huge), Err(IndexError::TooMany { .. })));
    let none = Stream { index: None, ..huge };
    assert!(Builder::new(&none).is_err());
}

/// An element with a size of 8 bytes.
fn element(id: &[u8], content: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::from(id);
    out.put_u64(content.len() as u64 | 1 << 56);
    out.put_slice(content);
    out.to_vec()
}

fn cues(positions: &[u64]) -> Vec<u8> {
    let point = |position: &u64| {
        let place = element(&[0xf1], &position.to_be_bytes()[4..]);
        let track = [element(&[0xf7], &[1]), place].concat();
        element(&[0xbb], &[element(&[0xb3], &[0]), element(&[0xb7], &track)].concat())
    };
    element(&[0x1c, 0x53, 0xbb, 0x6b], &positions.iter().flat_map(point).collect::<Vec<u8>>())
}

/// A file with these bytes before the Cues, and clusters at places after them.
fn webm(before: usize, sizes: &[usize], cues_first: bool) -> (Vec<u8>, Stream) {
    let head = [element(&[0x1a, 0x45, 0xdf, 0xa3], b"webm"), vec![0x18, 0x53, 0x80, 0x67, 0x01]].concat();
    let head = [head, vec![0xff; 7]].concat();
    let base = head.len() as u64;
    let mut file = [head, vec![0xec; before]].concat();
    let cues_size = cues(&vec![0; sizes.len()]).len();
    let first = file.len() + if cues_first { cues_size } else { 0 };
    let starts = sizes.iter().scan(first as u64, |at, size| Some(std::mem::replace(at, *at + *size as u64)));
    let index = cues(&starts.map(|at| at - base).collect::<Vec<_>>());
    let clusters: Vec<u8> = sizes.iter().flat_map(|size| vec![0x1f; *size]).collect();
    let at = if cues_first { file.len() } else { file.len() + clusters.len() };
    let (one, two) = if cues_first { (index, clusters) } else { (clusters, index) };
    file.extend_from_slice(&one);
    file.extend_from_slice(&two);
    let len = file.len() as u64;
    let document = Stream {
        init: Some(ByteRange { start: 0, end: (base as usize + before) as u64 - 1 }),
        ..stream("video/webm", (at as u64, (at + cues_size) as u64 - 1), len)
    };
    (file, document)
}

#[test]
fn cues_before_and_after_their_clusters() {
    for cues_first in [true, false] {
        let (file, stream) = webm(5, &[10, 20, 30], cues_first);
        let index = read_from(&file, &stream).unwrap();
        let sizes: Vec<u64> = index.segments().iter().map(|range| range.count()).collect();
        assert_eq!(sizes, [10, 20, 30]);
        assert!(index.segments().iter().all(|range| file[range.start as usize] == 0x1f));
    }
}

#[test]
fn without_the_head_of_the_file_the_first_cluster_follows_the_cues() {
    let index = ByteRange { start: 465, end: 696 };
    let read = Cues::parse(&cues(&[645, 645, 845])).unwrap();
    assert_eq!(read.clusters, [645, 845]);
    let found = read.ranges(None, index, 1_500).unwrap();
    assert_eq!(found, [ByteRange { start: 697, end: 896 }, ByteRange { start: 897, end: 1_499 }]);
    assert!(read.ranges(None, index, 800).is_err());
    assert!(Cues::parse(&cues(&[2, 1])).is_err());
    assert!(Cues::parse(&cues(&[])).is_err());
}

proptest! {
    #[test]
    fn what_is_written_is_read_whatever_the_levels(
        sizes in prop::collection::vec(1_u32..5_000, 1..40),
        group in 1_usize..9,
        offset in 0_u64..9,
    ) {
        let flat = sidx(offset, sizes.iter().copied().map(media).collect());
        let at = flat.len() as u64;
        let total = at + offset + sizes.iter().copied().map(u64::from).sum::<u64>();
        let one = read_from(&flat, &stream("video/mp4", (0, at - 1), total)).unwrap();
        // The same media behind an index of indexes, each before its own.
        let groups: Vec<&[u32]> = sizes.chunks(group).collect();
        let leaf = |sizes: &[u32]| {
            let media_bytes: u32 = sizes.iter().sum();
            let boxed = sidx(0, sizes.iter().copied().map(media).collect());
            (boxed.len() as u32 + media_bytes, [boxed, vec![7; media_bytes as usize]].concat())
        };
        let leaves: Vec<_> = groups.iter().map(|group| leaf(group)).collect();
        let mut file = index_of(0, &leaves.iter().map(|leaf| leaf.0).collect::<Vec<_>>());
        let root = file.len() as u64;
        leaves.iter().for_each(|leaf| file.extend_from_slice(&leaf.1));
        let two = read_from(&file, &stream("video/mp4", (0, root - 1), file.len() as u64)).unwrap();
        let counts = |index: &SegmentIndex| index.segments().iter().map(|range| range.count()).collect::<Vec<_>>();
        prop_assert_eq!(counts(&one), counts(&two));
        prop_assert_eq!(one.segments()[0].start, at + offset);
    }

    #[test]
    fn cues_are_read_wherever_they_are(sizes in prop::collection::vec(1_usize..500, 1..30), before in 1_usize..50, first in any::<bool>()) {
        let (file, stream) = webm(before, &sizes, first);
        let index = read_from(&file, &stream).unwrap();
        prop_assert_eq!(index.segments().iter().map(|range| range.count() as usize).collect::<Vec<_>>(), sizes);
    }

    #[test]
    fn damage_never_panics(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
        kind in 0_usize..3,
    ) {
        let (webm_file, webm_stream) = webm(5, &[10, 20, 30], true);
        let nested = [index_of(0, &[55, 56]), sidx(0, vec![media(3)]), b"xxx".to_vec(), sidx(0, vec![media(4)]), b"yyyy".to_vec()].concat();
        let (mut file, mut document) = match kind {
            0 => (webm_file, webm_stream),
            1 => (nested.clone(), stream("video/mp4", (0, 63), nested.len() as u64)),
            _ => (VERSION_0.to_vec(), stream("video/mp4", (0, 67), 1_000)),
        };
        for (at, byte) in damage {
            let at = at.index(file.len());
            file[at] = byte;
        }
        file.truncate(cut.index(file.len()) + 1);
        if let Ok(index) = read_from(&file, &document) {
            prop_assert!(index.segments().iter().all(|range| document.len.is_some_and(|len| range.end < len)));
        }
        document.len = None;
        let _ = read_from(&file, &document);
    }

    #[test]
    fn any_bytes_never_panic(data in prop::collection::vec(any::<u8>(), 0..300)) {
        fuzz_index(&data);
        let _ = (Sidx::parse(&data), Cues::parse(&data));
    }
}

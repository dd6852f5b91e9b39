//! An existing node that has ours as its origin, made from the page that describes it: its document has texts for numbers,
//! its arithmetic is that of 32 bits, and of Cues it reads the second child of each position.

use serde_json::Value;
use sluicegate_testbed::peer::{Peer, find};
use sluicegate_testbed::soon;
use tokio::process::Command;

use crate::client::Node;

/// A stream as such a node understands it.
struct Reader<'a> {
    node: &'a Node,
    vid: &'a str,
    stream: Value,
}

impl Reader<'_> {
    /// A number that must be a text.
    fn number(&self, pointer: &str) -> u32 {
        self.stream.pointer(pointer).unwrap().as_str().unwrap().parse().unwrap()
    }

    async fn part(&self, start: u32, end: u32) -> Vec<u8> {
        let itag = self.stream["itag"].as_str().unwrap();
        let answer = self.node.get(&format!("/video/{}/{itag}/{start}-{end}.ts", self.vid)).await;
        assert_eq!(answer.status, 200, "{itag} {start}-{end}");
        answer.body
    }

    /// Where segments are, both ends included.
    async fn segments(&self) -> Vec<(u32, u32)> {
        let (start, end, len) = (self.number("/indexRange/start"), self.number("/indexRange/end"), self.number("/len"));
        let index = self.part(start, end).await;
        if self.stream["type"].as_str().unwrap().contains("mp4") {
            return sidx(&index, end + 1);
        }
        let clusters = cues(&index);
        let starts: Vec<u32> = clusters.iter().map(|at| at - clusters[0] + end + 1).collect();
        let ends = starts.iter().skip(1).copied().chain([len]);
        starts.iter().zip(ends).map(|(start, next)| (*start, next - 1)).collect()
    }
}

fn big(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

fn sidx(index: &[u8], first: u32) -> Vec<(u32, u32)> {
    assert_eq!(&index[4..8], b"sidx");
    // The low halves of 64-bit numbers in version 1.
    let (offset, references) = if index[8] == 0 { (24, 28) } else { (32, 36) };
    let mut at = first + big(&index[offset..offset + 4]);
    let list = &index[references + 4..];
    let ranges = list.chunks_exact(12).map(|reference| {
        let start = at;
        at += big(&reference[..4]) & 0x7fff_ffff;
        (start, at - 1)
    });
    ranges.collect()
}

/// An element at the beginning: the bytes of its head, and of its content.
fn element(bytes: &[u8]) -> (usize, usize) {
    let id = bytes[0].leading_zeros() as usize + 1;
    let width = bytes[id].leading_zeros() as usize + 1;
    let marked = bytes[id..id + width].iter().fold(0_usize, |number, byte| number << 8 | usize::from(*byte));
    (id + width, marked & !(1 << (7 * width)))
}

fn children(mut content: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while !content.is_empty() {
        let (head, size) = element(content);
        found.push(&content[..head + size]);
        content = &content[head + size..];
    }
    found
}

fn inside(whole: &[u8]) -> &[u8] {
    let (head, size) = element(whole);
    &whole[head..head + size]
}

fn cues(index: &[u8]) -> Vec<u32> {
    let points = children(inside(index));
    let position = |point: &&[u8]| {
        let positions = children(inside(point)).into_iter().find(|child| child[0] == 0xb7).unwrap();
        big(inside(children(inside(positions))[1]))
    };
    points.iter().filter(|point| point[0] == 0xbb).map(position).collect()
}

#[tokio::test]
async fn an_existing_node_finds_every_segment() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("old-film");
    std::fs::create_dir(&own).unwrap();
    let h264 = "-c:v libx264 -preset ultrafast -g 25 -sc_threshold 0 -movflags";
    for (name, options) in [
        ("134.mp4", format!("{h264} +dash+global_sidx+frag_keyframe")),
        ("135.mp4", format!("{h264} +frag_keyframe+empty_moov+default_base_moof")),
        ("242.webm", "-c:v libvpx -deadline realtime -g 25 -cues_to_front 1".to_owned()),
        ("243.webm", "-c:v libvpx -deadline realtime -g 25".to_owned()),
    ] {
        let source = "-loglevel error -f lavfi -i testsrc2=size=320x180:rate=25:duration=4 -pix_fmt yuv420p";
        let mut command = Command::new(&ffmpeg);
        command.args(format!("{source} {options}").split_whitespace()).arg(own.join(name)).kill_on_drop(true);
        assert!(soon(name, command.status()).await.unwrap().success(), "{name}");
    }
    let node = Node::start(&["--media", folder.path().to_str().unwrap()], &[]).await;
    let document = node.get("/video/old-film.json").await.json();
    assert_eq!(document["id"], "old-film");
    for (itag, name) in [("134", "134.mp4"), ("135", "135.mp4"), ("242", "242.webm"), ("243", "243.webm")] {
        let reader = Reader { node: &node, vid: "old-film", stream: document["streams"][itag].clone() };
        assert_eq!(reader.stream["itag"], itag);
        let segments = reader.segments().await;
        assert!((3..=5).contains(&segments.len()), "{itag}: {segments:?}");
        let mut media = Vec::new();
        for (start, end) in segments {
            let segment = reader.part(start, end).await;
            let begins = if name.ends_with("webm") { &segment[..4] } else { &segment[4..8] };
            assert!([&[0x1f, 0x43, 0xb6, 0x75][..], b"moof", b"styp"].contains(&begins), "{itag}: {begins:x?}");
            media.extend_from_slice(&segment);
        }
        // All of the media, with the file's own bytes.
        let source = std::fs::read(own.join(name)).unwrap();
        assert!(source.windows(media.len()).any(|window| window == media), "{itag}: other bytes");
        assert!(media.len() * 10 > source.len() * 8, "{itag}: {} of {}", media.len(), source.len());
    }
}

//! Cameras pulled: GStreamer's server as it was recorded, and edited to quirks of cameras.

use sluicegate_media::Kind;

use crate::script::{Item, Script, keep, packets};
use crate::{Pulled, Seen, pulled};

const H264: &str = "ffmpeg_plays_from_gstreamer";
const H265: &str = "gstreamer_plays_from_gstreamer";
/// Parameter sets of pictures of 320x180, by x264.
const OTHER_SETS: &str = "Z0LADdoFBf+XARAAAAMAEAAAAwFA8UKqgA==,aM4PyA==";

/// The pictures in a recording, by its own reading of RTP: the times of packets with the marker, in milliseconds.
fn recorded_times(script: &Script, channel: u8, clock: i64) -> Vec<i64> {
    let mut times = Vec::new();
    for item in &script.server {
        let Item::Packet { channel: on, payload } = item else { continue };
        if *on == channel && payload[1] & 0x80 != 0 {
            times.push(i64::from(u32::from_be_bytes(payload[4..8].try_into().unwrap())));
        }
    }
    let first = times[0];
    times.iter().map(|time| (time - first) * 1_000 / clock).collect()
}

fn are_close(frames: &[&Seen], times: &[i64]) {
    let seen: Vec<_> = frames.iter().map(|frame| frame.1).collect();
    assert_eq!(seen.len(), times.len(), "{seen:?} {times:?}");
    assert!(seen.iter().zip(times).all(|(seen, told)| (seen - told).abs() <= 1), "{seen:?} {times:?}");
}

#[tokio::test]
async fn cameras_as_they_were_recorded() {
    let pictures_of = ("h264", (160, 96));
    for (name, codecs) in [(H264, [pictures_of, ("aac", (0, 0))]), (H265, [("h265", (160, 96)), ("g711a", (0, 0))])] {
        let script = Script::load(name);
        let pulled = pulled(&script).await;
        assert_eq!(pulled.tracks, codecs);
        assert!(pulled.end.is_ok(), "{:?}", pulled.end);
        are_close(&pulled.of(Kind::Video), &recorded_times(&script, 0, 90_000));
        assert!(pulled.of(Kind::Video)[0].2, "a key frame comes first");
    }
}

/// What an edit is for, and the edit.
type Quirk = (&'static str, fn(&mut Script));

/// Quirks that change nothing of what is seen.
const HARMLESS: [Quirk; 25] = [
    ("no Content-Base", |script| script.server_says("Content-Base: rtsp://127.0.0.1:18560/main/\r\n", "")),
    ("Content-Location", |script| script.server_says("Content-Base:", "Content-Location:")),
    ("a base without its slash", |script| script.server_says("/main/\r\nServer", "/main\r\nServer")),
    ("absolute controls", |script| script.server_says("control:stream", "control:rtsp://127.0.0.1:18560/main/stream")),
    ("no RTCP", |script| keep(&mut script.server, |channel| channel % 2 == 0)),
    ("no parameter sets in the description", |script| {
        script.server_says("sprop-parameter-sets=Z0LACtoKNsBagwMDUoAAAAMAgAAACkeJE1A=,aM48gA==;", "");
    }),
    ("a session time of a second", |script| script.server_says("\r\nDate:", ";timeout=1\r\nDate:")),
    ("a session's number of its own for each track", |script| {
        script.server_says(
            "ssrc=4E5184A8;mode=\"PLAY\"\r\nServer: GStreamer RTSP server\r\nSession: ",
            "ssrc=4E5184A8\r\nSession: x",
        );
    }),
    ("no ssrc", |script| {
        script.server_says(";ssrc=8584013A", "");
        script.server_says(";ssrc=4E5184A8", "");
    }),
    ("ssrc of another source than the packets'", |script| script.server_says("ssrc=8584013A", "ssrc=00000001")),
    ("no channels", |script| {
        script.server_says(";interleaved=0-1", "");
        script.server_says(";interleaved=2-3", "");
    }),
    ("one channel", |script| script.server_says("interleaved=0-1", "interleaved=0")),
    ("spaces between the parts of the transport", |script| script.server_says(";interleaved", "; interleaved")),
    ("no transport in the answer", |script| script.server_says("Transport:", "X-Transport:")),
    ("a session time that is none", |script| script.server_says("\r\nDate:", ";timeout=\r\nDate:")),
    ("a session time of 0", |script| script.server_says("\r\nDate:", ";timeout=0\r\nDate:")),
    ("a space behind the session's number", |script| script.server_says("\r\nDate:", " ; timeout=60\r\nDate:")),
    ("headers in lower case", |script| {
        for name in
            ["CSeq", "Content-Type", "Content-Base", "Content-Length", "Transport", "Session", "RTP-Info", "Public"]
        {
            script.server_says(&format!("{name}:"), &format!("{}:", name.to_ascii_lowercase()));
        }
    }),
    ("no RTP-Info", |script| script.server_says("RTP-Info", "X-Info")),
    ("packets on a channel that nobody asked for", |script| {
        let stray = Item::Packet { channel: 9, payload: vec![0x80; 40] };
        script.server.insert(script.server.len() - 20, stray);
    }),
    ("RTCP on the channel of RTP", |script| move_reports(script, 0)),
    ("RTCP on the channel of the other's RTCP", |script| move_reports(script, 3)),
    ("parameter sets of another size in the description than with the pictures", |script| {
        script.server_says("Z0LACtoKNsBagwMDUoAAAAMAgAAACkeJE1A=,aM48gA==", OTHER_SETS);
    }),
    ("each packet of pictures twice", |script| {
        let count = |item: &Item| if matches!(item, Item::Packet { channel: 0, .. }) { 2 } else { 1 };
        let twice = script.server.iter().flat_map(|item| std::iter::repeat_n(item.clone(), count(item)));
        script.server = twice.collect();
    }),
    ("a description with line feeds only", |script| script.server_says("\r\na=", "\na=")),
];

fn move_reports(script: &mut Script, to: u8) {
    packets(&mut script.server).filter(|(channel, _)| **channel == 1).for_each(|(channel, _)| *channel = to);
}

#[tokio::test]
async fn harmless_quirks_change_nothing() {
    let plain = pulled(&Script::load(H264)).await;
    assert!(plain.frames.len() > 60 && plain.end.is_ok());
    for (what, edit) in HARMLESS {
        let mut script = Script::load(H264);
        edit(&mut script);
        let Pulled { tracks, frames, end } = pulled(&script).await;
        assert!(end.is_ok(), "{what}: {end:?}");
        assert_eq!(tracks, plain.tracks, "{what}");
        assert!(frames == plain.frames, "{what}: {} frames, not {}", frames.len(), plain.frames.len());
    }
}

#[tokio::test]
async fn packets_before_the_answer_to_play_are_taken_but_for_the_first() {
    let plain = pulled(&Script::load(H264)).await;
    let mut script = Script::load(H264);
    let is_answer = |item: &Item| matches!(item, Item::Text { head, .. } if head.contains("RTP-Info"));
    let at = script.server.iter().position(is_answer).unwrap();
    let answer = script.server.remove(at);
    script.server.insert(at + 3, answer);
    let early = pulled(&script).await;
    assert_eq!(early.tracks, plain.tracks);
    let (early, plain) = (early.frames, plain.frames);
    let of = |frames: &[Seen], kind| frames.iter().filter(|frame| frame.0 == kind).cloned().collect::<Vec<_>>();
    let (some, all) = (of(&early, Kind::Video), of(&plain, Kind::Video));
    // The delimiter before the first picture has come too early.
    assert!(some[0].3.len() + 6 == all[0].3.len() && some[1..] == all[1..]);
    assert!(of(&plain, Kind::Audio).len() - of(&early, Kind::Audio).len() <= 1);
}

#[tokio::test]
async fn a_clock_that_jumps_is_bridged() {
    let plain = pulled(&Script::load(H264)).await;
    for seconds in [600_i32, -600, -1, 40_000] {
        let mut script = Script::load(H264);
        let mut pictures = 0;
        for (_, payload) in packets(&mut script.server).filter(|(channel, _)| **channel == 0) {
            let ends = payload[1] & 0x80 != 0;
            if pictures >= 10 {
                let time = u32::from_be_bytes(payload[4..8].try_into().unwrap());
                let time = time.wrapping_add_signed(seconds.wrapping_mul(90_000));
                payload[4..8].copy_from_slice(&time.to_be_bytes());
            }
            pictures += usize::from(ends);
        }
        let jumped = pulled(&script).await;
        let payloads = |pulled: &Pulled| pulled.of(Kind::Video).iter().map(|frame| frame.3.clone()).collect::<Vec<_>>();
        let times: Vec<_> = jumped.of(Kind::Video).iter().map(|frame| frame.1).collect();
        assert!(payloads(&jumped) == payloads(&plain), "{seconds} s: {times:?}");
        assert!(times.is_sorted() && times.last().unwrap() - times[0] < 5_000, "{seconds} s: {times:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_taken_is_told() {
    let quirks: [(&str, Quirk); 3] = [
        // Packets would come elsewhere.
        (
            "missing interleaved parameter",
            ("ports instead of channels", |script| script.server_says("interleaved=0-1", "client_port=5000-5001")),
        ),
        (
            "Can't assign odd channel",
            ("an odd channel", |script| script.server_says("interleaved=0-1", "interleaved=1-2")),
        ),
        ("asking for the stream", ("no description", |script| script.server_says("v=0", "v=x"))),
    ];
    for (words, (what, edit)) in quirks {
        let mut script = Script::load(H264);
        edit(&mut script);
        let pulled = pulled(&script).await;
        let told = pulled.end.unwrap_err().reason();
        assert!(told.contains(words) && pulled.frames.is_empty(), "{what}: {told}");
    }
}

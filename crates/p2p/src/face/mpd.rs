//! The DASH manifest of a video (ISO/IEC 23009-1): one stream with pictures, one with sound.

use std::fmt::Write;

use crate::media::{Itag, Stream, VideoInfo};

/// Bits a second of a stream of which nothing is known.
const BANDWIDTH: u64 = 1_000_000;
const ON_DEMAND: &str = "urn:mpeg:dash:profile:isoff-on-demand:2011";
const FULL: &str = "urn:mpeg:dash:profile:full:2011";

/// The manifest; `None` when no stream has an index. Streams of a preferred number go first, then MP4 goes before `WebM`
/// and what has more bytes before what has fewer.
pub(super) fn document(info: &VideoInfo, video: &[Itag], audio: &[Itag]) -> Option<String> {
    let video = choose(info, "video/", video);
    // A stream with both needs no sound beside it.
    let needs_sound = video.is_none_or(|stream| !stream.codecs().contains(','));
    let audio = choose(info, "audio/", audio).filter(|_| needs_sound);
    let chosen: Vec<&Stream> = audio.into_iter().chain(video).collect();
    if chosen.is_empty() {
        return None;
    }
    let seconds = info.duration.parse::<f64>().ok().filter(|seconds| seconds.is_finite() && *seconds > 0.0);
    let profile = if chosen.iter().any(|stream| stream.is_webm()) { FULL } else { ON_DEMAND };
    let duration = seconds.map_or_else(String::new, |seconds| format!(" mediaPresentationDuration=\"PT{seconds}S\""));
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" \
         profiles=\"{profile}\" type=\"static\" minBufferTime=\"PT2S\"{duration}><Period>"
    );
    for stream in chosen {
        adaptation_set(&mut out, info, stream, seconds);
    }
    out.push_str("</Period></MPD>\n");
    Some(out)
}

fn adaptation_set(out: &mut String, info: &VideoInfo, stream: &Stream, seconds: Option<f64>) {
    let (Some(init), Some(index)) = (stream.init, stream.index) else { return };
    let kind = stream.essence().split('/').next().unwrap_or_default();
    let codecs = match stream.codecs() {
        "" => String::new(),
        codecs => format!(" codecs=\"{}\"", escaped(codecs)),
    };
    let extension = if stream.is_webm() { "webm" } else { "mp4" };
    // Writing to a text does not fail.
    let _ = write!(
        out,
        "<AdaptationSet contentType=\"{}\" mimeType=\"{}\" subsegmentAlignment=\"true\" subsegmentStartsWithSAP=\"1\">\
         <Representation id=\"{}\" bandwidth=\"{}\"{codecs}><BaseURL>{}/{}.{extension}</BaseURL>\
         <SegmentBase indexRange=\"{}-{}\"><Initialization range=\"{}-{}\"/></SegmentBase>\
         </Representation></AdaptationSet>",
        escaped(kind),
        escaped(stream.essence()),
        stream.itag,
        bandwidth(stream.len, seconds),
        info.id,
        stream.itag,
        index.start,
        index.end,
        init.start,
        init.end,
    );
}

/// The stream of a kind.
fn choose<'a>(info: &'a VideoInfo, kind: &str, preferred: &[Itag]) -> Option<&'a Stream> {
    let fits = |stream: &&Stream| stream.mime.starts_with(kind) && stream.init.is_some() && stream.index.is_some();
    let wanted = preferred.iter().filter_map(|itag| info.streams.get(itag)).find(fits);
    let rank = |stream: &&Stream| (!stream.is_webm(), !stream.codecs().contains(','), stream.len);
    wanted.or_else(|| info.streams.values().filter(fits).max_by_key(rank))
}

fn bandwidth(len: Option<u64>, seconds: Option<f64>) -> u64 {
    let (Some(len), Some(seconds)) = (len, seconds) else { return BANDWIDTH };
    let milliseconds = std::time::Duration::try_from_secs_f64(seconds).map_or(0, |duration| duration.as_millis());
    let bits = u128::from(len) * 8_000 / milliseconds.max(1);
    u64::try_from(bits).unwrap_or(BANDWIDTH).max(1)
}

/// Text of an origin as an attribute's value.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            letter if letter.is_control() => {}
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info() -> VideoInfo {
        let stream = |itag: u16, mime: &str, len: u64| {
            format!(
                r#""{itag}":{{"itag":"{itag}","type":"{}","len":"{len}","initRange":{{"start":"0","end":"9"}},
                "indexRange":{{"start":"10","end":"19"}}}}"#,
                mime.replace('"', "\\\"")
            )
        };
        let streams = [
            stream(134, "video/mp4; codecs=\"avc1.42c01e\"", 100),
            stream(136, "video/mp4; codecs=\"avc1.42c01f\"", 7_500_000),
            stream(140, "audio/mp4; codecs=\"mp4a.40.2\"", 10),
            stream(242, "video/webm; codecs=\"v&<p8\"", 999),
            r#""18":{"itag":"18","type":"video/mp4; codecs=\"avc1\"","len":"5"}"#.to_owned(),
        ];
        let document = format!(r#"{{"id":"testvideo01","duration":"60","streams":{{{}}}}}"#, streams.join(","));
        VideoInfo::parse(document.as_bytes()).unwrap()
    }

    #[test]
    fn the_best_of_each_kind_or_the_preferred() {
        let all = document(&info(), &[], &[]).unwrap();
        assert!(all.contains("PT60S") && all.contains(ON_DEMAND), "{all}");
        assert!(all.contains("testvideo01/136.mp4") && all.contains("testvideo01/140.mp4"), "{all}");
        assert!(all.contains("bandwidth=\"1000000\"") && all.contains("indexRange=\"10-19\""), "{all}");
        let itags = |list: &[u16]| list.iter().copied().filter_map(Itag::new).collect::<Vec<_>>();
        // One without an index or of another kind is not taken.
        let preferred = document(&info(), &itags(&[18, 140, 242]), &itags(&[136])).unwrap();
        assert!(preferred.contains("testvideo01/242.webm") && preferred.contains(FULL), "{preferred}");
        assert!(preferred.contains("v&amp;&lt;p8") && preferred.contains("140.mp4"), "{preferred}");
    }

    #[test]
    fn without_an_index_there_is_none() {
        let mut info = info();
        info.streams.retain(|itag, _| itag.number() == 18);
        assert_eq!(document(&info, &[], &[]), None);
    }
}

//! What a path below `/video/` names.

use crate::media::{ByteRange, DocumentKind, Itag, SegmentId, VideoId};

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// `{vid}.json`.
    Info(VideoId),
    /// `{vid}.mpd`.
    Mpd(VideoId),
    /// `{vid}.xml`, `{vid}.jpg`, `{vid}.webp`.
    Document(VideoId, DocumentKind),
    /// `{vid}.mp4`, `{vid}.webm`: picture and sound in one.
    Muxed(VideoId, &'static str),
    /// `{vid}/{itag}.mp4`, `{vid}/{itag}.webm`; the ending is not looked at.
    Whole(VideoId, Itag),
    /// `{vid}/{itag}/{start}-{end}.ts`.
    Part(VideoId, Itag, ByteRange),
    /// `{vid}/{itag}/{index}.sha256`.
    Hash(SegmentId),
}

impl Target {
    /// Reads a path. `None` when it names nothing that there could be.
    pub(super) fn parse(path: &str) -> Option<Self> {
        let path = path.strip_prefix("/video/")?;
        let (place, extension) = path.rsplit_once('.')?;
        let mut segments = place.split('/');
        let vid: VideoId = segments.next()?.parse().ok()?;
        let rest = (segments.next(), segments.next(), segments.next());
        match (rest, extension) {
            ((None, ..), _) => Self::of_video(vid, extension),
            ((Some(itag), None, _), "mp4" | "webm") => Some(Self::Whole(vid, itag.parse().ok()?)),
            ((Some(itag), Some(range), None), "ts") => {
                let (start, end) = range.split_once('-')?;
                let range = ByteRange { start: number(start)?, end: number(end)? };
                Some(Self::Part(vid, itag.parse().ok()?, range))
            }
            ((Some(itag), Some(index), None), "sha256") => {
                let index = u32::try_from(number(index)?).ok()?;
                Some(Self::Hash(SegmentId { vid, itag: itag.parse().ok()?, index }))
            }
            _ => None,
        }
    }

    fn of_video(vid: VideoId, extension: &str) -> Option<Self> {
        Some(match extension {
            "json" => Self::Info(vid),
            "mpd" => Self::Mpd(vid),
            "xml" => Self::Document(vid, DocumentKind::Captions { language: None }),
            "jpg" => Self::Document(vid, DocumentKind::Jpeg),
            "webp" => Self::Document(vid, DocumentKind::WebP),
            "mp4" => Self::Muxed(vid, "mp4"),
            "webm" => Self::Muxed(vid, "webm"),
            _ => return None,
        })
    }
}

/// Digits only.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_what_they_say_and_nothing_else() {
        let vid = || "testvideo01".parse::<VideoId>().unwrap();
        let itag = || Itag::new(134).unwrap();
        let parse = |path: &str| Target::parse(&format!("/video/{path}"));
        assert_eq!(parse("testvideo01.json"), Some(Target::Info(vid())));
        assert_eq!(parse("testvideo01/134.webm"), Some(Target::Whole(vid(), itag())));
        let range = ByteRange { start: 0, end: 99 };
        assert_eq!(parse("testvideo01/134/0-99.ts"), Some(Target::Part(vid(), itag(), range)));
        let id = SegmentId { vid: vid(), itag: itag(), index: 7 };
        assert_eq!(parse("testvideo01/134/7.sha256"), Some(Target::Hash(id)));
        for nothing in [
            "ab.json",
            "testvideo01",
            "testvideo01.exe",
            "testvideo01/134.ts",
            "testvideo01/134/0-.ts",
            "testvideo01/134/-9.ts",
            "testvideo01/134/+1-2.ts",
            "testvideo01/1345.mp4",
            "testvideo01/134/1/2.ts",
            "../../etc/passwd.json",
            "testvideo01/134/99999999999999999999-2.ts",
            "testvideo01/134/4294967296.sha256",
            "api/v3/videos",
            "%2e%2e%2fxx.json",
        ] {
            assert_eq!(parse(nothing), None, "{nothing}");
        }
    }
}

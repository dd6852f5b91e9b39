//! What a session description offers, as far as codecs are concerned (RFC 8866, RFC 8829). The rest is the stack's.

use sluicegate_media::Codec;
use sluicegate_rtc_driver::media::{self, Kind};

use crate::Error;

/// Media sections that are looked at; browsers offer two or three.
const MAX_SECTIONS: usize = 32;
/// Codecs of a section; Chromium offers about 40.
const MAX_CODECS: usize = 128;

/// A media section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) kind: Kind,
    /// Whether the peer sends, and whether it receives.
    pub(crate) sends: bool,
    pub(crate) receives: bool,
    pub(crate) codecs: Vec<media::Codec>,
    /// Whether the peer names the source that it sends packets again by (RFC 5576 section 4.2, RFC 4588).
    pub(crate) repairs: bool,
}

impl Section {
    /// The names of its codecs, for messages.
    pub(crate) fn names(&self) -> String {
        let mut names: Vec<&str> = self.codecs.iter().map(|codec| codec.name.as_str()).collect();
        names.dedup();
        names.join(", ")
    }
}

/// The codec of the hub that an encoding's name stands for (RFC 8866 section 6.6: case does not matter).
pub(crate) fn codec(name: &str) -> Option<Codec> {
    use Codec::{Av1, G711A, G711U, H264, H265, Opus, Vp8, Vp9};
    let known = [H264, H265, Vp8, Vp9, Av1, Opus, G711A, G711U];
    known
        .into_iter()
        .find(|codec| sluicegate_rtp::encoding_name(*codec).is_some_and(|known| known.eq_ignore_ascii_case(name)))
}

/// A format parameter, such as `packetization-mode`.
pub(crate) fn parameter<'a>(codec: &'a media::Codec, name: &str) -> Option<&'a str> {
    let mut pairs = codec.parameters.split(';').filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// The sections of sound and pictures that are not refused.
///
/// # Errors
/// [`Error::Description`] for text that is no session description, or one that goes past the limits.
pub(crate) fn sections(description: &str) -> Result<Vec<Section>, Error> {
    let fault = |fault| Error::Description { fault };
    if !description.trim_start().starts_with("v=0") {
        return Err(fault("it does not begin with v=0"));
    }
    let mut parts = description.split("\nm=");
    let session = direction(parts.next().unwrap_or_default());
    let mut sections = Vec::new();
    for (index, part) in parts.enumerate() {
        if index >= MAX_SECTIONS {
            return Err(fault("it has more than 32 media sections"));
        }
        sections.extend(section(part, session)?);
    }
    Ok(sections)
}

fn lines(part: &str) -> impl DoubleEndedIterator<Item = &str> {
    part.lines().map(str::trim_end)
}

/// The last direction attribute (RFC 8866 section 6.7), as whether the peer sends and receives.
fn direction(part: &str) -> Option<(bool, bool)> {
    let named = |line: &str| match line {
        "a=sendrecv" => Some((true, true)),
        "a=sendonly" => Some((true, false)),
        "a=recvonly" => Some((false, true)),
        "a=inactive" => Some((false, false)),
        _ => None,
    };
    lines(part).filter_map(named).next_back()
}

fn section(part: &str, session: Option<(bool, bool)>) -> Result<Option<Section>, Error> {
    let mut words = lines(part).next().unwrap_or_default().split(' ');
    let kind = match words.next() {
        Some("audio") => Kind::Audio,
        Some("video") => Kind::Video,
        _ => return Ok(None),
    };
    if words.next().is_none_or(|port| port == "0" && !part.contains("a=bundle-only")) {
        return Ok(None);
    }
    let types: Vec<u8> = words.skip(1).filter_map(|word| word.parse().ok()).collect();
    if types.len() > MAX_CODECS {
        return Err(Error::Description { fault: "a media section has more than 128 codecs" });
    }
    let (sends, receives) = direction(part).or(session).unwrap_or((true, true));
    let codecs = types.into_iter().filter_map(|payload_type| codec_of(part, kind, payload_type)).collect();
    let repairs = lines(part).any(|line| line.starts_with("a=ssrc-group:FID "));
    Ok(Some(Section { kind, sends, receives, codecs, repairs }))
}

/// What the section says of a payload type. Those of RFC 3551 need no words.
fn codec_of(part: &str, kind: Kind, payload_type: u8) -> Option<media::Codec> {
    let of = |line: &'_ str, attribute: &str| -> Option<String> {
        let (number, rest) = line.strip_prefix(attribute)?.split_once(' ')?;
        (number.parse() == Ok(payload_type)).then(|| rest.trim().to_owned())
    };
    let map = lines(part).find_map(|line| of(line, "a=rtpmap:")).or_else(|| match payload_type {
        0 => Some("PCMU/8000".to_owned()),
        8 => Some("PCMA/8000".to_owned()),
        _ => None,
    })?;
    let mut fields = map.split('/');
    let (name, clock_rate) = (fields.next()?.to_owned(), fields.next()?.parse().ok()?);
    let stated = fields.next().and_then(|channels| channels.parse().ok());
    let channels = if kind == Kind::Video { 0 } else { stated.unwrap_or(1) };
    let parameters = lines(part).find_map(|line| of(line, "a=fmtp:")).unwrap_or_default();
    Some(media::Codec { kind, name, clock_rate, channels, parameters, payload_type })
}

/// One fuzzed run of the parser.
pub fn fuzz_offer(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = sections(text);
        let _ = crate::fragment::Fragment::parse(text);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OFFER: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111 0\r\na=mid:0\r\na=sendonly\r\na=rtpmap:111 opus/48000/2\r\n\
        a=fmtp:111 minptime=10;useinbandfec=1\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96 97 102\r\na=mid:1\r\na=recvonly\r\na=rtpmap:96 VP8/90000\r\n\
        a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=rtpmap:102 H264/90000\r\n\
        a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n\
        m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n";

    #[test]
    fn sections_and_codecs_are_read() {
        let sections = sections(OFFER).unwrap();
        let [audio, video] = sections.as_slice() else { panic!("{sections:?}") };
        assert_eq!(
            (audio.kind, audio.sends, audio.receives, audio.names().as_str()),
            (Kind::Audio, true, false, "opus, PCMU")
        );
        assert_eq!((audio.codecs[0].channels, audio.codecs[1].clock_rate), (2, 8_000));
        assert_eq!((video.sends, video.receives, video.names().as_str()), (false, true, "VP8, rtx, H264"));
        assert_eq!(parameter(&video.codecs[2], "Packetization-Mode"), Some("1"));
        assert_eq!(sections, super::sections(&OFFER.replace("\r\n", "\n")).unwrap());
    }

    #[test]
    fn what_is_no_offer_is_refused() {
        assert!(sections("").is_err());
        assert!(sections("{}").is_err());
        assert!(sections(&format!("v=0\n{}", "m=audio 9 X 0\n".repeat(40))).is_err());
        assert!(sections("v=0\nm=video 0 UDP/TLS/RTP/SAVPF 96\n").unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn any_text_never_panics(text: String, at in 0..OFFER.len(), with: String) {
            fuzz_offer(text.as_bytes());
            fuzz_offer([&OFFER[..at], &with, &OFFER[at..]].concat().as_bytes());
        }
    }
}

//! Session descriptions (RFC 4566): made of the hub's tracks, and read from publishers.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use sluicegate_media::{AudioInfo, ClockRate, Codec, Kind, Track, Tracks, avc, hevc};

/// Payload types: the dynamic ones of pictures and sound, and the static ones of G.711 (RFC 3551 section 6).
const VIDEO_TYPE: u8 = 96;
const AUDIO_TYPE: u8 = 97;
const PCMU_TYPE: u8 = 0;
const PCMA_TYPE: u8 = 8;
/// Media of one description that are looked at.
const MAX_MEDIA: usize = 16;

/// The tracks that go by RTSP, at their places: the first pictures and the first sound.
pub(crate) fn chosen(tracks: &Tracks) -> impl Iterator<Item = &Track> {
    let first = |kind| tracks.iter().find(move |track: &&Track| track.kind() == kind && is_carried(track.codec));
    [first(Kind::Video), first(Kind::Audio)].into_iter().flatten()
}

fn is_carried(codec: Codec) -> bool {
    codec == Codec::Aac || sluicegate_rtp::supports(codec)
}

/// The RTP payload type of a codec.
pub(crate) fn payload_type(codec: Codec) -> u8 {
    match codec {
        Codec::G711U => PCMU_TYPE,
        Codec::G711A => PCMA_TYPE,
        codec if codec.kind() == Kind::Video => VIDEO_TYPE,
        _ => AUDIO_TYPE,
    }
}

/// The description of a stream; `None` when nothing of it can go.
pub(crate) fn describe(name: &str, tracks: &Tracks) -> Option<String> {
    let mut text =
        format!("v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns={name}\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\n");
    let mut count = 0_usize;
    for (place, track) in chosen(tracks).enumerate() {
        let (kind, number) = (if track.kind() == Kind::Video { "video" } else { "audio" }, payload_type(track.codec));
        let rate = sluicegate_rtp::track_clock_rate(track).hz();
        let (encoding, format) = encoding(track);
        text.push_str(&format!(
            "m={kind} 0 RTP/AVP {number}\r\na=rtpmap:{number} {encoding}/{rate}{}\r\n",
            channels(track)
        ));
        if !format.is_empty() {
            text.push_str(&format!("a=fmtp:{number} {format}\r\n"));
        }
        text.push_str(&format!("a=control:trackID={place}\r\n"));
        count = count.saturating_add(1);
    }
    (count > 0).then_some(text)
}

fn channels(track: &Track) -> String {
    match track.codec {
        // RFC 7587 section 7.
        Codec::Opus => "/2".to_owned(),
        Codec::Aac => format!("/{}", track.audio.channels.max(1)),
        _ => String::new(),
    }
}

/// The encoding's name and its parameters.
fn encoding(track: &Track) -> (&'static str, String) {
    let in_base64 = |sets: &[Vec<u8>]| sets.iter().map(|set| BASE64_STANDARD.encode(set)).collect::<Vec<_>>().join(",");
    let format = match track.codec {
        Codec::H264 => {
            let record = avc::DecoderConfigurationRecord::parse(&track.configuration).ok();
            let sets = record.map(|record| [record.sps, record.pps].concat()).unwrap_or_default();
            let profile = sets.first().and_then(|sps| sps.get(1..4)).unwrap_or_default();
            let profile: String = profile.iter().map(|byte| format!("{byte:02X}")).collect();
            let sets = in_base64(&sets);
            format!("packetization-mode=1;profile-level-id={profile};sprop-parameter-sets={sets}")
        }
        Codec::H265 => {
            let record = hevc::DecoderConfigurationRecord::parse(&track.configuration).ok();
            let sets = record.map(|record| record.parameter_sets).unwrap_or_default();
            // Types of NAL units: RFC 7798 section 7.1 names them.
            let named = [(32, "sprop-vps"), (33, "sprop-sps"), (34, "sprop-pps")].map(|(kind, name)| {
                let of_kind = |set: &&Vec<u8>| set.first().is_some_and(|first| first >> 1 & 0x3f == kind);
                let found: Vec<Vec<u8>> = sets.iter().map(|(_, set)| set).filter(of_kind).cloned().collect();
                format!("{name}={}", in_base64(&found))
            });
            named.join(";")
        }
        Codec::Aac => {
            let config: String = track.configuration.iter().map(|byte| format!("{byte:02X}")).collect();
            return (
                "MPEG4-GENERIC",
                format!(
                    "streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config={config}"
                ),
            );
        }
        Codec::Opus => "sprop-stereo=1".to_owned(),
        _ => String::new(),
    };
    (sluicegate_rtp::encoding_name(track.codec).unwrap_or_default(), format)
}

/// One media of a publisher's description that can be carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Media {
    pub(crate) codec: Codec,
    pub(crate) rate: ClockRate,
    /// The decoder configuration where the description tells it; AAC tells it nowhere else.
    pub(crate) configuration: Bytes,
}

/// The media of a description in their order; `None` is one that cannot be carried.
pub(crate) fn parse(description: &[u8]) -> Vec<Option<Media>> {
    sections(&String::from_utf8_lossy(description)).iter().map(|lines| media(lines)).collect()
}

/// What the media of a description are called in `SETUP`, in their order.
pub(crate) fn controls(description: &[u8]) -> Vec<Option<String>> {
    let control = |lines: &Vec<&str>| lines.iter().find_map(|line| line.strip_prefix("a=control:")).map(str::to_owned);
    sections(&String::from_utf8_lossy(description)).iter().map(control).collect()
}

/// The lines of each media.
fn sections(text: &str) -> Vec<Vec<&str>> {
    let mut sections: Vec<Vec<&str>> = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with("m=") {
            sections.push(Vec::new());
        }
        if let Some(section) = sections.last_mut() {
            section.push(line);
        }
    }
    sections.truncate(MAX_MEDIA);
    sections
}

fn media(lines: &[&str]) -> Option<Media> {
    // m=KIND PORT PROTOCOL TYPE
    let number = lines.first()?.split_ascii_whitespace().nth(3)?;
    let attribute = |name: &str| {
        let values = lines.iter().filter_map(|line| line.strip_prefix("a=")?.strip_prefix(name)?.strip_prefix(':'));
        values.filter_map(|value| value.split_once(' ')).find(|(of, _)| *of == number).map(|(_, value)| value.trim())
    };
    let (encoding, rate) = match (attribute("rtpmap"), number) {
        (Some(mapped), _) => {
            let mut parts = mapped.split('/');
            (parts.next()?.to_ascii_lowercase(), parts.next()?.trim().parse().ok()?)
        }
        (None, "0") => ("pcmu".to_owned(), 8_000),
        (None, "8") => ("pcma".to_owned(), 8_000),
        _ => return None,
    };
    let parameters = attribute("fmtp").unwrap_or_default();
    let parameter = |name: &str| {
        let mut pairs = parameters.split(';').filter_map(|pair| pair.split_once('='));
        pairs.find(|(known, _)| known.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    };
    let (codec, configuration) = match (encoding.as_str(), rate) {
        ("h264", _) => (Codec::H264, avc_record(parameter("sprop-parameter-sets").unwrap_or_default())),
        ("h265", _) => {
            let sets =
                ["sprop-vps", "sprop-sps", "sprop-pps"].map(|name| from_base64(parameter(name).unwrap_or_default()));
            (Codec::H265, hevc_record(&sets))
        }
        ("mpeg4-generic", _) if parameter("mode")?.eq_ignore_ascii_case("AAC-hbr") => {
            let configuration = Bytes::from(hex(parameter("config")?)?);
            let track = Track::new(sluicegate_media::TrackId::AUDIO, Codec::Aac, configuration.clone()).ok()?;
            (track.audio != AudioInfo::default()).then_some((Codec::Aac, configuration))?
        }
        ("opus", 48_000) => (Codec::Opus, Bytes::new()),
        ("pcma", 8_000) => (Codec::G711A, Bytes::new()),
        ("pcmu", 8_000) => (Codec::G711U, Bytes::new()),
        _ => return None,
    };
    Some(Media { codec, rate: ClockRate::new(rate)?, configuration })
}

/// Parameter sets between commas. What is none becomes an empty one.
fn from_base64(sets: &str) -> Vec<Vec<u8>> {
    sets.split(',').map(|set| BASE64_STANDARD.decode(set.trim()).unwrap_or_default()).collect()
}

/// Empty when the sets are missing; then the pictures have them.
fn avc_record(sets: &str) -> Bytes {
    let sets = from_base64(sets);
    let of_kind = |kind| sets.iter().filter(move |set| set.first().is_some_and(|first| first & 0x1f == kind));
    let pps: Vec<&Vec<u8>> = of_kind(8).collect();
    let record = of_kind(7).next().and_then(|sps| avc::record(sps, &pps).ok());
    record.map(Bytes::from).unwrap_or_default()
}

/// The same of H.265.
fn hevc_record([vps, sps, pps]: &[Vec<Vec<u8>>; 3]) -> Bytes {
    let record = vps.first().zip(sps.first()).and_then(|(vps, sps)| hevc::record(vps, sps, pps).ok());
    record.map(Bytes::from).unwrap_or_default()
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sluicegate_media::TrackId;

    use super::*;

    /// x264, `testsrc` 1280x720.
    const SPS: &[u8] = &[
        0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05, 0xbb, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00,
        0x00, 0x03, 0x03, 0x20, 0xf1, 0x83, 0x19, 0x60,
    ];
    const PPS: &[u8] = &[0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0];

    fn tracks() -> Tracks {
        let record = avc::record(SPS, &[PPS]).unwrap();
        let pictures = Track::new(TrackId::VIDEO, Codec::H264, record.into()).unwrap();
        let sound = Track::new(TrackId::AUDIO, Codec::Aac, Bytes::from_static(b"\x11\x90")).unwrap();
        [pictures, sound].into_iter().collect()
    }

    #[test]
    fn what_players_are_told() {
        let text = describe("cams/door", &tracks()).unwrap();
        let expected = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n\
            a=fmtp:96 packetization-mode=1;profile-level-id=64001F;\
            sprop-parameter-sets=Z2QAH6zZQFAFuwEQAAADABAAAAMDIPGDGWA=,aOvjyyLA\r\na=control:trackID=0\r\n\
            m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/48000/2\r\n\
            a=fmtp:97 streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;\
            config=1190\r\na=control:trackID=1\r\n";
        assert!(text.ends_with(expected), "{text}");
        assert_eq!(describe("x", &Tracks::default()), None);
    }

    #[test]
    fn what_is_told_reads_back() {
        let media: Vec<_> = parse(describe("x", &tracks()).unwrap().as_bytes()).into_iter().flatten().collect();
        assert_eq!((media[0].codec, media[0].rate.hz()), (Codec::H264, 90_000));
        assert_eq!(
            (media[1].codec, media[1].rate.hz(), &media[1].configuration[..]),
            (Codec::Aac, 48_000, &b"\x11\x90"[..])
        );
    }

    #[test]
    fn what_publishers_tell() {
        let text = "v=0\nm=audio 0 RTP/AVP 8\nm=video 0 RTP/AVP 96\na=rtpmap:96 JPEG/90000\n\
            m=audio 0 RTP/AVP 97\na=rtpmap:97 opus/48000/2\nm=audio 0 RTP/AVP 98\na=rtpmap:98 MPEG4-GENERIC/8000\n";
        let codecs: Vec<_> = parse(text.as_bytes()).into_iter().map(|media| media.map(|media| media.codec)).collect();
        assert_eq!(codecs, [Some(Codec::G711A), None, Some(Codec::Opus), None]);
    }

    proptest! {
        #[test]
        fn damage_never_panics(damage in prop::collection::vec((0usize..600, any::<u8>()), 1..12)) {
            let mut bytes = describe("x", &tracks()).unwrap().into_bytes();
            for (at, value) in damage {
                let length = bytes.len();
                bytes[at % length] = value;
            }
            parse(&bytes);
        }
    }
}

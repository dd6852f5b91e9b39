//! Which codecs a session uses.

use sluicegate_media::{Codec, Track, avc};
use sluicegate_rtc_driver::media::{self, Kind, Track as Wanted};

use crate::offer::{Section, codec, parameter};
use crate::{Config, Error};

/// What a publisher's session takes.
#[derive(Debug)]
pub(crate) struct Taking {
    pub(crate) tracks: Vec<Wanted>,
    pub(crate) video: bool,
    pub(crate) audio: bool,
}

/// The first section of each kind that the peer sends on, with the best of its codecs.
///
/// # Errors
/// [`Error::Nothing`] when it sends nothing, [`Error::Codec`] for a section without a codec that we know.
pub(crate) fn to_receive(sections: &[Section], config: &Config) -> Result<Taking, Error> {
    let section = |kind| sections.iter().find(|section| section.kind == kind && section.sends);
    let (video, audio) = (section(Kind::Video), section(Kind::Audio));
    if video.is_none() && audio.is_none() {
        return Err(Error::Nothing { what: "send" });
    }
    let mut tracks = Vec::new();
    let audio_codecs = [Codec::Opus, Codec::G711A, Codec::G711U];
    for (section, preferred) in [(audio, audio_codecs.as_slice()), (video, config.video_codecs.as_slice())] {
        let Some(section) = section else { continue };
        let chosen = preferred.iter().find_map(|wanted| best(section, *wanted, None));
        let ours = || preferred.iter().map(|codec| codec.name()).collect::<Vec<_>>().join(" or ");
        let chosen = chosen.ok_or_else(|| Error::Codec { ours: ours(), theirs: section.names() })?;
        let repair = repair(section, &chosen);
        tracks.push(Wanted::Receive([chosen].into_iter().chain(repair).collect()));
    }
    Ok(Taking { tracks, video: video.is_some(), audio: audio.is_some() })
}

/// The form in which packets of a codec are sent again on a source of their own (RFC 4588 section 8.1). Taken where the
/// peer names that source: a browser without it fills its path with packets of the track itself, which cannot be told
/// from pictures when they are lost.
fn repair(section: &Section, codec: &media::Codec) -> Option<media::Codec> {
    let of = |form: &&media::Codec| {
        let repaired = parameter(form, "apt").and_then(|apt| apt.parse().ok());
        form.name.eq_ignore_ascii_case("rtx") && repaired == Some(codec.payload_type)
    };
    section.codecs.iter().filter(|_| section.repairs).find(of).cloned()
}

/// The codec that a viewer's session sends a track in.
///
/// # Errors
/// [`Error::Codec`] when the peer wants this kind and cannot decode the track. `None` when it does not want it.
pub(crate) fn to_send(
    sections: &[Section],
    wanted: Codec,
    track: Option<&Track>,
) -> Result<Option<media::Codec>, Error> {
    let kind = if wanted.kind() == sluicegate_media::Kind::Video { Kind::Video } else { Kind::Audio };
    let Some(section) = sections.iter().find(|section| section.kind == kind && section.receives) else {
        return Ok(None);
    };
    let profile = track.filter(|_| wanted == Codec::H264).and_then(profile);
    let chosen = best(section, wanted, profile);
    let error = || Error::Codec { ours: wanted.name().to_owned(), theirs: section.names() };
    chosen.map(Some).ok_or_else(error)
}

/// `profile_idc` of a track.
fn profile(track: &Track) -> Option<u8> {
    avc::DecoderConfigurationRecord::parse(&track.configuration).ok().map(|record| record.profile)
}

/// The section's best form of a codec.
fn best(section: &Section, wanted: Codec, profile: Option<u8>) -> Option<media::Codec> {
    let forms = section.codecs.iter().filter(|offered| codec(&offered.name) == Some(wanted));
    // The earlier of equals is what the peer prefers.
    let mut best: Option<(u8, &media::Codec)> = None;
    for form in forms {
        let rank = rank(form, wanted, profile);
        if best.is_none_or(|(known, _)| rank > known) {
            best = Some((rank, form));
        }
    }
    best.map(|(_, form)| form.clone())
}

/// How well a form suits. Decoders take more than they name: browsers name constrained baseline and decode High.
fn rank(form: &media::Codec, wanted: Codec, profile: Option<u8>) -> u8 {
    match wanted {
        Codec::H264 => {
            let mode = parameter(form, "packetization-mode") == Some("1");
            let level = parameter(form, "profile-level-id").unwrap_or("42e01f");
            let named = level.get(..2).and_then(|text| u8::from_str_radix(text, 16).ok());
            let same = profile.is_some() && named == profile;
            let baseline = level.to_ascii_lowercase().starts_with("42e0");
            4 * u8::from(mode) + 2 * u8::from(same) + u8::from(baseline)
        }
        // Profile 0 is what encoders make: 8 bits, 4:2:0 (RFC 9628 section 6, AV1 RTP section 7.2.1).
        Codec::Vp9 => u8::from(matches!(parameter(form, "profile-id"), None | Some("0"))),
        Codec::Av1 => u8::from(matches!(parameter(form, "profile"), None | Some("0"))),
        _ => 0,
    }
}

/// The codec as our own offers name it.
pub(crate) fn ours(codec: Codec) -> Option<media::Codec> {
    let name = sluicegate_rtp::encoding_name(codec)?.to_owned();
    let (kind, channels, payload_type, parameters) = match codec {
        Codec::H264 => return Some(media::Codec::h264()),
        Codec::Vp8 => return Some(media::Codec::vp8()),
        Codec::Opus => return Some(media::Codec::opus()),
        Codec::G711U => (Kind::Audio, 1, 0, ""),
        Codec::G711A => (Kind::Audio, 1, 8, ""),
        Codec::Vp9 => (Kind::Video, 0, 98, "profile-id=0"),
        Codec::Av1 => (Kind::Video, 0, 45, ""),
        _ => (Kind::Video, 0, 116, ""),
    };
    let clock_rate = sluicegate_rtp::clock_rate(codec).hz();
    Some(media::Codec { kind, name, clock_rate, channels, parameters: parameters.to_owned(), payload_type })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_sent_again_are_taken_on_their_own_source_where_it_is_named() {
        let offer = "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96 97 102 103\r\na=sendonly\r\na=rtpmap:96 VP8/90000\r\n\
            a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=rtpmap:102 H264/90000\r\n\
            a=fmtp:102 packetization-mode=1\r\na=rtpmap:103 rtx/90000\r\na=fmtp:103 apt=102\r\n";
        let taken = |offer: &str| {
            let taking = to_receive(&crate::offer::sections(offer).unwrap(), &Config::default()).unwrap();
            let [Wanted::Receive(codecs)] = &taking.tracks[..] else { panic!("{taking:?}") };
            codecs.iter().map(|codec| codec.payload_type).collect::<Vec<_>>()
        };
        assert_eq!(taken(offer), [102]);
        assert_eq!(taken(&format!("{offer}a=ssrc-group:FID 1 2\r\n")), [102, 103]);
    }
}

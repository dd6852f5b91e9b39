//! The JSON that the API answers with.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use sluicegate_hub::{StreamName, StreamStatus, TrackStatus, Variant, ViewerStatus};
use sluicegate_media::Kind;
use sluicegate_net::link::Site;
use utoipa::ToSchema;

/// A connected site.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SiteDocument {
    /// The site's id.
    id: String,
    /// Its name for people; may be empty.
    name: String,
    /// The id of the running instance.
    instance: String,
    /// `native`, or `m7s` for a site of the m7s plugin.
    protocol: &'static str,
    /// When it connected (RFC 3339).
    connected_since: String,
    /// Where it connects from.
    address: String,
    /// The streams that it offers, by the names that they have here.
    streams: Vec<String>,
    /// The names of its services.
    services: Vec<String>,
    /// Bytes from the site.
    bytes_in: u64,
    /// Of these, bytes of pushed streams.
    media_bytes_in: u64,
    /// Bytes to the site.
    bytes_out: u64,
    /// Open connections of its link; 0 while it is away and its streams are kept.
    connections: usize,
    /// Requests under way.
    requests_in_flight: usize,
    /// Round trip of the link in milliseconds; null before the first ping.
    rtt_ms: Option<f64>,
}

impl From<&Site> for SiteDocument {
    fn from(site: &Site) -> Self {
        let info = site.info.borrow();
        Self {
            id: site.id.clone(),
            name: info.name.clone(),
            instance: site.instance.clone(),
            protocol: site.info.borrow().protocol.name(),
            connected_since: rfc3339(site.connected_since),
            address: site.address.to_string(),
            streams: info.streams.clone(),
            services: info.services.iter().map(|service| service.name.clone()).collect(),
            bytes_in: site.bytes_in(),
            media_bytes_in: site.media_bytes_in(),
            bytes_out: site.bytes_out(),
            connections: site.pool.connections().len(),
            requests_in_flight: site.pool.in_flight(),
            rtt_ms: site.rtt().map(millis),
        }
    }
}

/// A stream: live, offered, or waited for.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StreamDocument {
    /// The stream's name.
    name: String,
    /// The site that offers it.
    site: Option<String>,
    /// `offered`, `live`, `away` or `waiting`.
    state: &'static str,
    /// The protocol of the publisher.
    publisher: Option<&'static str>,
    /// Since when it is published (RFC 3339).
    published_since: Option<String>,
    /// Its tracks as far as they are known.
    tracks: Vec<TrackDocument>,
    /// How many watch it, by protocol.
    viewers: BTreeMap<&'static str, usize>,
    /// The variants that it is one of, with the plain stream, the richest first; empty when there is none but itself.
    variants: Vec<VariantDocument>,
    /// Payload in bits per second, over its last 10 s; null before it was ever measured.
    bits_per_second: Option<u64>,
    /// Payload bytes taken in.
    bytes_in: u64,
    /// Bytes handed to viewers.
    bytes_out: u64,
    /// Frames taken in.
    frames_in: u64,
    /// Frames that could not be used: without configuration, or before the first key frame.
    frames_dropped: u64,
    /// Batches that slow viewers skipped, summed over viewers.
    batches_skipped: u64,
}

impl StreamDocument {
    /// A stream and all its variants.
    pub(crate) fn new(status: &StreamStatus, variants: &[Variant]) -> Self {
        let others = variants.iter().any(|variant| variant.name != status.name);
        Self {
            name: status.name.to_string(),
            site: status.owner.as_ref().map(ToString::to_string),
            state: status.state.name(),
            publisher: status.publisher,
            published_since: status.published_since.map(rfc3339),
            tracks: status.tracks.iter().map(Into::into).collect(),
            viewers: status.viewers.clone(),
            variants: variants.iter().filter(|_| others).map(Into::into).collect(),
            bits_per_second: status.bits_per_second,
            bytes_in: status.bytes_in,
            bytes_out: status.bytes_out,
            frames_in: status.frames_in,
            frames_dropped: status.frames_dropped,
            batches_skipped: status.batches_skipped,
        }
    }
}

/// Somebody who watches a stream.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ViewerDocument {
    /// Counts the viewers of the stream.
    id: u64,
    /// The stream's name.
    stream: String,
    /// How it watches.
    protocol: &'static str,
    /// Where it connects from.
    address: Option<String>,
    /// When it came (RFC 3339).
    connected_since: String,
    /// Bytes handed to it.
    bytes_out: u64,
    /// Batches that it was too slow for.
    batches_skipped: u64,
    /// Bits per second that its path carries, of WebRTC viewers whose path carries less than the stream.
    estimate_bps: Option<u64>,
    /// Round trip in milliseconds, of WebRTC viewers.
    rtt_ms: Option<f64>,
    /// The part of the packets that did not come in the last second or so, 0 to 1, of WebRTC viewers.
    loss: Option<f64>,
}

impl ViewerDocument {
    pub(crate) fn new(stream: &StreamName, viewer: &ViewerStatus) -> Self {
        Self {
            id: viewer.id,
            stream: stream.to_string(),
            protocol: viewer.protocol,
            address: viewer.address.map(|address| address.to_string()),
            connected_since: rfc3339(viewer.since),
            bytes_out: viewer.bytes_out,
            batches_skipped: viewer.batches_skipped,
            estimate_bps: viewer.path.and_then(|path| path.estimate),
            rtt_ms: viewer.path.and_then(|path| path.round_trip).map(millis),
            loss: viewer.path.map(|path| f64::from(path.lost) / 256.0),
        }
    }
}

/// A variant of a stream.
#[derive(Debug, Serialize, ToSchema)]
struct VariantDocument {
    /// The stream's name.
    name: String,
    /// `offered`, `live` or `away`.
    state: &'static str,
    /// Payload in bits per second as last measured.
    bits_per_second: Option<u64>,
}

impl From<&Variant> for VariantDocument {
    fn from(variant: &Variant) -> Self {
        let Variant { name, state, bits_per_second, .. } = variant;
        Self { name: name.to_string(), state: state.name(), bits_per_second: *bits_per_second }
    }
}

/// A track of a stream.
#[derive(Debug, Serialize, ToSchema)]
struct TrackDocument {
    /// The number within the stream.
    id: u8,
    /// `video`, `audio` or `data`.
    kind: &'static str,
    /// The codec's name.
    codec: &'static str,
    /// The codec as in the MIME parameter `codecs` (RFC 6381).
    rfc6381: String,
    /// Width in samples, for video.
    #[serde(skip_serializing_if = "is_zero")]
    width: u32,
    /// Height in samples, for video.
    #[serde(skip_serializing_if = "is_zero")]
    height: u32,
    /// Samples per second, for audio.
    #[serde(skip_serializing_if = "is_zero")]
    sample_rate: u32,
    /// Channels, for audio.
    #[serde(skip_serializing_if = "is_zero")]
    channels: u8,
}

impl From<&TrackStatus> for TrackDocument {
    fn from(track: &TrackStatus) -> Self {
        Self {
            id: track.id,
            kind: match track.kind {
                Kind::Video => "video",
                Kind::Audio => "audio",
                Kind::Data => "data",
            },
            codec: track.codec,
            rfc6381: track.rfc6381.clone(),
            width: track.width,
            height: track.height,
            sample_rate: track.sample_rate,
            channels: track.channels,
        }
    }
}

fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// A time in UTC with milliseconds, by the calendar of days since 1970.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", since.subsec_millis())
}

/// The date of a day since 1970-01-01, in eras of 400 years that begin on the first of March.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_dates() {
        let at = |seconds: u64| rfc3339(SystemTime::UNIX_EPOCH + Duration::from_millis(seconds * 1_000 + 7));
        assert_eq!(at(0), "1970-01-01T00:00:00.007Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00.007Z");
        assert_eq!(at(1_795_219_199), "2026-11-20T23:59:59.007Z");
    }
}

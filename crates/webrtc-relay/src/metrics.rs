//! The service's counters, for any recorder of the `metrics` facade.

use metrics::{counter, histogram};

/// A session ended. Moves `sluicegate_webrtc_sessions_ended_total` with its direction and reason.
pub(crate) fn ended(direction: &'static str, reason: &'static str) {
    counter!("sluicegate_webrtc_sessions_ended_total", "direction" => direction, "reason" => reason).increment(1);
}

/// A request was refused. Moves `sluicegate_webrtc_refused_total` with its HTTP status.
pub(crate) fn refused(status: u16) {
    counter!("sluicegate_webrtc_refused_total", "status" => status.to_string()).increment(1);
}

/// A publisher was asked for a key frame. Moves `sluicegate_webrtc_key_frames_asked_total`.
pub(crate) fn key_frame_asked() {
    counter!("sluicegate_webrtc_key_frames_asked_total").increment(1);
}

/// A viewer was too slow for frames. Moves `sluicegate_webrtc_frames_left_out_total`.
pub(crate) fn left_out() {
    counter!("sluicegate_webrtc_frames_left_out_total").increment(1);
}

/// A payload of a publisher could not be read. Moves `sluicegate_webrtc_damaged_payloads_total`.
pub(crate) fn damaged() {
    counter!("sluicegate_webrtc_damaged_payloads_total").increment(1);
}

/// A viewer whose path carries less than the stream was left without pictures until a key frame. Moves
/// `sluicegate_webrtc_skips_total`.
pub(crate) fn skipped() {
    counter!("sluicegate_webrtc_skips_total").increment(1);
}

/// A viewer was moved to another variant of its stream. Moves `sluicegate_webrtc_variant_switches_total` with its
/// direction, `up` or `down`.
pub(crate) fn switched(direction: &'static str) {
    counter!("sluicegate_webrtc_variant_switches_total", "direction" => direction).increment(1);
}

/// A viewer could not be moved: the variant did not come, or the session cannot carry it. Moves
/// `sluicegate_webrtc_variant_switches_failed_total` with its direction.
pub(crate) fn switch_failed(direction: &'static str) {
    counter!("sluicegate_webrtc_variant_switches_failed_total", "direction" => direction).increment(1);
}

/// What a viewer's path that limits it was told to carry, at each of its reports. Moves
/// `sluicegate_webrtc_viewer_estimate_bits_per_second`.
pub(crate) fn estimate(bits_per_second: u64) {
    // Rates are far below 2^53, up to where the conversion is exact.
    #[expect(clippy::cast_precision_loss, reason = "see above")]
    histogram!("sluicegate_webrtc_viewer_estimate_bits_per_second").record(bits_per_second as f64);
}

//! The service's counters, for any recorder of the `metrics` facade.

use metrics::counter;

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

//! The service's counters, for any recorder of the `metrics` facade.

use metrics::{counter, gauge};

/// A viewer's socket came to a writer. Moves the gauge `sluicegate_ws_stream_viewers`.
pub(crate) fn viewer_came() {
    gauge!("sluicegate_ws_stream_viewers").increment(1.0);
}

/// A viewer's socket left its writer. Moves the gauge `sluicegate_ws_stream_viewers`.
pub(crate) fn viewer_left() {
    gauge!("sluicegate_ws_stream_viewers").decrement(1.0);
}

/// A viewer took nothing for too long. Moves `sluicegate_ws_stream_stalled_viewers_total`.
pub(crate) fn stalled() {
    counter!("sluicegate_ws_stream_stalled_viewers_total").increment(1);
}

/// A publisher's connection ended. Moves `sluicegate_ws_stream_publishers_ended_total` with its reason: `done`,
/// `malformed`, `silent`, `closed` by the hub, or `failed`.
pub(crate) fn publisher_ended(reason: &'static str) {
    counter!("sluicegate_ws_stream_publishers_ended_total", "reason" => reason).increment(1);
}

/// A request was refused. Moves `sluicegate_ws_stream_refused_total` with its HTTP status.
pub(crate) fn refused(status: u16) {
    counter!("sluicegate_ws_stream_refused_total", "status" => status.to_string()).increment(1);
}

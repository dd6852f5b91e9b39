//! The service's counters, for any recorder of the `metrics` facade.

use metrics::{counter, gauge};

/// A client's socket opened or closed. Moves `sluicegate_wcs_sessions`.
pub(crate) fn sessions(count: usize) {
    // No process has as many sockets as a float cannot tell apart.
    gauge!("sluicegate_wcs_sessions").set(count as f64);
}

/// A client asked to publish or to play. Moves `sluicegate_wcs_streams_total` with its role.
pub(crate) fn stream(role: &'static str) {
    counter!("sluicegate_wcs_streams_total", "role" => role).increment(1);
}

/// A stream was refused or has failed. Moves `sluicegate_wcs_failures_total` with what the client is told.
pub(crate) fn failure(info: &'static str) {
    counter!("sluicegate_wcs_failures_total", "info" => info).increment(1);
}

/// A text could not be read. Moves `sluicegate_wcs_unreadable_total`.
pub(crate) fn unreadable() {
    counter!("sluicegate_wcs_unreadable_total").increment(1);
}

/// A hook was called. Moves `sluicegate_wcs_hooks_total` with the method and `allowed`, `refused`, `failed` or `lost`.
pub(crate) fn hook(method: &'static str, outcome: &'static str) {
    counter!("sluicegate_wcs_hooks_total", "method" => method, "outcome" => outcome).increment(1);
}

/// The REST interface was asked. Moves `sluicegate_wcs_rest_total` with the status of the answer.
pub(crate) fn rest(status: u16) {
    counter!("sluicegate_wcs_rest_total", "status" => status.to_string()).increment(1);
}

//! The service's counters, for any recorder of the `metrics` facade.

use metrics::{counter, gauge};

/// A connection was accepted. Moves the gauge `sluicegate_rtmp_connections`.
pub(crate) fn came() {
    gauge!("sluicegate_rtmp_connections").increment(1.0);
}

/// A connection is gone. Moves the gauge `sluicegate_rtmp_connections`.
pub(crate) fn left() {
    gauge!("sluicegate_rtmp_connections").decrement(1.0);
}

/// A connection ended. Moves `sluicegate_rtmp_ended_total` with its reason: `done`, `malformed`,
/// `silent`, `closed` by the hub, `denied`, or `failed`.
pub(crate) fn ended(reason: &'static str) {
    counter!("sluicegate_rtmp_ended_total", "reason" => reason).increment(1);
}

/// A stream is pushed. Moves `sluicegate_rtmp_pushes_total`.
pub(crate) fn pushed() {
    counter!("sluicegate_rtmp_pushes_total").increment(1);
}

/// A stream is pulled. Moves `sluicegate_rtmp_pulls_total`.
pub(crate) fn pulled() {
    counter!("sluicegate_rtmp_pulls_total").increment(1);
}

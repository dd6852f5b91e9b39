//! The crate's counters, for any recorder of the `metrics` facade.

use metrics::counter;

/// A server has begun to send. Moves `sluicegate_rtsp_pulls_total`.
pub(crate) fn pulled() {
    counter!("sluicegate_rtsp_pulls_total").increment(1);
}

/// A packet or a frame could not be used. Moves `sluicegate_rtsp_faults_total`.
pub(crate) fn fault() {
    counter!("sluicegate_rtsp_faults_total").increment(1);
}

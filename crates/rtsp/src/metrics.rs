//! The crate's counters, for any recorder of the `metrics` facade.

use metrics::{counter, gauge};

/// A server has begun to send. Moves `sluicegate_rtsp_pulls_total`.
pub(crate) fn pulled() {
    counter!("sluicegate_rtsp_pulls_total").increment(1);
}

/// A packet or a frame could not be used. Moves `sluicegate_rtsp_faults_total`.
pub(crate) fn fault() {
    counter!("sluicegate_rtsp_faults_total").increment(1);
}

/// A connection while it is there. Moves the gauge `sluicegate_rtsp_connections`.
pub(crate) struct Counted(());

impl Counted {
    pub(crate) fn new() -> Self {
        gauge!("sluicegate_rtsp_connections").increment(1.0);
        Self(())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        gauge!("sluicegate_rtsp_connections").decrement(1.0);
    }
}

/// A connection ended. Moves `sluicegate_rtsp_ended_total` with its reason: `done`, `malformed`, `silent`, `closed` by the
/// hub, `denied`, or `failed`.
pub(crate) fn ended(reason: &'static str) {
    counter!("sluicegate_rtsp_ended_total", "reason" => reason).increment(1);
}

/// A stream is pushed. Moves `sluicegate_rtsp_pushes_total`.
pub(crate) fn pushed() {
    counter!("sluicegate_rtsp_pushes_total").increment(1);
}

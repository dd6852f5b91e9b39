//! The driver's counters, for any recorder of the `metrics` facade.

use metrics::{counter, gauge};

use crate::endpoint::Counters;

/// A session began. Moves `sluicegate_rtc_driver_sessions_total` and the gauge `sluicegate_rtc_driver_sessions`.
pub(crate) fn session_began() {
    counter!("sluicegate_rtc_driver_sessions_total").increment(1);
    gauge!("sluicegate_rtc_driver_sessions").increment(1.0);
}

/// A session ended. Moves `sluicegate_rtc_driver_closed_total` by reason and the gauge `sluicegate_rtc_driver_sessions`.
pub(crate) fn session_ended(reason: &'static str) {
    counter!("sluicegate_rtc_driver_closed_total", "reason" => reason).increment(1);
    gauge!("sluicegate_rtc_driver_sessions").decrement(1.0);
}

/// Datagrams were given up because the socket stayed full. Moves `sluicegate_rtc_driver_lost_datagrams_total`.
pub(crate) fn lost(datagrams: u64) {
    counter!("sluicegate_rtc_driver_lost_datagrams_total").increment(datagrams);
}

/// A media packet was dropped because its owner did not read. Moves `sluicegate_rtc_driver_dropped_packets_total`.
pub(crate) fn dropped_packet() {
    counter!("sluicegate_rtc_driver_dropped_packets_total").increment(1);
}

/// A connection by TCP was accepted. Moves the gauge `sluicegate_rtc_driver_tcp_connections`.
pub(crate) fn stream_began() {
    gauge!("sluicegate_rtc_driver_tcp_connections").increment(1.0);
}

/// A connection by TCP has ended. Moves the gauge `sluicegate_rtc_driver_tcp_connections`.
pub(crate) fn stream_ended() {
    gauge!("sluicegate_rtc_driver_tcp_connections").decrement(1.0);
}

/// A TURN server gave us a relay. Moves `sluicegate_rtc_driver_relays_total`.
pub(crate) fn relayed() {
    counter!("sluicegate_rtc_driver_relays_total").increment(1);
}

/// A relay was refused or lost. Moves `sluicegate_rtc_driver_relay_failures_total` by reason.
pub(crate) fn relay_failed(reason: &'static str) {
    counter!("sluicegate_rtc_driver_relay_failures_total", "reason" => reason).increment(1);
}

/// A driver has a relay, or none any more. Moves the gauge `sluicegate_rtc_driver_relays`.
pub(crate) fn relay_held(held: bool) {
    gauge!("sluicegate_rtc_driver_relays").increment(if held { 1.0 } else { -1.0 });
}

/// Brings the endpoint's own counters up to date: datagrams of no session move
/// `sluicegate_rtc_driver_stray_datagrams_total`, those that the relay could not take
/// `sluicegate_rtc_driver_unrelayed_datagrams_total`, panics of the stack `sluicegate_rtc_driver_stack_panics_total`.
pub(crate) fn endpoint(counters: Counters) {
    counter!("sluicegate_rtc_driver_stray_datagrams_total").absolute(counters.strays);
    counter!("sluicegate_rtc_driver_unrelayed_datagrams_total").absolute(counters.unrelayed);
    counter!("sluicegate_rtc_driver_stack_panics_total").absolute(counters.panics);
}

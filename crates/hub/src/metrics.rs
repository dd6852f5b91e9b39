//! The hub's counters, for any recorder of the `metrics` facade.

use metrics::{counter, gauge};

/// A publisher began. Moves `sluicegate_hub_publishers_total` and the gauge `sluicegate_hub_publishers`.
pub(crate) fn publisher_began() {
    counter!("sluicegate_hub_publishers_total").increment(1);
    gauge!("sluicegate_hub_publishers").increment(1.0);
}

/// A publisher left. Moves the gauge `sluicegate_hub_publishers`.
pub(crate) fn publisher_left() {
    gauge!("sluicegate_hub_publishers").decrement(1.0);
}

/// A frame came. Moves `sluicegate_hub_frames_total` and `sluicegate_hub_bytes_total`.
pub(crate) fn frame(bytes: u64) {
    counter!("sluicegate_hub_frames_total").increment(1);
    counter!("sluicegate_hub_bytes_total").increment(bytes);
}

/// A viewer came. Moves `sluicegate_hub_viewers_total` and the gauge `sluicegate_hub_viewers`.
pub(crate) fn viewer_came(protocol: &'static str) {
    counter!("sluicegate_hub_viewers_total", "protocol" => protocol).increment(1);
    gauge!("sluicegate_hub_viewers", "protocol" => protocol).increment(1.0);
}

/// A viewer left. Moves the gauge `sluicegate_hub_viewers`.
pub(crate) fn viewer_left(protocol: &'static str) {
    gauge!("sluicegate_hub_viewers", "protocol" => protocol).decrement(1.0);
}

/// A slow viewer skipped. Moves `sluicegate_hub_skipped_batches_total`.
pub(crate) fn skipped(batches: u64) {
    counter!("sluicegate_hub_skipped_batches_total").increment(batches);
}

/// A viewer of a plain name was given a variant. Moves `sluicegate_hub_variants_chosen_total` with `main` for the plain
/// stream, `other` for the others; streams without variants do not count.
pub(crate) fn variant_chosen(is_main: bool) {
    let variant = if is_main { "main" } else { "other" };
    counter!("sluicegate_hub_variants_chosen_total", "variant" => variant).increment(1);
}

/// A relay is tried. Moves `sluicegate_relay_attempts_total` with its direction.
pub(crate) fn relay_tried(direction: &'static str) {
    counter!("sluicegate_relay_attempts_total", "direction" => direction).increment(1);
}

/// A relay's try has failed. Moves `sluicegate_relay_failures_total` with its direction.
pub(crate) fn relay_failed(direction: &'static str) {
    counter!("sluicegate_relay_failures_total", "direction" => direction).increment(1);
}

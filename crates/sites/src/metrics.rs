//! Counters of both ends, for any recorder of the `metrics` facade.

use metrics::{counter, gauge};

/// How many sites are connected. Sets `sluicegate_sites_connected`.
pub(crate) fn connected(count: usize) {
    gauge!("sluicegate_sites_connected").set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
}

/// A link was refused. Moves `sluicegate_sites_refused_total`.
pub(crate) fn refused(why: &'static str) {
    counter!("sluicegate_sites_refused_total", "why" => why).increment(1);
}

/// A lease began. Moves `sluicegate_sites_leases_total`.
pub(crate) fn leased() {
    counter!("sluicegate_sites_leases_total").increment(1);
}

/// A push began at the site. Moves `sluicegate_sites_pushes_total`.
pub(crate) fn pushed() {
    counter!("sluicegate_sites_pushes_total").increment(1);
}

/// A source began anew. Moves `sluicegate_sites_source_starts_total`.
pub(crate) fn source_started(kind: &'static str) {
    counter!("sluicegate_sites_source_starts_total", "kind" => kind).increment(1);
}

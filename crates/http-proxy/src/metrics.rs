//! The proxy's counters, for any recorder of the `metrics` facade.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

use crate::fault::{End, Fault};

/// How the body of an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// All of it was handed to the client.
    Complete,
    /// The client went away.
    Dropped,
    /// The client took nothing for too long.
    Stalled,
    /// The device, the site or the link ended it early.
    Truncated,
}

/// A request is in flight at the ingress until this is dropped. Moves `sluicegate_http_proxy_requests_total` and the
/// gauge `sluicegate_http_proxy_requests_in_flight`.
#[derive(Debug)]
pub(crate) struct InFlight(());

impl InFlight {
    pub(crate) fn begin() -> Self {
        counter!("sluicegate_http_proxy_requests_total").increment(1);
        gauge!("sluicegate_http_proxy_requests_in_flight").increment(1.0);
        Self(())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        gauge!("sluicegate_http_proxy_requests_in_flight").decrement(1.0);
    }
}

/// One of our ends answered in place of a device. Moves `sluicegate_http_proxy_problems_total`.
pub(crate) fn problem(fault: &Fault, end: End) {
    counter!("sluicegate_http_proxy_problems_total", "code" => fault.code(), "end" => end.name()).increment(1);
}

/// The head of an answer came through the link. Moves `sluicegate_http_proxy_answer_seconds`.
pub(crate) fn answered(after: Duration) {
    histogram!("sluicegate_http_proxy_answer_seconds").record(after.as_secs_f64());
}

/// A piece of a request's body went to the link. Moves `sluicegate_http_proxy_request_bytes_total`.
pub(crate) fn uploaded(bytes: usize) {
    counter!("sluicegate_http_proxy_request_bytes_total").increment(bytes as u64);
}

/// A piece of an answer's body went to the client. Moves `sluicegate_http_proxy_response_bytes_total`.
pub(crate) fn downloaded(bytes: usize) {
    counter!("sluicegate_http_proxy_response_bytes_total").increment(bytes as u64);
}

/// An answer's body ended. Moves `sluicegate_http_proxy_responses_total`.
pub(crate) fn ended(ending: Ending) {
    let ending = match ending {
        Ending::Complete => "complete",
        Ending::Dropped => "dropped",
        Ending::Stalled => "stalled",
        Ending::Truncated => "truncated",
    };
    counter!("sluicegate_http_proxy_responses_total", "ending" => ending).increment(1);
}

/// The site asked one of its services. Moves `sluicegate_http_proxy_site_requests_total`.
pub(crate) fn site_asked() {
    counter!("sluicegate_http_proxy_site_requests_total").increment(1);
}

/// The site asked a service once more on a new connection. Moves `sluicegate_http_proxy_site_retries_total`.
pub(crate) fn site_retried() {
    counter!("sluicegate_http_proxy_site_retries_total").increment(1);
}

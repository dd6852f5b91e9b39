//! The limits and times of a site; what is not given keeps the default of its crate.

use serde::{Deserialize, Serialize};
use sluicegate_http_proxy::egress;
use sluicegate_launch::{Size, Span, set};
use sluicegate_net::link;

/// `[limits]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    /// Payload bytes that one stream's ring may hold.
    ring_size: Option<Size>,
    /// Media time that one stream's ring may span.
    ring_span: Option<Span>,
    /// Between two pings on a link.
    ping_interval: Option<Span>,
    /// How long an upstream may take to answer a ping.
    ping_timeout: Option<Span>,
    /// How long a dial may take, and again the answer to it.
    connect_deadline: Option<Span>,
    /// How long a connection to a service may take.
    service_connect_timeout: Option<Span>,
    /// How long a service may take for the head of its answer.
    service_answer_timeout: Option<Span>,
    /// Unused connections kept to one service.
    service_max_idle: Option<usize>,
}

impl Limits {
    pub(crate) fn hub(&self) -> sluicegate_hub::Config {
        let mut config = sluicegate_hub::Config::default();
        set(&mut config.ring_bytes, self.ring_size.map(Size::bytes));
        set(&mut config.ring_span, self.ring_span.map(|span| span.0));
        config
    }

    pub(crate) fn link(&self) -> link::Config {
        let mut config = link::Config::default();
        set(&mut config.keep_alive.interval, self.ping_interval.map(|span| span.0));
        set(&mut config.keep_alive.timeout, self.ping_timeout.map(|span| span.0));
        set(&mut config.connect_deadline, self.connect_deadline.map(|span| span.0));
        config
    }

    pub(crate) fn services(&self) -> egress::Config {
        let mut config = egress::Config::default();
        set(&mut config.connect_timeout, self.service_connect_timeout.map(|span| span.0));
        set(&mut config.answer_timeout, self.service_answer_timeout.map(|span| span.0));
        set(&mut config.max_idle, self.service_max_idle);
        config
    }

    /// Adds what leaves no room to work.
    pub(crate) fn validate(&self, faults: &mut Vec<String>) {
        let mut add = |fault: String| faults.push(format!("limits: {fault}"));
        let _ = self.hub().validate().map_err(|error| add(error.to_string()));
        let _ = self.link().validate().map_err(|error| add(error.to_string()));
        let _ = self.services().validate().map_err(|error| add(error.to_string()));
    }
}

//! The limits and times of the public host; what is not given keeps the default of its crate.

use serde::{Deserialize, Serialize};
use sluicegate_http_proxy::ingress;
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
    /// How long viewers are kept while the publisher is away.
    publisher_away: Option<Span>,
    /// Streams in all, also offered ones.
    max_streams: Option<usize>,
    /// Viewers of one stream.
    max_viewers: Option<usize>,
    /// How long an HTTP viewer waits for a stream before 404.
    http_wait: Option<Span>,
    /// How long a WebSocket viewer waits for a stream.
    websocket_wait: Option<Span>,
    /// A publisher that sends nothing for this long is dropped.
    publisher_silence: Option<Span>,
    /// A viewer to which nothing could be sent for this long is dropped.
    viewer_stall: Option<Span>,
    /// One WebSocket message of a publisher.
    max_message_size: Option<Size>,
    /// Between two pings on a link.
    ping_interval: Option<Span>,
    /// How long a site may take to answer a ping.
    ping_timeout: Option<Span>,
    /// Proxied requests of one client in flight.
    proxy_per_client: Option<usize>,
    /// Proxied requests for one site in flight.
    proxy_per_site: Option<usize>,
    /// How long a site may take for the head of an answer.
    proxy_answer_timeout: Option<Span>,
    /// How long a client may keep its window shut before its answer is given up.
    proxy_stall: Option<Span>,
}

impl Limits {
    pub(crate) fn hub(&self) -> sluicegate_hub::Config {
        let mut config = sluicegate_hub::Config::default();
        set(&mut config.ring_bytes, self.ring_size.map(Size::bytes));
        set(&mut config.ring_span, self.ring_span.map(|span| span.0));
        set(&mut config.publisher_away, self.publisher_away.map(|span| span.0));
        set(&mut config.max_streams, self.max_streams);
        set(&mut config.max_viewers, self.max_viewers);
        config
    }

    pub(crate) fn streams(&self) -> sluicegate_ws_stream::Config {
        let mut config = sluicegate_ws_stream::Config::default();
        set(&mut config.http_wait, self.http_wait.map(|span| span.0));
        set(&mut config.websocket_wait, self.websocket_wait.map(|span| span.0));
        set(&mut config.publisher_silence, self.publisher_silence.map(|span| span.0));
        set(&mut config.viewer_stall, self.viewer_stall.map(|span| span.0));
        set(&mut config.max_message_bytes, self.max_message_size.map(Size::bytes));
        config
    }

    pub(crate) fn link(&self) -> link::Config {
        let mut config = link::Config::default();
        set(&mut config.keep_alive.interval, self.ping_interval.map(|span| span.0));
        set(&mut config.keep_alive.timeout, self.ping_timeout.map(|span| span.0));
        config
    }

    pub(crate) fn proxy(&self) -> ingress::Config {
        let mut config = ingress::Config::default();
        set(&mut config.per_client, self.proxy_per_client);
        set(&mut config.per_site, self.proxy_per_site);
        set(&mut config.answer_timeout, self.proxy_answer_timeout.map(|span| span.0));
        set(&mut config.stall, self.proxy_stall.map(|span| span.0));
        config
    }

    /// Adds what leaves no room to work.
    pub(crate) fn validate(&self, faults: &mut Vec<String>) {
        let mut add = |fault: String| faults.push(format!("limits: {fault}"));
        let _ = self.hub().validate().map_err(|error| add(error.to_string()));
        let _ = self.streams().validate().map_err(|error| add(error.to_string()));
        let _ = self.link().validate().map_err(|error| add(error.to_string()));
        let _ = self.proxy().validate().map_err(|error| add(error.to_string()));
    }
}

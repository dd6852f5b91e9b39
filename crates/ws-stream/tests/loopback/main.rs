//! The service on loopback with real sockets, one file per behaviour.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod server;
mod stream;
mod viewer;

mod bad_publishers;
mod clients;
mod codec_change;
mod conversions;
mod counters;
mod m7s;
mod name_rules;
mod player_first;
mod publisher_back;
mod responses;
mod round_trip;
mod second_publisher;
mod stalled_viewer;
mod tls;
mod websocket_rules;

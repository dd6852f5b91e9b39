//! The service and the clients on loopback, against each other, against scripts, and against ffmpeg.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod again;
mod counters;
mod encoder;
mod ffmpeg;
mod gstreamer;
mod refusals;
mod relays;
mod slow;
mod stage;
mod tls;

//! The site's program by itself.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails, with the reason in the panic")]

mod configuration;
mod discover;
mod lease;
mod m7s;
mod onvif_camera;
mod original;
mod rtmp;
mod rtsp;

//! The whole chain through the binaries: a publisher or a site on one side, viewers and browsers on the other.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails, with the reason in the panic")]

mod configuration;
mod crowd;
mod demand;
mod device;
mod direct;
mod ffmpeg;
mod frozen;
mod lossy;
mod m7s;
mod narrow;
mod original;
mod page;
mod pairs;
mod proxy;
mod publishers;
mod recovery;
mod relays;
mod reload;
mod rtcpilot;
mod rtmp;
mod rtsp;
mod soak;
mod sources;
mod stage;
mod tcp;
mod tls;
mod tokens;
mod turn;
mod variants;
mod wcs;
mod wcs_bad_input;
mod wcs_relays;
mod webrtc;
mod whip;

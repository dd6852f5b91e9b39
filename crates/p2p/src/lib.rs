//! The chunk network: nodes and browsers that hand each other video chunks over WebRTC data channels.
//!
//! [`signal`] is the signalling server through which they find each other. It speaks what the existing `videortc` nodes
//! and `libwebrtc` clients speak; see `docs/protocols/chunk.md`. [`node`] is the node itself.
//!
//! What it hands out comes from a [`media::Library`], which reads from an [`origin`], finds segments by their [`index`] and
//! keeps them in a [`cache`]. [`face`] serves the same over HTTP; see `docs/protocols/videoproxy-http.md`.

pub mod cache;
pub mod chunk;
pub mod face;
pub mod index;
pub mod media;
pub mod node;
pub mod origin;
pub mod pacer;
pub mod page;
pub mod peer;
pub mod probe;
pub mod signal;
pub mod strands;

//! Pushes of the m7s plugin `erwscascade`, in and out.
//!
//! The original sends each tag as an outer frame header without its payload, followed by a complete inner frame, which no
//! conforming receiver can read. [`Parser`] reads it, and conforming senders too; [`ingest`] publishes what it reads.
//! [`push`] sends in the form that the original takes and that conforms to RFC 6455. See `docs/protocols/m7s.md`.

mod client;
mod ingest;
mod legacy;
mod parser;
mod violation;

pub use client::{push, push_url};
pub use ingest::ingest;
pub use parser::{Event, MAX_FRAME_BYTES, Parser};
pub use violation::Violation;

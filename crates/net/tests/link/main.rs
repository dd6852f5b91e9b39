//! The link over loopback: a site that dials, a public host that asks.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod bodies;
mod faults;
mod life;
mod stage;

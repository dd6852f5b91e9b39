//! The HTTP face of the program, as players, existing nodes and operators see it.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod client;
mod existing;
mod folder;
mod forward;
mod modes;
mod remote;
mod server;

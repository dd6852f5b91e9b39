//! Sharded writers: a few tasks per stream own their viewers' sockets and write shared bytes to all of them.
//!
//! A writer wakes once per batch and tries each socket once; a socket that takes no more keeps what is left of at most
//! 64 KiB of shared bytes, and one batch, and is looked at again when its waker says so. A viewer that falls behind the
//! stream's ring goes on at the newest key frame; one that takes nothing for too long is dropped. The cost of a viewer is
//! one system call a batch, and its memory is its socket, its cursor and what its [`Protocol`] keeps.
//!
//! A service makes one [`Writers`], and a [`Viewer`] of each connection: a [`Feed`], which is the cursor with what waits
//! for the socket, and a [`Protocol`]: what a batch becomes for this viewer ([`Conversion`] where all viewers share the
//! bytes), what is read meanwhile, how it ends, and when it has stalled. Nothing here knows a protocol or a kind of socket.

mod backlog;
mod feed;
mod group;
mod viewer;
mod wake;
mod writers;

pub use backlog::Backlog;
pub use feed::{Conversion, Feed};
pub use viewer::{Fate, Lost, Protocol, Viewer};
pub use writers::Writers;

#[cfg(test)]
mod tests;

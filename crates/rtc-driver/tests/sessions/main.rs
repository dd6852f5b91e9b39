//! Sessions of two endpoints against each other on a virtual clock: no sockets, time jumps from deadline to deadline.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

mod channels;
mod damage;
mod life;
mod loss;
mod media;
mod media_damage;
mod repeats;
mod restart;
mod rogue;
mod routing;
mod stage;

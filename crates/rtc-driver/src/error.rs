//! What can go wrong between a caller, a peer and the driver.

use std::io;
use std::net::SocketAddr;

/// An error of this crate. A peer's fault ends its own session and nothing else.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration is at fault: the field and what is wrong with it.
    #[error("configuration: {field} {fault}")]
    Config {
        /// The field's name.
        field: &'static str,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// The host does not let us listen there; nothing was started.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address of the configuration.
        address: SocketAddr,
        /// What the host said.
        source: io::Error,
    },
    /// All session slots are taken; the caller answers 503 and the peer tries later.
    #[error("all {limit} sessions are in use")]
    TooManySessions {
        /// `Config::max_sessions`.
        limit: usize,
    },
    /// The peer's session description is longer than allowed; nothing of it was read.
    #[error("a session description of {got} bytes, {limit} are allowed")]
    DescriptionTooLong {
        /// Its length in bytes.
        got: usize,
        /// `Config::max_description`.
        limit: usize,
    },
    /// The peer names more candidates than allowed, in its description and by trickle together.
    #[error("more than {limit} remote candidates")]
    TooManyCandidates {
        /// `Config::max_candidates`.
        limit: usize,
    },
    /// The stack refuses a description or a candidate: the peer's fault, or the caller's when it mixes up the order.
    #[error("{what} is refused: {said}")]
    Refused {
        /// What was refused.
        what: &'static str,
        /// The stack's own words.
        said: String,
    },
    /// The session has ended, or never was.
    #[error("the session is closed")]
    Closed,
    /// The driver has stopped.
    #[error("the driver is stopped")]
    Stopped,
    /// There is no such channel, or it is not open yet.
    #[error("the data channel is not open")]
    ChannelClosed,
    /// There is no such track, or the peer has not agreed to it.
    #[error("the track is not open")]
    NoTrack,
    /// The session has as many channels as allowed.
    #[error("all {limit} data channels are in use")]
    TooManyChannels {
        /// `Config::max_channels`.
        limit: usize,
    },
    /// The message is longer than both ends allow.
    #[error("a message of {got} bytes, {limit} are allowed")]
    MessageTooLong {
        /// Its length in bytes.
        got: usize,
        /// The smaller of `Config::max_message` and what the peer accepts.
        limit: usize,
    },
    /// The session's send buffer is full: wait, or leave the message.
    #[error("the send buffer is full")]
    Full,
}

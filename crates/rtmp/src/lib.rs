//! RTMP and RTMPS, server and client: publish into the hub, play from it, push and pull.
//!
//! [`protocol`] is the protocol without a socket.

pub mod protocol;

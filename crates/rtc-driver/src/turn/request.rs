//! What a TURN server is asked for.

use std::net::{IpAddr, SocketAddr};

use bytes::BytesMut;

use super::message;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Allocate,
    Refresh,
    /// Ends a relay that the server holds and we do not know.
    Release,
    Permit(IpAddr),
    Bind(SocketAddr, u16),
}

impl Purpose {
    pub(super) fn method(self) -> u16 {
        match self {
            Self::Allocate => message::ALLOCATE,
            Self::Refresh | Self::Release => message::REFRESH,
            Self::Permit(_) => message::CREATE_PERMISSION,
            Self::Bind(..) => message::CHANNEL_BIND,
        }
    }
}

#[derive(Debug)]
pub(super) struct Request {
    pub(super) purpose: Purpose,
    pub(super) bytes: BytesMut,
    pub(super) sends: u32,
    pub(super) renewals: u32,
}

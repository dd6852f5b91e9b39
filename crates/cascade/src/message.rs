//! What the two ends say to each other.

use bincode::{Decode, Encode};

/// Names a lease; unguessable, so that knowing it is the right to push.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub struct LeaseId(pub [u8; 16]);

impl std::fmt::Display for LeaseId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for LeaseId {
    /// The first bytes tell leases apart in logs without giving the right away.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b, ..] = self.0;
        write!(f, "{a:02x}{b:02x}…")
    }
}

impl std::str::FromStr for LeaseId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text.len() != 32 || !text.is_ascii() {
            return Err(());
        }
        u128::from_str_radix(text, 16).map(|number| Self(number.to_be_bytes())).map_err(|_| ())
    }
}

/// One control message. Bodies never change: a change is a new kind.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message {
    /// Kind 1, site to upstream, first: who it is.
    Hello(Hello),
    /// Kind 2, site to upstream: all that it offers now. It replaces what was offered before.
    Offers(Offers),
    /// Kind 3, upstream to site: push this stream.
    PushStart {
        /// The lease, under which the push is dialled.
        lease: LeaseId,
        /// The site's own name of the stream.
        stream: String,
        /// How long the lease lives without renewal, milliseconds.
        expires_ms: u32,
    },
    /// Kind 4, upstream to site: go on.
    PushRenew {
        /// The lease.
        lease: LeaseId,
        /// How long it lives from now, milliseconds.
        expires_ms: u32,
    },
    /// Kind 5, upstream to site: nobody watches any more.
    PushRelease {
        /// The lease.
        lease: LeaseId,
    },
    /// Kind 6, site to upstream: this cannot be pushed.
    PushFailed {
        /// The lease.
        lease: LeaseId,
        /// Why, for people.
        reason: String,
    },
}

/// Who a site is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Hello {
    /// Name and version of its program.
    pub software: String,
    /// The site's name for people; may be empty.
    pub name: String,
}

/// What a site offers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Offers {
    /// Names of its services.
    pub services: Vec<String>,
    /// Its streams.
    pub streams: Vec<StreamOffer>,
}

/// A stream that a site can push.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct StreamOffer {
    /// The site's own name of it.
    pub name: String,
    /// Whether it is to be pushed also while nobody watches.
    pub always: bool,
}

//! Reading the fields of one tag.

use bytes::Bytes;

use crate::{Fault, FourCc};

/// The bytes of a structure, read from the front; every read names the structure in its error.
#[derive(Debug, Clone)]
pub(crate) struct Cursor {
    what: &'static str,
    bytes: Bytes,
}

impl Cursor {
    pub(crate) fn new(what: &'static str, bytes: Bytes) -> Self {
        Self { what, bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The next `count` bytes, shared with the tag.
    pub(crate) fn take(&mut self, count: usize) -> Result<Bytes, Fault> {
        if self.bytes.len() < count {
            return Err(Fault::Truncated { what: self.what });
        }
        Ok(self.bytes.split_to(count))
    }

    /// All that is left, shared with the tag.
    pub(crate) fn rest(self) -> Bytes {
        self.bytes
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let bytes = self.take(N)?;
        bytes.as_ref().try_into().map_err(|_| Fault::Truncated { what: self.what })
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Fault> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Fault> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u24(&mut self) -> Result<u32, Fault> {
        self.array().map(|[a, b, c]| u32::from_be_bytes([0, a, b, c]))
    }

    /// A signed 24-bit number.
    pub(crate) fn i24(&mut self) -> Result<i32, Fault> {
        self.array().map(|[a, b, c]| i32::from_be_bytes([a, b, c, 0]) >> 8)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Fault> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn fourcc(&mut self) -> Result<FourCc, Fault> {
        self.array().map(FourCc)
    }
}

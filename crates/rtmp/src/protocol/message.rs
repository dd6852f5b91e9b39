//! Messages and their types (RTMP 5.4, 6.2, 7.1).

use bytes::Bytes;

use super::Violation;

/// Message types.
pub mod kind {
    /// Set Chunk Size (5.4.1).
    pub const CHUNK_SIZE: u8 = 1;
    /// Abort Message (5.4.2).
    pub const ABORT: u8 = 2;
    /// Acknowledgement (5.4.3).
    pub const ACKNOWLEDGEMENT: u8 = 3;
    /// User Control Message (6.2).
    pub const USER_CONTROL: u8 = 4;
    /// Window Acknowledgement Size (5.4.4).
    pub const WINDOW: u8 = 5;
    /// Set Peer Bandwidth (5.4.5).
    pub const PEER_BANDWIDTH: u8 = 6;
    /// Audio: the body of an FLV audio tag (7.1.4).
    pub const AUDIO: u8 = 8;
    /// Video: the body of an FLV video tag (7.1.5).
    pub const VIDEO: u8 = 9;
    /// Data with AMF3, in practice one byte and AMF0 (7.1.2).
    pub const DATA_AMF3: u8 = 15;
    /// A command with AMF3, in practice one byte and AMF0 (7.1.1).
    pub const COMMAND_AMF3: u8 = 17;
    /// Data with AMF0 (7.1.2).
    pub const DATA: u8 = 18;
    /// A command with AMF0 (7.1.1).
    pub const COMMAND: u8 = 20;
    /// Several messages in one, as FLV tags (7.1.6).
    pub const AGGREGATE: u8 = 22;
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its type, one of [`kind`].
    pub kind: u8,
    /// Milliseconds on the sender's clock; wraps after 49.7 days.
    pub timestamp: u32,
    /// The message stream that it belongs to; 0 for control.
    pub stream: u32,
    /// The body.
    pub payload: Bytes,
}

impl Message {
    /// A message of the connection itself, at time 0.
    pub(super) fn control(kind: u8, payload: &[u8]) -> Self {
        Self { kind, timestamp: 0, stream: 0, payload: Bytes::copy_from_slice(payload) }
    }

    /// Whether it is pictures, sound or data.
    #[must_use]
    pub const fn is_media(&self) -> bool {
        matches!(self.kind, kind::AUDIO | kind::VIDEO | kind::DATA | kind::DATA_AMF3)
    }

    /// The first four bytes as a number.
    pub(super) fn number(&self) -> Result<u32, Violation> {
        let first = self.payload.first_chunk::<4>();
        first.map(|bytes| u32::from_be_bytes(*bytes)).ok_or(Violation::Control { kind: self.kind })
    }

    /// The messages of an aggregate. Their times count from that of the first; what follows damage is left out.
    pub(super) fn disaggregate(&self) -> Vec<Self> {
        let (mut rest, mut parts, mut first) = (self.payload.clone(), Vec::new(), None);
        while let Some([kind, a, b, c, t1, t2, t3, t0, ..]) = rest.first_chunk::<11>().copied() {
            let size = usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap_or(usize::MAX);
            let time = u32::from_be_bytes([t0, t1, t2, t3]);
            let first = *first.get_or_insert(time);
            let end = size.saturating_add(11);
            if rest.len() < end {
                break;
            }
            let payload = rest.split_to(end).slice(11..);
            let timestamp = self.timestamp.wrapping_add(time.wrapping_sub(first));
            parts.push(Self { kind, timestamp, stream: self.stream, payload });
            // The back pointer, four bytes.
            rest = rest.slice(rest.len().min(4)..);
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aggregate_is_taken_apart() {
        let mut payload = vec![9, 0, 0, 2, 0, 0, 100, 0, 0, 0, 0, 0x17, 1, 0, 0, 0, 13];
        payload.extend([8, 0, 0, 1, 0, 0, 120, 0, 0, 0, 0, 0xaf, 0, 0, 0, 12, 9, 0]);
        let whole = Message { kind: kind::AGGREGATE, timestamp: 5_000, stream: 1, payload: payload.into() };
        let parts = whole.disaggregate();
        let seen: Vec<_> = parts.iter().map(|part| (part.kind, part.timestamp, part.payload.to_vec())).collect();
        assert_eq!(seen, [(9, 5_000, vec![0x17, 1]), (8, 5_020, vec![0xaf])]);
    }
}

//! What a server sends, cut into heads, bodies and packets. Packets pass in as few pieces as they come, unread.

use bytes::{Buf, Bytes, BytesMut};

use super::head::Head;
use crate::wire::{DOLLAR, FRAME_HEAD, MAX_BODY, MAX_HEAD, Violation, head_length};

/// What arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// The head of an answer or a request.
    Head(Head),
    /// Some of the body behind that head.
    Body(Bytes),
    /// Packets with what stands before them (RFC 2326 section 10.12), or parts of some.
    Packets(Bytes),
}

/// Cuts bytes in any pieces.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    buffer: BytesMut,
    /// How far the head was searched for its end.
    searched: usize,
    /// What the packet at hand still lacks.
    packet: usize,
    /// What the body at hand still lacks.
    body: usize,
}

impl Cutter {
    pub(super) fn handle_bytes(&mut self, bytes: BytesMut) {
        self.buffer.unsplit(bytes);
    }

    /// The next piece, `None` when bytes are missing.
    pub(super) fn poll(&mut self) -> Result<Option<Piece>, Violation> {
        if self.body > 0 {
            let here = self.body.min(self.buffer.len());
            self.body -= here;
            return Ok((here > 0).then(|| Piece::Body(self.buffer.split_to(here).freeze())));
        }
        // Empty lines between messages are said by some servers, too.
        while self.packet == 0 && self.searched == 0 && matches!(self.buffer.first(), Some(b'\r' | b'\n')) {
            self.buffer.advance(1);
        }
        let packets = self.packets();
        if packets > 0 {
            return Ok(Some(Piece::Packets(self.buffer.split_to(packets).freeze())));
        }
        if matches!(self.buffer.first(), None | Some(&DOLLAR)) {
            return Ok(None);
        }
        let Some(length) = head_length(&self.buffer, self.searched) else {
            self.searched = self.buffer.len();
            return if self.searched > MAX_HEAD { Err(Violation::Head { limit: MAX_HEAD }) } else { Ok(None) };
        };
        if length > MAX_HEAD {
            return Err(Violation::Head { limit: MAX_HEAD });
        }
        let head = Head::parse(self.buffer.split_to(length).freeze());
        self.searched = 0;
        let body = head.value("Content-Length").map_or(Ok(0), |length| length.parse());
        self.body = body.map_err(|_| Violation::Length)?;
        if self.body > MAX_BODY {
            return Err(Violation::Body { limit: MAX_BODY });
        }
        Ok(Some(Piece::Head(head)))
    }

    /// How many bytes at the front are packets.
    fn packets(&mut self) -> usize {
        let mut end = self.packet.min(self.buffer.len());
        self.packet -= end;
        while self.packet == 0
            && let Some([DOLLAR, _, high, low]) = self.buffer.get(end..).and_then(<[u8]>::first_chunk::<FRAME_HEAD>)
        {
            let whole = FRAME_HEAD + usize::from(u16::from_be_bytes([*high, *low]));
            let here = whole.min(self.buffer.len() - end);
            end += here;
            self.packet = whole - here;
        }
        end
    }
}

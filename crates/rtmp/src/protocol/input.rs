//! Bytes as they arrive, given out in the pieces that chunks have.

use std::collections::VecDeque;

use bytes::Bytes;

/// Pieces in order. What lies in one piece is given out without copying.
#[derive(Debug, Default)]
pub(super) struct Input {
    pieces: VecDeque<Bytes>,
    len: usize,
    /// Bytes given out so far.
    pub(super) taken: u64,
}

impl Input {
    pub(super) fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.len = self.len.saturating_add(piece.len());
            self.pieces.push_back(piece);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The first bytes, left where they are: as many as there are, `N` at most.
    pub(super) fn peek<const N: usize>(&self) -> ([u8; N], usize) {
        let (mut out, mut count) = ([0; N], 0_usize);
        for (slot, byte) in out.iter_mut().zip(self.pieces.iter().flatten()) {
            *slot = *byte;
            count = count.saturating_add(1);
        }
        (out, count)
    }

    /// Up to `most` bytes that lie in one piece; none when there are none.
    pub(super) fn take_piece(&mut self, most: usize) -> Bytes {
        let Some(front) = self.pieces.front_mut() else { return Bytes::new() };
        let taken = if front.len() > most { front.split_to(most) } else { self.pieces.pop_front().unwrap_or_default() };
        self.len = self.len.saturating_sub(taken.len());
        self.taken = self.taken.saturating_add(taken.len() as u64);
        taken
    }

    /// Leaves out `count` bytes, which are there.
    pub(super) fn skip(&mut self, mut count: usize) {
        while count > 0 && !self.is_empty() {
            count = count.saturating_sub(self.take_piece(count).len());
        }
    }

    /// Exactly `count` bytes once all are there, joined.
    pub(super) fn take(&mut self, count: usize) -> Option<Vec<u8>> {
        if self.len < count {
            return None;
        }
        let mut out = Vec::with_capacity(count);
        while out.len() < count {
            let piece = self.take_piece(count.saturating_sub(out.len()));
            out.extend_from_slice(&piece);
        }
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_joined_where_they_must_be_and_not_elsewhere() {
        let piece = Bytes::from_static(b"abcdef");
        let mut input = Input::default();
        input.push(piece.clone());
        input.push(Bytes::from_static(b"gh"));
        assert_eq!(input.peek::<4>(), (*b"abcd", 4));
        assert_eq!(input.take_piece(2).as_ptr(), piece.as_ptr());
        assert_eq!(input.take_piece(100), b"cdef"[..]);
        assert_eq!(input.take(3), None);
        input.push(Bytes::from_static(b"ij"));
        assert_eq!(input.take(3).unwrap(), b"ghi");
        input.skip(1);
        assert!(input.is_empty() && input.taken == 10 && input.peek::<2>() == ([0; 2], 0));
    }
}

//! Bytes as they arrive, given out in the pieces that the format has.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

/// Chunks in order. What lies in one chunk is given out without copying.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    chunks: VecDeque<Bytes>,
    len: usize,
    /// Bytes given out since the start of the stream.
    pub(crate) offset: u64,
}

impl Buffer {
    pub(crate) fn push(&mut self, chunk: Bytes) {
        if !chunk.is_empty() {
            self.len = self.len.saturating_add(chunk.len());
            self.chunks.push_back(chunk);
        }
    }

    /// The next `N` bytes, left where they are.
    pub(crate) fn peek<const N: usize>(&self) -> Option<[u8; N]> {
        let mut bytes = self.chunks.iter().flatten();
        let mut out = [0; N];
        for byte in &mut out {
            *byte = *bytes.next()?;
        }
        Some(out)
    }

    /// The next `count` bytes once all are there: cut from their chunk, or joined by one copy.
    pub(crate) fn take(&mut self, count: usize) -> Option<Bytes> {
        if self.len < count {
            return None;
        }
        self.len = self.len.saturating_sub(count);
        self.offset = self.offset.saturating_add(count as u64);
        match self.chunks.front_mut() {
            Some(front) if front.len() > count => Some(front.split_to(count)),
            Some(front) if front.len() == count => self.chunks.pop_front(),
            _ => Some(self.join(count)),
        }
    }

    fn join(&mut self, count: usize) -> Bytes {
        let mut joined = BytesMut::with_capacity(count);
        while joined.len() < count {
            let Some(mut front) = self.chunks.pop_front() else { break };
            let part = front.len().min(count.saturating_sub(joined.len()));
            joined.extend_from_slice(front.get(..part).unwrap_or_default());
            front.advance(part);
            if !front.is_empty() {
                self.chunks.push_front(front);
            }
        }
        joined.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_in_one_chunk_is_not_copied() {
        let chunk = Bytes::from(vec![1, 2, 3, 4, 5, 6]);
        let mut buffer = Buffer::default();
        buffer.push(chunk.clone());
        assert_eq!(buffer.peek(), Some([1, 2]));
        assert_eq!(buffer.take(2).unwrap().as_ptr(), chunk.as_ptr());
        assert_eq!(buffer.take(4).unwrap().as_ptr(), chunk[2..].as_ptr());
        assert_eq!((buffer.take(1), buffer.offset), (None, 6));
    }

    #[test]
    fn what_lies_in_several_is_joined() {
        let mut buffer = Buffer::default();
        [&[1_u8, 2][..], &[], &[3], &[4, 5]].into_iter().for_each(|chunk| buffer.push(Bytes::copy_from_slice(chunk)));
        assert_eq!(buffer.peek(), Some([1, 2, 3, 4]));
        assert_eq!(buffer.take(4).unwrap(), [1, 2, 3, 4][..]);
        assert_eq!(buffer.take(1).unwrap(), [5][..]);
        assert_eq!(buffer.peek::<1>(), None);
    }
}

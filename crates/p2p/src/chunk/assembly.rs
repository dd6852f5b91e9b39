//! Chunks back to a segment, in whatever order they come.

use bytes::{Bytes, BytesMut};

use super::{CHUNK_LENGTH, Header};

/// A chunk that does not belong to what came before; its sender is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("chunk {number} of {total} with {length} bytes does not fit the segment")]
pub struct Misfit {
    /// The chunk's number.
    pub number: usize,
    /// The number of chunks that it names.
    pub total: usize,
    /// Its payload in bytes.
    pub length: usize,
}

/// The chunks of one segment. [`Header::decode`] bounds their number.
#[derive(Debug, Default)]
pub struct Assembly {
    chunks: Vec<Option<Bytes>>,
    left: usize,
}

impl Assembly {
    /// Takes a chunk. Gives the segment when it was the last one; a repeated chunk changes nothing.
    ///
    /// # Errors
    /// [`Misfit`] where the number of chunks changes, or a chunk has a length that its place does not allow.
    pub fn insert(&mut self, header: &Header, payload: Bytes) -> Result<Option<Bytes>, Misfit> {
        let Header { number, total, .. } = *header;
        let misfit = Misfit { number, total, length: payload.len() };
        let is_last = number + 1 == total;
        if payload.is_empty() || payload.len() > CHUNK_LENGTH || (payload.len() < CHUNK_LENGTH && !is_last) {
            return Err(misfit);
        }
        if self.chunks.is_empty() {
            self.chunks.resize(total, None);
            self.left = total;
        }
        if self.chunks.len() != total {
            return Err(misfit);
        }
        let place = self.chunks.get_mut(number).ok_or(misfit)?;
        if place.is_none() {
            *place = Some(payload);
            self.left -= 1;
        }
        Ok((self.left == 0).then(|| self.joined()))
    }

    fn joined(&mut self) -> Bytes {
        let mut segment = BytesMut::with_capacity(self.chunks.len().saturating_mul(CHUNK_LENGTH));
        for chunk in self.chunks.drain(..).flatten() {
            segment.extend_from_slice(&chunk);
        }
        segment.freeze()
    }

    /// Whether nothing has come.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// The numbers of chunks that have not come; none before the first has, because only it tells how many there are.
    #[must_use]
    pub fn missing(&self) -> Vec<usize> {
        let numbered = self.chunks.iter().enumerate();
        numbered.filter(|(_, chunk)| chunk.is_none()).map(|(number, _)| number).collect()
    }

    /// Bytes that have come.
    #[must_use]
    pub fn received(&self) -> usize {
        self.chunks.iter().flatten().map(Bytes::len).sum()
    }
}

//! Bytes that a scan looks at: a file, or memory in tests.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::index::IndexError;

/// Why a file of media cannot be understood.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScanError {
    /// The system cannot read it.
    #[error("it cannot be read")]
    Read(#[from] std::io::Error),
    /// Its container is damaged.
    #[error("its container is damaged")]
    Index(#[from] IndexError),
    /// Something is not as it must be.
    #[error("{0}")]
    Wrong(&'static str),
}

/// Where a scan reads.
pub(crate) trait Source {
    /// Bytes of the whole.
    fn len(&self) -> u64;

    /// Exactly these bytes.
    fn read(&self, at: u64, count: usize) -> Result<Vec<u8>, ScanError>;

    /// These bytes, or as many as there are.
    fn read_up_to(&self, at: u64, count: usize) -> Result<Vec<u8>, ScanError> {
        let rest = usize::try_from(self.len().saturating_sub(at)).unwrap_or(usize::MAX);
        self.read(at, count.min(rest))
    }

    /// A part that must be whole and within a limit.
    fn part(&self, start: u64, end: u64, limit: usize) -> Result<Vec<u8>, ScanError> {
        let count = end.checked_sub(start).and_then(|count| usize::try_from(count).ok());
        let count = count.filter(|count| *count <= limit && end <= self.len());
        self.read(start, count.ok_or(ScanError::Wrong("a part of its container is too large or cut off"))?)
    }
}

/// A file as it was when it was opened.
#[derive(Debug)]
pub(crate) struct OpenFile {
    pub(crate) file: File,
    pub(crate) len: u64,
}

impl Source for OpenFile {
    fn len(&self) -> u64 {
        self.len
    }

    fn read(&self, at: u64, count: usize) -> Result<Vec<u8>, ScanError> {
        let mut bytes = vec![0; count];
        self.file.read_exact_at(&mut bytes, at)?;
        Ok(bytes)
    }
}

impl Source for [u8] {
    fn len(&self) -> u64 {
        u64::try_from(<[u8]>::len(self)).unwrap_or(u64::MAX)
    }

    fn read(&self, at: u64, count: usize) -> Result<Vec<u8>, ScanError> {
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        let bytes = at.checked_add(count).and_then(|end| self.get(at..end));
        bytes.map(<[u8]>::to_vec).ok_or(ScanError::Wrong("it is cut off"))
    }
}

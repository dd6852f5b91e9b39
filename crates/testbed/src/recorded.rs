//! Sessions of other programs, recorded on a TCP connection by `crates/rtsp/tests/golden/record.py`.

use std::path::Path;

/// Bytes that one side has sent, as they arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Of the side that connected.
    pub from_client: bool,
    /// What it has sent.
    pub bytes: Vec<u8>,
}

/// Reads a recording: records of a side (`C` or `S`), milliseconds, length, bytes.
#[must_use]
pub fn read(path: &Path) -> Vec<Record> {
    let file = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (mut rest, mut records) = (file.as_slice(), Vec::new());
    while let Some((head, tail)) = rest.split_first_chunk::<9>() {
        let length = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let (bytes, tail) = tail.split_at(usize::try_from(length).unwrap());
        records.push(Record { from_client: head[0] == b'C', bytes: bytes.to_vec() });
        rest = tail;
    }
    records
}

/// All that one side has sent.
#[must_use]
pub fn of(records: &[Record], from_client: bool) -> Vec<u8> {
    records.iter().filter(|record| record.from_client == from_client).flat_map(|record| record.bytes.clone()).collect()
}

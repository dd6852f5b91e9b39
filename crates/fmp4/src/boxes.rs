//! Boxes: a size, a type of four characters and what is inside (ISO/IEC 14496-12 §4.2).

use bytes::{BufMut, BytesMut};

/// Appends a box whose inside is written by `inside`.
pub(crate) fn put(out: &mut BytesMut, kind: &[u8; 4], inside: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_u32(0);
    out.put_slice(kind);
    inside(out);
    let size = u32::try_from(out.len().saturating_sub(start)).unwrap_or(u32::MAX);
    patch(out, start, size);
}

/// Appends a full box: one that begins with a version and 24 bits of flags.
pub(crate) fn put_full(
    out: &mut BytesMut,
    kind: &[u8; 4],
    version: u8,
    flags: u32,
    inside: impl FnOnce(&mut BytesMut),
) {
    put(out, kind, |out| {
        out.put_u32(u32::from(version) << 24 | flags);
        inside(out);
    });
}

/// Overwrites the 32 bits at `at`, which were written before.
pub(crate) fn patch(out: &mut BytesMut, at: usize, value: u32) {
    if let Some(field) = out.get_mut(at..at.saturating_add(4)) {
        field.copy_from_slice(&value.to_be_bytes());
    }
}

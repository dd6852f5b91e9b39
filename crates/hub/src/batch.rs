//! The unit that viewers receive, and the tracks that it needs.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use sluicegate_media::{Frame, Timestamp, Tracks};
use smallvec::SmallVec;

/// Output formats that one hub can have; each costs a batch one empty slot of about 40 bytes.
pub(crate) const MAX_FORMATS: usize = 12;

/// Bytes made once by the first viewer that needs them, one slot a format.
#[derive(Default)]
pub(crate) struct Forms([OnceLock<Bytes>; MAX_FORMATS]);

impl Forms {
    /// The bytes in `slot`, made now if nobody has needed them before.
    pub(crate) fn get(&self, slot: usize, make: impl FnOnce() -> Bytes) -> Bytes {
        match self.0.get(slot) {
            Some(form) => form.get_or_init(make).clone(),
            None => make(),
        }
    }

    /// The bytes in `slot` if they are made.
    pub(crate) fn made(&self, slot: usize) -> Option<Bytes> {
        self.0.get(slot)?.get().cloned()
    }
}

impl fmt::Debug for Forms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let made = self.0.iter().filter(|form| form.get().is_some()).count();
        write!(f, "Forms({made} made)")
    }
}

/// The tracks that a run of batches needs; compare with [`Arc::ptr_eq`] to see that they changed.
#[derive(Debug, Default)]
pub struct TrackSet {
    tracks: Tracks,
    pub(crate) first_heads: Forms,
    pub(crate) next_heads: Forms,
}

impl TrackSet {
    /// A set of these tracks, with no output form made yet.
    #[must_use]
    pub fn new(tracks: Tracks) -> Self {
        Self { tracks, ..Self::default() }
    }
}

impl Deref for TrackSet {
    type Target = Tracks;

    fn deref(&self) -> &Tracks {
        &self.tracks
    }
}

/// A video frame with the sound that arrived before it; in a stream without pictures, some sound.
#[derive(Debug)]
pub struct Batch {
    /// Counts the stream's batches without gaps, also across publishers.
    pub seq: u64,
    /// The tracks that the frames belong to.
    pub tracks: Arc<TrackSet>,
    /// The frames in the order in which they came. Decoder configurations are in `tracks` instead.
    pub frames: SmallVec<[Frame; 4]>,
    /// Whether a viewer can start here: it holds a key frame, or the stream has no pictures.
    pub random_access: bool,
    pub(crate) forms: Forms,
}

impl Batch {
    /// A batch with no output form made yet.
    #[must_use]
    pub fn new(seq: u64, tracks: Arc<TrackSet>, frames: SmallVec<[Frame; 4]>, random_access: bool) -> Self {
        Self { seq, tracks, frames, random_access, forms: Forms::default() }
    }

    /// The least decoding time of its frames.
    #[must_use]
    pub fn start(&self) -> Timestamp {
        self.frames.iter().map(|frame| frame.dts).min().unwrap_or_default()
    }

    /// Bytes of payload.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.frames.iter().map(|frame| frame.payload.len()).sum()
    }
}

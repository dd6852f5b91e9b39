//! RTP as an output format of the hub.

use bytes::{Bytes, BytesMut};
use sluicegate_hub::{Batch, Format};
use sluicegate_media::{Timestamp, Tracks};

/// The packets of a batch, in the form of [`sluicegate_rtp::pack`].
#[derive(Debug)]
pub(crate) struct Rtp {
    /// Bytes of payload at most.
    pub(crate) payload: usize,
}

impl Format for Rtp {
    fn name(&self) -> &'static str {
        "rtp"
    }

    fn head(&self, _: &Tracks, _: bool, _: Timestamp) -> Bytes {
        Bytes::new()
    }

    fn body(&self, batch: &Batch) -> Bytes {
        let mut packed = BytesMut::new();
        for frame in &batch.frames {
            if let Some(track) = batch.tracks.get(frame.track) {
                sluicegate_rtp::pack(frame, track, self.payload, &mut packed);
            }
        }
        packed.freeze()
    }
}

//! A batch as packets that the driver takes, cut once for all viewers of a stream.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use sluicegate_hub::StreamName;
use sluicegate_media::Kind;
use sluicegate_rtc_driver::media::RtpPacket;

/// The packets of one batch. Their sequence numbers count from zero within each kind: sessions add their own.
#[derive(Debug)]
pub(crate) struct Cut {
    body: Bytes,
    video: Arc<[RtpPacket]>,
    audio: Arc<[RtpPacket]>,
    /// Bytes of all payloads.
    pub(crate) bytes: usize,
}

impl Cut {
    fn new(body: Bytes) -> Self {
        let (mut video, mut audio, mut bytes) = (Vec::new(), Vec::new(), 0_usize);
        for packed in sluicegate_rtp::unpack(body.clone()) {
            let to = if packed.kind == Kind::Video { &mut video } else { &mut audio };
            bytes = bytes.saturating_add(packed.payload.len());
            to.push(RtpPacket {
                sequence: u16::try_from(to.len()).unwrap_or_default(),
                timestamp: packed.timestamp,
                marker: packed.marker,
                payload: packed.payload,
            });
        }
        Self { body, video: video.into(), audio: audio.into(), bytes }
    }

    /// The packets of one kind.
    pub(crate) fn of(&self, kind: Kind) -> &Arc<[RtpPacket]> {
        if kind == Kind::Video { &self.video } else { &self.audio }
    }
}

/// The newest cut of a stream. Viewers that are not at the present yet cut for themselves.
#[derive(Debug, Default)]
pub(crate) struct Cuts(Mutex<Option<Arc<Cut>>>);

impl Cuts {
    /// The packets of a batch's body.
    pub(crate) fn of(&self, body: Bytes) -> Arc<Cut> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The body is held, so that no other can stand in its place in memory.
        if let Some(cut) =
            last.as_ref().filter(|cut| cut.body.as_ptr() == body.as_ptr() && cut.body.len() == body.len())
        {
            return Arc::clone(cut);
        }
        let cut = Arc::new(Cut::new(body));
        *last = Some(Arc::clone(&cut));
        cut
    }
}

/// The cuts of all streams that have viewers.
#[derive(Debug, Default)]
pub(crate) struct AllCuts(Mutex<HashMap<StreamName, Weak<Cuts>>>);

impl AllCuts {
    /// Those of one stream; they go with its last viewer.
    pub(crate) fn of(&self, name: &StreamName) -> Arc<Cuts> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cuts) = all.get(name).and_then(Weak::upgrade) {
            return cuts;
        }
        all.retain(|_, cuts| cuts.strong_count() > 0);
        let cuts = Arc::new(Cuts::default());
        all.insert(name.clone(), Arc::downgrade(&cuts));
        cuts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_cut_once_and_counted_per_kind() {
        // Kind, marker, length, timestamp, payload: see `sluicegate_rtp::unpack`.
        let body = Bytes::from_static(
            b"\x01\x00\x00\x01\x00\x00\x00\x07a\x00\x00\x00\x01\x00\x00\x00\x09b\x01\x01\x00\x01\x00\x00\x00\x07c",
        );
        let all = AllCuts::default();
        let name = StreamName::parse("a/b").unwrap();
        let cuts = all.of(&name);
        let cut = cuts.of(body.clone());
        assert!(Arc::ptr_eq(&cut, &all.of(&name).of(body.clone())));
        let of = |kind| cut.of(kind).iter().map(|packet| (packet.sequence, packet.marker)).collect::<Vec<_>>();
        assert_eq!(of(Kind::Video), [(0, false), (1, true)]);
        assert_eq!((of(Kind::Audio), cut.bytes), (vec![(0, false)], 3));
        assert!(!Arc::ptr_eq(&cut, &cuts.of(body.slice(..9))));
        drop(cuts);
        all.of(&StreamName::parse("a/c").unwrap());
        assert_eq!(all.0.lock().unwrap().len(), 1);
    }
}

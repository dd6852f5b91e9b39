//! Viewers share: one conversion per batch and format, one ring for all, whatever a slow viewer does.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sluicegate_hub::{Batch, Config, Expects, Format, Hub, Next, Publish, StreamName, Viewer};
use sluicegate_media::{Codec, Frame, Timestamp, TrackId, Tracks};

struct Sizes;

impl Format for Sizes {
    fn name(&self) -> &'static str {
        "sizes"
    }

    fn head(&self, tracks: &Tracks, first: bool, _at: Timestamp) -> Bytes {
        format!("{} tracks, first: {first}", tracks.len()).into()
    }

    fn body(&self, batch: &Batch) -> Bytes {
        vec![0; batch.bytes()].into()
    }
}

fn picture(number: i64, bytes: usize) -> Frame {
    let dts = Timestamp::from_millis(number * 40);
    Frame::media(TrackId::VIDEO, Codec::Vp8, dts, vec![7; bytes].into()).with_key(number % 25 == 0)
}

#[tokio::test]
async fn a_hundred_viewers_cost_one_conversion_a_batch() {
    let hub = Hub::new(Config::default()).unwrap();
    let name = StreamName::parse("a/b").unwrap();
    let output = hub.output(Sizes);
    let publisher = hub.publish(&name, Publish::by("test").expecting(Expects::VIDEO)).unwrap();
    let mut viewers: Vec<_> = (0..100).map(|_| hub.subscribe(&name, Viewer::by("test"))).collect();
    for number in 0..50 {
        publisher.push(picture(number, 1_000)).unwrap();
        let mut made = Vec::new();
        for viewer in &mut viewers {
            let batch = viewer.next().await.unwrap();
            viewer.sent(output.body(&batch).len());
            made.push(output.body(&batch).as_ptr());
            assert_eq!(output.head(&batch, true), "1 tracks, first: true");
            assert_eq!(output.head(&batch, false), "1 tracks, first: false");
        }
        assert!(made.iter().all(|bytes| bytes == &made[0]), "all viewers share the same bytes");
    }
    assert_eq!(output.conversions(), 50);
    let status = hub.stream(&name).unwrap();
    assert_eq!((status.frames_in, status.bytes_in, status.bytes_out), (50, 50_000, 5_000_000));
    drop(viewers);
    assert_eq!(hub.stream(&name).unwrap().bytes_out, 5_000_000, "the bytes of viewers that left still count");
}

#[tokio::test]
async fn a_stalled_viewer_holds_nothing_and_goes_on_at_the_newest_key_frame() {
    let config = Config { ring_bytes: 1 << 20, ring_span: Duration::from_secs(60), ..Config::default() };
    let hub = Hub::new(config).unwrap();
    let name = StreamName::parse("a/b").unwrap();
    let publisher = hub.publish(&name, Publish::by("test").expecting(Expects::VIDEO)).unwrap();
    let mut stalled = hub.subscribe(&name, Viewer::by("test"));
    publisher.push(picture(0, 10_000)).unwrap();
    let first = Arc::downgrade(&stalled.next().await.unwrap());
    for number in 1..1_000 {
        publisher.push(picture(number, 10_000)).unwrap();
    }
    assert!(first.upgrade().is_none(), "what fell off the ring is freed");
    let Next::Batch(batch) = stalled.try_next() else { panic!("there is something to take") };
    assert_eq!((batch.seq, batch.random_access), (975, true));
    assert_eq!(stalled.skipped(), 974);
    assert_eq!(hub.stream(&name).unwrap().batches_skipped, 974);
}

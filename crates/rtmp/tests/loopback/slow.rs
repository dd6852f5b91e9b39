//! Players that take too little: one that stops is dropped, one that pauses skips; nobody else notices.

use std::time::Duration;

use bytes::Bytes;
use sluicegate_hub::{Publish, Publisher, Viewer};
use sluicegate_media::{Codec, Frame, Timestamp, TrackId};
use sluicegate_rtmp::Config;
use sluicegate_testbed::{soon, until};

use crate::encoder::Script;
use crate::stage::{Stage, name};

fn config() -> Config {
    Config { stall: Duration::from_secs(1), unsent_bytes: 4_096, ..Config::default() }
}

fn publisher(stage: &Stage) -> Publisher {
    let publisher = stage.hub.publish(&name("cams/hall"), Publish::by("test")).unwrap();
    publisher.expect(sluicegate_hub::Expects::VIDEO);
    publisher
}

/// A second of pictures of 20 KB, the first a key frame.
fn second(publisher: &Publisher, number: i64) {
    for picture in 0..25 {
        let at = Timestamp::from_millis(number * 1_000 + picture * 40);
        let frame = Frame::media(TrackId::VIDEO, Codec::Vp8, at, Bytes::from(vec![7; 20_000]));
        publisher.push(frame.with_key(picture == 0)).unwrap();
    }
}

#[tokio::test]
async fn one_that_stops_is_dropped_and_others_go_on() {
    let stage = Stage::with(config(), None, None).await;
    let publisher = publisher(&stage);
    let mut stopped = Script::connect(&stage).await;
    second(&publisher, 0);
    stopped.plays("hall").await;
    stopped.hears("NetStream.Play.Start").await;
    let mut other = stage.hub.subscribe(&name("cams/hall"), Viewer::by("other"));
    (1..15).for_each(|number| second(&publisher, number));
    soon("a batch of the other", other.next()).await.unwrap();
    let left = || async { (!stage.hub.stream(&name("cams/hall"))?.viewers.contains_key("rtmp")).then_some(()) };
    until("the end of the stopped one", left).await;
    let held = stopped.reads_to_the_end().await;
    assert!(held < 1 << 20, "{held} bytes were on their way");
}

#[tokio::test]
async fn one_that_pauses_skips_to_a_key_frame() {
    let stage = Stage::with(Config { stall: Duration::from_secs(30), ..config() }, None, None).await;
    let publisher = publisher(&stage);
    let mut slow = Script::connect(&stage).await;
    second(&publisher, 0);
    slow.plays("hall").await;
    slow.hears("NetStream.Play.Start").await;
    // Far more than the ring keeps.
    (1..60).for_each(|number| second(&publisher, number));
    let finish = tokio::spawn(async move { slow.reads_to_the_end().await });
    let skipped = || async { (stage.hub.stream(&name("cams/hall"))?.batches_skipped > 0).then_some(()) };
    until("a skip", skipped).await;
    publisher.finish();
    let got = soon("the rest", finish).await.unwrap();
    assert!(got > 500_000, "{got} bytes");
}

//! Ours to ours: pushes and pulls through the table, and what players share.

use std::sync::Arc;

use sluicegate_hub::relay::{Direction, Relays, Retry, Spec, State, Target};
use sluicegate_hub::{State as StreamState, Viewer};
use sluicegate_net::tls::ClientTls;
use sluicegate_rtmp::RtmpTarget;
use sluicegate_testbed::{soon, until};

use crate::stage::{Stage, name};

pub(crate) fn relays(stage: &Stage) -> Relays {
    let relays = Relays::new();
    let target = RtmpTarget::new(stage.hub.clone(), ClientTls::native().unwrap(), stage.outputs.clone());
    relays.register(&RtmpTarget::SCHEMES, &(Arc::new(target) as Arc<dyn Target>));
    relays
}

/// Pictures and sounds of the sample in their order, without times.
async fn watched(stage: &Stage, stream: &str, count: usize) -> Vec<(u8, bytes::Bytes)> {
    let mut viewer = stage.hub.subscribe(&name(stream), Viewer::by("test"));
    let mut seen = Vec::new();
    while seen.len() < count {
        let batch = soon("a batch", viewer.next()).await.unwrap();
        seen.extend(batch.frames.iter().map(|frame| (frame.track.0, frame.payload.clone())));
    }
    seen
}

#[tokio::test]
async fn a_push_arrives_whole_and_ends_in_order() {
    let (from, to) = (Stage::start().await, Stage::start().await);
    let relays = relays(&from);
    let spec = Spec::push(name("cams/hall"), to.url("cams/copy"), Retry::Always);
    let (id, mut standing) = relays.push(spec).unwrap();
    let (copies, _publisher) = tokio::join!(watched(&to, "cams/copy", 60), async { from.publish("cams/hall") });
    let sample = crate::stage::sample();
    let mut known =
        copies.iter().map(|copy| sample.iter().any(|frame| (frame.track.0, &frame.payload) == (copy.0, &copy.1)));
    assert!(known.all(|known| known));
    soon("the push", standing.wait_for(|standing| standing.state == State::Publishing)).await.unwrap();
    assert!(relays.stop(id));
    soon("the stop", standing.wait_for(|standing| standing.state == State::Stopped)).await.unwrap();
    let gone = || async { to.hub.stream(&name("cams/copy")).is_none().then_some(()) };
    until("the end at the target", gone).await;
}

#[tokio::test]
async fn a_pull_says_how_it_stands_and_comes_back() {
    let (from, to) = (Stage::start().await, Stage::start().await);
    let _publisher = from.publish("cams/hall");
    let spec = Spec::push(name("cams/copy"), from.url("cams/hall"), Retry::Always);
    let (_, mut standing) = relays(&to).push(Spec { direction: Direction::Pull, ..spec }).unwrap();
    soon("the pull", standing.wait_for(|standing| standing.state == State::Playing)).await.unwrap();
    assert!(watched(&to, "cams/copy", 10).await.len() >= 10);
    let published = |status: sluicegate_hub::StreamStatus| (status.state, status.publisher);
    let status = to.hub.stream(&name("cams/copy")).map(published);
    assert_eq!(status, Some((StreamState::Live, Some("rtmp-pull"))));
    from.shutdown.begin();
    soon("the server's end", from.serving).await.unwrap();
    let told = soon("the loss", standing.wait_for(|standing| standing.state == State::Retrying)).await.unwrap();
    assert!(told.reason.is_some());
    drop(told);
    soon("another try", standing.wait_for(|standing| standing.attempts >= 2)).await.unwrap();
}

#[tokio::test]
async fn players_share_the_bytes() {
    let stage = Stage::start().await;
    let _publisher = stage.publish("cams/hall");
    let copies: Vec<_> = (0..5).map(|number| format!("copy{number}")).collect();
    let target = Stage::start().await;
    let relays = relays(&target);
    for copy in &copies {
        let spec = Spec::push(name(copy), stage.url("cams/hall"), Retry::Times(0));
        relays.push(Spec { direction: Direction::Pull, ..spec }).unwrap();
    }
    for copy in &copies {
        watched(&target, copy, 40).await;
    }
    let status = stage.hub.stream(&name("cams/hall")).unwrap();
    assert_eq!(status.viewers.get("rtmp"), Some(&5));
    // Our client knows multitrack, so all five have that form; each batch was converted once at most.
    let conversions = stage.outputs.multitrack.conversions();
    let mut counter = stage.hub.subscribe(&name("cams/hall"), Viewer::by("test"));
    let batches = soon("a batch", counter.next()).await.unwrap().seq + 260;
    assert!((10..batches).contains(&conversions), "{conversions} of {batches}");
    assert_eq!(stage.outputs.plain.conversions(), 0);
}

//! One connection, one stream after another.

use sluicegate_hub::State;
use sluicegate_testbed::until;

use crate::encoder::Script;
use crate::stage::{Stage, name};

#[tokio::test]
async fn a_player_takes_another_stream() {
    let stage = Stage::start().await;
    let _publishers = (stage.publish("cams/one"), stage.publish("cams/two"));
    let mut player = Script::connect(&stage).await;
    player.plays("one").await;
    player.hears("NetStream.Play.Start").await;
    player.ends_and_plays("two").await;
    player.hears("NetStream.Play.Start").await;
    let players = |stream: &str| stage.hub.stream(&name(stream)).and_then(|status| status.viewers.get("rtmp").copied());
    assert_eq!((players("cams/one"), players("cams/two")), (None, Some(1)));
}

#[tokio::test]
async fn an_encoder_sends_another_stream() {
    let stage = Stage::start().await;
    let mut encoder = Script::connect(&stage).await;
    encoder.publishes("one").await;
    encoder.hears("the stream is published").await;
    encoder.ends_and_publishes("two").await;
    encoder.hears("the stream is published").await;
    assert_eq!(stage.hub.stream(&name("cams/two")).unwrap().state, State::Live);
    until("the end of the first", || async { stage.hub.stream(&name("cams/one")).is_none().then_some(()) }).await;
}

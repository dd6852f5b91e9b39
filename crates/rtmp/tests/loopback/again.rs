//! One stream after another on a connection, and one after another under a name; ends that are told.

use sluicegate_hub::{Publish, State};
use sluicegate_media::{Codec, Frame, Timestamp, TrackId};
use sluicegate_testbed::{soon, until};

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

/// A publisher that sends one sound.
fn begin(stage: &Stage) -> sluicegate_hub::Publisher {
    let publisher = stage.hub.publish(&name("cams/one"), Publish::by("test")).unwrap();
    publisher.expect(sluicegate_hub::Expects::AUDIO);
    let sound = Frame::media(TrackId::AUDIO, Codec::Opus, Timestamp::ZERO, b"\xfc"[..].into());
    publisher.push(sound).unwrap();
    publisher
}

#[tokio::test]
async fn a_stream_ends_and_begins_anew() {
    let stage = Stage::start().await;
    for _ in 0..3 {
        let publisher = begin(&stage);
        let (mut first, mut second) = (Script::connect(&stage).await, Script::connect(&stage).await);
        for player in [&mut first, &mut second] {
            player.plays("one").await;
            player.hears("NetStream.Play.Start").await;
            player.hears("Opus").await;
        }
        publisher.finish();
        for player in [&mut first, &mut second] {
            player.hears("NetStream.Play.UnpublishNotify").await;
            player.hears("the publisher has finished").await;
            player.reads_to_the_end().await;
        }
    }
}

#[tokio::test]
async fn players_are_told_that_the_server_goes_away() {
    let stage = Stage::start().await;
    let _publisher = begin(&stage);
    let mut player = Script::connect(&stage).await;
    player.plays("one").await;
    player.hears("NetStream.Play.Start").await;
    stage.shutdown.begin();
    player.hears("the server is going away").await;
    drop(player);
    soon("the service's end", stage.serving).await.unwrap();
}

#[tokio::test]
async fn a_player_gets_no_codec_that_it_has_not_listed() {
    let stage = Stage::start().await;
    let _publisher = begin(&stage);
    let mut player = Script::connect(&stage).await;
    player.plays_listing("one", &["hvc1", "mp4a"]).await;
    player.hears("NetStream.Play.Failed").await;
    player.hears("the other side does not take opus").await;
}

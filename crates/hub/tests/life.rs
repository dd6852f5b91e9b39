//! A stream's life: publishers come, leave, return and replace each other; viewers wait, stay and end.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::time::Duration;

use sluicegate_hub::{
    Config, Ended, Error, Expects, Hub, Next, Owner, Publish, Publisher, Reason, State, StreamName, Viewer,
};
use sluicegate_media::{Codec, Frame, Timestamp, TrackId};

fn hub() -> Hub {
    Hub::new(Config::default()).unwrap()
}

fn name(text: &str) -> StreamName {
    StreamName::parse(text).unwrap()
}

fn publish(hub: &Hub, stream: &str) -> Publisher {
    hub.publish(&name(stream), Publish::by("test").expecting(Expects::VIDEO)).unwrap()
}

fn push(publisher: &Publisher, millis: i64, key: bool) {
    let dts = Timestamp::from_millis(millis);
    publisher.push(Frame::media(TrackId::VIDEO, Codec::Vp8, dts, vec![7; 100].into()).with_key(key)).unwrap();
}

#[tokio::test(start_paused = true)]
async fn viewers_stay_while_the_publisher_is_away_and_time_goes_on() {
    let hub = hub();
    let first = publish(&hub, "a/b");
    push(&first, 500, true);
    push(&first, 540, false);
    let mut viewer = hub.subscribe(&name("a/b"), Viewer::by("test"));
    assert_eq!(viewer.next().await.unwrap().frames[0].dts.millis(), 0);
    assert_eq!(viewer.next().await.unwrap().frames[0].dts.millis(), 40);
    drop(first);
    assert_eq!(hub.stream(&name("a/b")).unwrap().state, State::Away);
    tokio::time::sleep(Duration::from_secs(14)).await;
    let second = publish(&hub, "a/b");
    push(&second, 0, false);
    push(&second, 40, true);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let batch = viewer.next().await.unwrap();
    assert!(batch.random_access && batch.frames[0].dts.millis() == 80);
}

#[tokio::test(start_paused = true)]
async fn viewers_end_when_the_publisher_stays_away() {
    let hub = hub();
    let publisher = publish(&hub, "a/b");
    let mut viewer = hub.subscribe(&name("a/b"), Viewer::by("test"));
    drop(publisher);
    assert_eq!(viewer.next().await.unwrap_err(), Ended { reason: Reason::PublisherGone });
    drop(viewer);
    assert!(hub.streams().is_empty());
}

#[tokio::test]
async fn a_finished_stream_ends_at_once_and_its_name_is_free() {
    let hub = hub();
    let publisher = publish(&hub, "a/b");
    let mut viewer = hub.subscribe(&name("a/b"), Viewer::by("test"));
    publisher.finish();
    assert_eq!(viewer.next().await.unwrap_err().reason, Reason::Finished);
    let again = publish(&hub, "a/b");
    push(&again, 0, true);
    assert_eq!(viewer.next().await.unwrap_err().reason, Reason::Finished, "a viewer of the old life stays ended");
    let mut new = hub.subscribe(&name("a/b"), Viewer::by("test"));
    assert!(new.next().await.is_ok());
}

#[tokio::test]
async fn a_second_publisher_is_refused_unless_it_asks_to_replace() {
    let hub = hub();
    let first = publish(&hub, "a/b");
    let refused = hub.publish(&name("a/b"), Publish::by("other"));
    assert!(matches!(refused, Err(Error::Conflict { by: "test", .. })));
    let second = hub.publish(&name("a/b"), Publish { replace: true, ..Publish::by("other") }).unwrap();
    assert_eq!(first.closed().await, Reason::Replaced);
    let late = first.push(Frame::media(TrackId::VIDEO, Codec::Vp8, Timestamp::ZERO, vec![1].into()));
    assert_eq!(late, Err(Error::Ended(Ended { reason: Reason::Replaced })));
    drop(first);
    assert_eq!(hub.stream(&name("a/b")).unwrap().state, State::Live, "the loser's leaving harms nobody");
    drop(second);
}

#[tokio::test]
async fn an_operator_cuts_publisher_and_viewers() {
    let hub = hub();
    let publisher = publish(&hub, "a/b");
    let mut viewer = hub.subscribe(&name("a/b"), Viewer::by("test"));
    assert!(hub.cut(&name("a/b")));
    assert_eq!(publisher.closed().await, Reason::Cut);
    assert_eq!(viewer.next().await.unwrap_err().reason, Reason::Cut);
    drop((publisher, viewer));
    assert!(!hub.cut(&name("a/b")));
}

#[tokio::test]
async fn an_offer_reserves_the_name_and_shows_demand() {
    let hub = hub();
    let site = Owner::new("c7");
    let offer = hub.offer(&name("a/b-c7"), site.clone()).unwrap();
    let demand = offer.demand();
    assert_eq!(*demand.borrow(), 0);
    assert!(matches!(hub.publish(&name("a/b-c7"), Publish::by("test")), Err(Error::Reserved { .. })));
    assert!(matches!(hub.offer(&name("a/b-c7"), Owner::new("b-c7")), Err(Error::Reserved { .. })));
    let mut viewer = hub.subscribe(&name("a/b-c7"), Viewer::by("test"));
    assert_eq!(*demand.borrow(), 1);
    let publisher = hub.publish(&name("a/b-c7"), Publish::by("test").owned_by(site).expecting(Expects::VIDEO)).unwrap();
    push(&publisher, 0, true);
    assert!(viewer.next().await.is_ok());
    drop(offer);
    assert_eq!(viewer.next().await.unwrap_err().reason, Reason::Withdrawn);
    drop(viewer);
    assert_eq!(*demand.borrow(), 1, "after the withdrawal nobody is told any more");
}

#[tokio::test(start_paused = true)]
async fn a_viewer_may_come_first_and_waits_no_longer_than_it_says() {
    let hub = hub();
    let mut viewer = hub.subscribe(&name("a/b"), Viewer::by("test"));
    assert_eq!(hub.stream(&name("a/b")).unwrap().state, State::Waiting);
    let waited = viewer.ready(Duration::from_secs(10)).await;
    assert!(matches!(waited, Err(Error::NotFound { .. })));
    let publisher = publish(&hub, "a/b");
    push(&publisher, 0, true);
    viewer.ready(Duration::from_secs(10)).await.unwrap();
    assert!(viewer.next().await.is_ok(), "waiting takes nothing away");
}

#[tokio::test]
async fn limits_refuse_streams_and_viewers() {
    let hub = Hub::new(Config { max_streams: 1, max_viewers: 1, ..Config::default() }).unwrap();
    let _publisher = publish(&hub, "a/b");
    assert!(matches!(hub.publish(&name("c"), Publish::by("test")), Err(Error::TooManyStreams { limit: 1 })));
    let _first = hub.subscribe(&name("a/b"), Viewer::by("test"));
    for stream in ["a/b", "c"] {
        let mut second = hub.subscribe(&name(stream), Viewer::by("test"));
        assert!(matches!(second.try_next(), Next::Ended(Reason::TooManyViewers)));
    }
}

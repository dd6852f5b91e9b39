//! Data channels between the driver and the `webrtc` crate, in both roles.

use bytes::BytesMut;
use sluicegate_rtc_driver::{ChannelId, CloseReason, Connection, Event, Message, Options, State};

use crate::peer::{Peer, driver, echo, event, message, opened};

fn open(event: &Event) -> Option<(ChannelId, String)> {
    match event {
        Event::ChannelOpen { channel, label, .. } => Some((*channel, label.clone())),
        _ => None,
    }
}

fn taken(event: &Event) -> Option<Message> {
    match event {
        Event::Message { message, .. } => Some(message.clone()),
        _ => None,
    }
}

/// Messages of many sizes that come back are those that were sent, in their order.
async fn echoes(connection: &mut Connection, channel: ChannelId) {
    let handle = connection.handle().clone();
    let sizes = [1, 100, 1200, 5000, 16_384, 51_230, 65_536];
    let sent: Vec<Message> = (0..70_u8)
        .map(|number| match number % 10 {
            9 => Message::Text(format!("text {number}")),
            _ => Message::Binary(vec![number; sizes[usize::from(number) % sizes.len()]].into()),
        })
        .collect();
    let sending = tokio::spawn({
        let sent = sent.clone();
        async move {
            for message in sent {
                handle.send(channel, message).await.unwrap();
            }
        }
    });
    for (number, expected) in sent.iter().enumerate() {
        let got = event(connection, "an echo", taken).await;
        assert!(got == *expected, "message {number}: {} bytes for {}", got.len(), expected.len());
    }
    sending.await.unwrap();
}

#[tokio::test]
async fn the_driver_offers() {
    let (driver, mut peer) = (driver(), Peer::new().await);
    let (mut connection, offer) = driver.offer(Options::channel("chunks")).await.unwrap();
    let answer = peer.answer(&offer).await;
    connection.handle().accept_answer(answer).await.unwrap();
    let (channel, label) = event(&mut connection, "an open channel", open).await;
    assert_eq!(label, "chunks");
    let theirs = peer.channel().await;
    assert_eq!(theirs.label().await.unwrap(), "chunks");
    let echoing = echo(theirs);
    echoes(&mut connection, channel).await;
    connection.handle().close();
    event(&mut connection, "the end", |event| {
        (*event == Event::State(State::Closed(CloseReason::Local))).then_some(())
    })
    .await;
    crate::peer::within("the peer's end", echoing).await.unwrap();
    driver.shutdown().await;
}

#[tokio::test]
async fn the_driver_answers() {
    let (driver, mut peer) = (driver(), Peer::new().await);
    let theirs = peer.connection.create_data_channel("chunks", None).await.unwrap();
    let offer = peer.offer().await;
    let (mut connection, answer) = driver.answer(offer, Options::default()).await.unwrap();
    peer.accept(&answer).await;
    let (channel, label) = event(&mut connection, "an open channel", open).await;
    assert_eq!(label, "chunks");
    opened(&theirs).await;
    theirs.send(BytesMut::from(&b"hello"[..])).await.unwrap();
    assert_eq!(event(&mut connection, "hello", taken).await, Message::Binary(b"hello"[..].into()));
    connection.handle().send(channel, Message::Text("world".to_owned())).await.unwrap();
    assert_eq!(message(&theirs).await, (true, BytesMut::from(&b"world"[..])));
    let echoing = echo(theirs);
    echoes(&mut connection, channel).await;
    // A clean close of the peer is told as such, which one that vanishes is not.
    peer.connection.close().await.unwrap();
    event(&mut connection, "the end", |event| (*event == Event::State(State::Closed(CloseReason::Peer))).then_some(()))
        .await;
    assert!(connection.next().await.is_none());
    echoing.abort();
    driver.shutdown().await;
}

#[tokio::test]
async fn candidates_may_come_later() {
    let (driver, mut peer) = (driver(), Peer::new().await);
    let theirs = peer.connection.create_data_channel("late", None).await.unwrap();
    let offer = peer.offer().await;
    let (candidates, bare): (Vec<&str>, Vec<&str>) = offer.lines().partition(|line| line.starts_with("a=candidate:"));
    let (mut connection, answer) = driver.answer(bare.join("\r\n") + "\r\n", Options::default()).await.unwrap();
    // The answer comes without candidates too, and both ends learn them one by one.
    let ours = event(&mut connection, "a candidate", |event| match event {
        Event::Candidate(candidate) => Some(candidate.clone()),
        _ => None,
    })
    .await;
    let answer: Vec<&str> = answer.lines().filter(|line| !line.starts_with("a=candidate:")).collect();
    peer.accept(&(answer.join("\r\n") + "\r\n")).await;
    for candidate in candidates {
        connection.handle().add_candidate(candidate).await.unwrap();
    }
    let ours = webrtc::peer_connection::RTCIceCandidateInit { candidate: ours, ..Default::default() };
    peer.connection.add_ice_candidate(ours).await.unwrap();
    opened(&theirs).await;
    event(&mut connection, "an open channel", open).await;
}

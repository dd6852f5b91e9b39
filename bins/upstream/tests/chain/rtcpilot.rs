//! Clients that were written for RTCPilot's `ws_stream`.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use sluicegate_testbed::api;
use sluicegate_testbed::media::{self, Decoded, decode};
use sluicegate_testbed::peer::{Peer, find};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::stage::Upstream;

async fn connect(url: &str) -> Result<WebSocketStream<TcpStream>, Error> {
    let address = url.trim_start_matches("ws://").split('/').next().unwrap();
    let socket = TcpStream::connect(address).await.unwrap();
    client_async(url, socket).await.map(|(websocket, _)| websocket)
}

/// Publishes the sample at its own pace as a relaying RTCPilot does: header, body and size of each tag in messages of
/// their own; and without a file header, which its demuxer does not need either.
async fn publish(url: String, with_header: bool) {
    let mut socket = connect(&url).await.unwrap();
    let flv = std::fs::read(media::sample()).unwrap();
    let (header, mut rest) = flv.split_at(13);
    if with_header {
        socket.send(Message::binary(header.to_vec())).await.unwrap();
    }
    let begun = Instant::now();
    while rest.len() > 11 {
        let size = usize::try_from(u32::from_be_bytes([0, rest[1], rest[2], rest[3]])).unwrap();
        let at = u64::from(u32::from_be_bytes([rest[7], rest[4], rest[5], rest[6]]));
        sleep_until(begun + Duration::from_millis(at)).await;
        let (tag, more) = rest.split_at(size + 15);
        let parts = [&tag[..11], &tag[11..11 + size], &tag[11 + size..]];
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            socket.send(Message::binary(part.to_vec())).await.unwrap();
        }
        rest = more;
    }
}

#[tokio::test]
async fn a_player_comes_before_its_publisher() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    for with_header in [true, false] {
        let upstream = Upstream::start().await;
        let play = upstream.url("ws", "/play?app=live&stream=door");
        let player = tokio::spawn({
            let ffmpeg = ffmpeg.clone();
            async move { decode(&ffmpeg, &play, 50).await }
        });
        api::until_stream(&upstream.address, "live/door", "waiting").await;
        let publisher = tokio::spawn(publish(upstream.url("ws", "/publish?app=live&stream=door"), with_header));
        assert_eq!(player.await.unwrap(), Decoded { pictures: 50, complaints: String::new() });
        publisher.abort();
    }
}

#[tokio::test]
async fn a_request_without_its_parameters_is_answered() {
    let upstream = Upstream::start().await;
    for path in ["/publish", "/play?app=live", "/publish?stream=door&app="] {
        let Err(Error::Http(answer)) = connect(&upstream.url("ws", path)).await else {
            panic!("{path} was not refused");
        };
        assert_eq!(answer.status(), 400, "{path}");
    }
}

#[tokio::test]
async fn a_second_publisher_is_refused_and_the_first_goes_on() {
    let upstream = Upstream::start().await;
    let url = upstream.url("ws", "/publish?app=live&stream=door");
    let first = tokio::spawn(publish(url.clone(), true));
    api::until_stream(&upstream.address, "live/door", "live").await;
    let Err(Error::Http(answer)) = connect(&url).await else {
        panic!("the second was not refused");
    };
    assert_eq!(answer.status(), 409);
    let mut player = connect(&upstream.url("ws", "/play?app=live&stream=door")).await.unwrap();
    let message = sluicegate_testbed::soon("a message", player.next()).await.unwrap().unwrap();
    assert!(message.into_data().starts_with(b"FLV\x01\x05"));
    first.abort();
}

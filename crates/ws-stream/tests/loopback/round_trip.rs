//! A generated stream by every way in and every way out.

use http::Method;
use sluicegate_media::{Codec, Content};

use crate::server::{Server, Way};
use crate::stream::{AAC, AVC_320, PICTURE_MS, clip, picture, sound};
use crate::viewer::Viewer;

const PICTURES: u32 = 25;

async fn by(way: Way) {
    on(&Server::new().await, way).await;
}

async fn on(server: &Server, way: Way) {
    let mut pusher = server.publish(&way).await;
    let clip = clip(PICTURES + 1, 3_000);
    // A message boundary means nothing.
    for part in clip.chunks(1_777) {
        pusher.send(part.to_vec()).await;
    }
    server.until("live/x", |status| status.frames_in >= u64::from(2 + 2 * (PICTURES + 1))).await;

    let flv = [
        Viewer::http(server, "/live/live/x.flv").await,
        Viewer::websocket(server, "/live/live/x.flv").await,
        Viewer::websocket(server, "/play?app=live&stream=x").await,
        Viewer::http(server, "/play?app=live&stream=x").await,
    ];
    for mut viewer in flv {
        viewer.until("picture 00000025").await;
        check_flv(&viewer);
    }
    let mp4 = [Viewer::http(server, "/live/live/x.mp4").await, Viewer::websocket(server, "/live/live/x.mp4").await];
    for mut viewer in mp4 {
        viewer.until("picture 00000025").await;
        check_mp4(&viewer);
    }
    pusher.finish().await;
}

/// A viewer starts at the newest key frame, which is picture 20.
fn check_flv(viewer: &Viewer) {
    assert_eq!(viewer.bytes[..13], *b"FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00");
    let frames = viewer.frames();
    let configuration =
        |codec| frames.iter().find(|frame| frame.codec == codec && frame.content == Content::Configuration);
    assert_eq!(configuration(Codec::H264).unwrap().payload[..], *AVC_320);
    assert_eq!(configuration(Codec::Aac).unwrap().payload[..], *AAC);
    let pictures = viewer.pictures();
    assert!(pictures[0].key);
    for (number, frame) in (20..PICTURES).zip(&pictures) {
        assert_eq!(frame.payload[..], picture(number, 3_000));
        assert_eq!(frame.dts.millis(), i64::from(number * PICTURE_MS));
    }
    let sounds: Vec<_> =
        frames.iter().filter(|frame| frame.codec == Codec::Aac && frame.content == Content::Media).collect();
    for (number, frame) in (20..PICTURES).zip(sounds) {
        assert_eq!(frame.payload[..], sound(number));
    }
}

fn check_mp4(viewer: &Viewer) {
    let boxes = viewer.boxes();
    assert_eq!(boxes[..4], ["ftyp", "moov", "moof", "mdat"]);
    assert_eq!(viewer.numbers(), (20..=PICTURES).collect::<Vec<_>>());
    for text in &viewer.texts {
        assert_eq!(text, r#"{"mime":"video/mp4; codecs=\"avc1.42C00D,mp4a.40.2\""}"#);
    }
}

#[tokio::test]
async fn by_websocket() {
    by(Way::WebSocket("/live/live/x.flv?publish=1")).await;
}

#[tokio::test]
async fn by_the_rtcpilot_route() {
    by(Way::WebSocket("/publish?app=live&stream=x")).await;
}

#[tokio::test]
async fn by_post() {
    by(Way::Http(Method::POST, "/live/live/x.flv")).await;
}

#[tokio::test]
async fn without_a_hand_over_of_sockets() {
    on(&Server::without_hand_over().await, Way::WebSocket("/live/live/x.flv?publish=1")).await;
}

#[tokio::test]
async fn by_put() {
    by(Way::Http(Method::PUT, "/live/live/x.flv")).await;
}

#[tokio::test]
async fn fragments_come_one_a_message_behind_the_mime_type() {
    let server = Server::new().await;
    let mut viewer = Viewer::websocket(&server, "/live/x.mp4").await;
    let mut pusher = server.publish(&Way::WebSocket("/live/x.flv?publish=1")).await;
    pusher.send(clip(5, 500)).await;
    viewer.until("picture 00000004").await;
    assert_eq!(viewer.texts.len(), 1);
    let whole = std::mem::take(&mut viewer.bytes);
    let mut from = 0;
    for (index, part) in viewer.parts.clone().into_iter().enumerate() {
        viewer.bytes = whole[from..from + part].to_vec();
        let want = if index == 0 { ["ftyp", "moov"] } else { ["moof", "mdat"] };
        assert_eq!(viewer.boxes(), want, "message {index}");
        from += part;
    }
}

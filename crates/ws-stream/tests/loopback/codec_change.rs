//! The tracks change in the middle of a stream, and codecs that a container cannot carry.

use futures_util::StreamExt;
use sluicegate_hub::{Expects, Publish, StreamName};
use sluicegate_media::{Codec, Frame, Timestamp, TrackId};
use sluicegate_ws_stream::close;
use tokio_tungstenite::tungstenite::Message;

use crate::server::{Server, Way, closed, text};
use crate::stream::{AVC_640, avc_header, clip, step};
use crate::viewer::Viewer;

#[tokio::test]
async fn a_new_configuration_reaches_every_viewer_before_its_frames() {
    let server = Server::new().await;
    let mut flv = Viewer::websocket(&server, "/live/x.flv").await;
    let mut mp4 = Viewer::websocket(&server, "/live/x.mp4").await;
    let mut pusher = server.publish(&Way::WebSocket("/live/x.flv?publish=1")).await;
    pusher.send(clip(10, 100)).await;
    pusher.send(avc_header(400, AVC_640)).await;
    for number in 10..15 {
        pusher.send(step(number, 0, 100)).await;
    }
    flv.until("picture 00000014").await;
    mp4.until("picture 00000014").await;
    let find = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).position(|window| window == what).unwrap();
    for viewer in [&flv, &mp4] {
        let (old, record, new) = (b"picture 00000009", AVC_640, b"picture 00000010");
        let at = [find(&viewer.bytes, old), find(&viewer.bytes, record), find(&viewer.bytes, new)];
        assert!(at.is_sorted(), "{at:?}");
    }
    assert_eq!(mp4.texts.len(), 2);
    assert!(mp4.texts[1].contains("avc1.42C01E"), "{:?}", mp4.texts);
}

#[tokio::test]
async fn a_codec_that_mp4_lacks_is_415_or_a_close_reason() {
    let server = Server::new().await;
    let name = StreamName::parse("x").unwrap();
    let publisher = server.hub.publish(&name, Publish::by("test").expecting(Expects::AUDIO)).unwrap();
    let sound = |at| Frame::media(TrackId::AUDIO, Codec::G711A, Timestamp::from_millis(at), b"sounds"[..].into());
    publisher.push(sound(0)).unwrap();
    let response = server.get("/live/x.mp4").await;
    assert_eq!(response.status(), 415);
    assert!(text(response).await.contains("g711a"));
    let mut websocket = server.websocket("/live/x.mp4").await;
    let (code, reason) = closed(&mut websocket).await;
    assert_eq!((code, reason.contains("g711a")), (close::UNSUPPORTED, true), "{reason}");
    assert_eq!(server.get("/live/x.flv").await.status(), 200, "FLV carries it");
}

#[tokio::test]
async fn sound_that_mp4_lacks_is_left_out_beside_pictures() {
    let server = Server::new().await;
    let name = StreamName::parse("x").unwrap();
    let publisher = server.hub.publish(&name, Publish::by("test")).unwrap();
    let mut websocket = server.websocket("/live/x.mp4").await;
    let at = Timestamp::ZERO;
    let record = crate::stream::AVC_320;
    publisher.push(Frame::configuration(TrackId::VIDEO, Codec::H264, at, record.into())).unwrap();
    publisher.push(Frame::media(TrackId::AUDIO, Codec::G711A, at, b"sounds"[..].into())).unwrap();
    let picture = crate::stream::picture(0, 100);
    publisher.push(Frame::media(TrackId::VIDEO, Codec::H264, at, picture.into()).with_key(true)).unwrap();
    let Some(Ok(Message::Text(text))) = websocket.next().await else { panic!("no text") };
    assert_eq!(text.as_str(), r#"{"mime":"video/mp4; codecs=\"avc1.42C00D\""}"#);
}

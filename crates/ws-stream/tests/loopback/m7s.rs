//! Pushes in the form of the m7s plugin: ours is read by a scripted original, and by our own route.

use std::time::Duration;

use bytes::Bytes;
use sluicegate_hub::{Hub, Publish, Publisher, StreamName, Subscriber, Viewer};
use sluicegate_ws_stream::ingest::{self, Limits};
use sluicegate_ws_stream::m7s;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_util::sync::CancellationToken;

use crate::server::PATIENCE;
use crate::stream::{clip, picture};

const WIRE_BYTES: usize = 1 << 20;

fn name() -> StreamName {
    StreamName::parse("cams/door").unwrap()
}

/// A hub into which somebody publishes a clip and stays.
fn fed(pictures: u32) -> (Hub, DuplexStream) {
    let hub = Hub::new(sluicegate_hub::Config::default()).unwrap();
    let publisher = hub.publish(&name(), Publish::by("test")).unwrap();
    let (mut writer, reader) = duplex(WIRE_BYTES);
    tokio::spawn(ingest::from_reader(reader, publisher, Limits::default()));
    let bytes = clip(pictures, 1_000);
    let (done, keep) = duplex(1);
    tokio::spawn(async move {
        writer.write_all(&bytes).await.unwrap();
        // The clip's publisher stays as long as the test looks.
        let mut done = done;
        let _ = done.read_u8().await;
        drop(writer);
    });
    (hub, keep)
}

/// Pushes the stream of `hub`; what goes over the wire comes out of the other end.
async fn push(hub: &Hub, stop: CancellationToken) -> DuplexStream {
    let (client, server) = duplex(WIRE_BYTES);
    let subscriber: Subscriber = hub.subscribe(&name(), Viewer::by("push"));
    let websocket = WebSocketStream::from_raw_socket(client, Role::Client, None).await;
    tokio::spawn(m7s::push(subscriber, websocket, stop));
    server
}

/// Reads as the original does: a header, and a payload where one is asked for.
async fn header(wire: &mut (impl AsyncRead + Unpin)) -> (u8, usize, [u8; 4]) {
    let first = wire.read_u8().await.unwrap();
    let second = wire.read_u8().await.unwrap();
    assert_eq!(second & 0x80, 0x80, "a client masks");
    let length = match second & 0x7f {
        126 => usize::from(wire.read_u16().await.unwrap()),
        127 => usize::try_from(wire.read_u64().await.unwrap()).unwrap(),
        short => usize::from(short),
    };
    let mut key = [0; 4];
    wire.read_exact(&mut key).await.unwrap();
    (first, length, key)
}

async fn message(wire: &mut (impl AsyncRead + Unpin)) -> (u8, Vec<u8>) {
    let (first, length, key) = header(wire).await;
    let mut payload = vec![0; length];
    wire.read_exact(&mut payload).await.unwrap();
    payload.iter_mut().zip(key.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    (first, payload)
}

#[tokio::test]
async fn a_scripted_original_reads_our_push() {
    let (hub, _keep) = fed(12);
    let mut wire = push(&hub, CancellationToken::new()).await;
    let read = async {
        let (_, start) = message(&mut wire).await;
        assert!(start.starts_with(b"FLV\x01\x05") && start.len() == 13, "{start:x?}");
        let (_, metadata) = message(&mut wire).await;
        assert_eq!(metadata[0], 0x12);
        let last = picture(11, 1_000);
        loop {
            // The original drops the header of one frame and takes the next frame for the tag.
            header(&mut wire).await;
            let (first, tag) = message(&mut wire).await;
            assert_eq!(first, 0x82);
            let size = usize::try_from(u32::from_be_bytes([0, tag[1], tag[2], tag[3]])).unwrap();
            assert!(matches!(tag[0], 8 | 9) && tag.len() == size + 15, "{:x?}", &tag[..11]);
            if tag.windows(last.len()).any(|window| window == last) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, read).await.unwrap();
}

#[tokio::test]
async fn our_own_route_reads_our_push_until_it_stops() {
    let (hub, _keep) = fed(12);
    let stop = CancellationToken::new();
    let wire = push(&hub, stop.clone()).await;
    let there = Hub::new(sluicegate_hub::Config::default()).unwrap();
    let publisher: Publisher = there.publish(&name(), Publish::by("m7s")).unwrap();
    let mut viewer = there.subscribe(&name(), Viewer::by("test"));
    let ingest = tokio::spawn(m7s::ingest(wire, Bytes::new(), publisher, Limits::default()));
    let last = picture(11, 1_000);
    let seen = async { while viewer.next().await.unwrap().frames.iter().all(|frame| frame.payload != last) {} };
    tokio::time::timeout(PATIENCE, seen).await.unwrap();
    stop.cancel();
    tokio::time::timeout(PATIENCE, ingest).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_broken_push_is_closed_with_1002() {
    let (mut client, server) = duplex(WIRE_BYTES);
    let there = Hub::new(sluicegate_hub::Config::default()).unwrap();
    let publisher = there.publish(&name(), Publish::by("m7s")).unwrap();
    // Not masked.
    client.write_all(b"\x82\x03FLV").await.unwrap();
    let limits = Limits { silence: Duration::from_secs(5), ..Limits::default() };
    let done = m7s::ingest(server, Bytes::new(), publisher, limits).await;
    assert!(done.unwrap_err().to_string().contains("broke off"));
    let mut close = [0; 4];
    client.read_exact(&mut close).await.unwrap();
    assert_eq!((close[0], &close[2..]), (0x88, &1_002u16.to_be_bytes()[..]));
}

//! Pushes by the m7s plugin at our end: the recorded one, endings of all kinds, and pushers that only seem alive.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::time::Duration;

use bytes::Bytes;
use sluicegate_hub::{Hub, Publish, StreamName, Viewer};
use sluicegate_media::Codec;
use sluicegate_ws_stream::ingest::Limits;
use sluicegate_ws_stream::{Error, m7s};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;

/// A push of two original nodes; its request is the first 195 bytes.
const RECORDED: &[u8] = include_bytes!("../testdata/push.downstream-to-upstream.bin");
const REQUEST_BYTES: usize = 195;
/// The units after the request end here: file header, metadata, then the first tag.
const METADATA_END: usize = 612 - REQUEST_BYTES;
const PATIENCE: Duration = Duration::from_secs(20);

type Done = JoinHandle<Result<(), Error>>;

async fn soon<T>(step: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, step).await.unwrap()
}

fn name() -> StreamName {
    StreamName::parse("live/test").unwrap()
}

/// An ingest, with what was read too far during the upgrade; and the pusher's end of its socket.
fn pushed(read_ahead: &'static [u8]) -> (Hub, DuplexStream, Done) {
    pushed_within(read_ahead, Limits::default())
}

fn pushed_within(read_ahead: &'static [u8], limits: Limits) -> (Hub, DuplexStream, Done) {
    let hub = Hub::new(sluicegate_hub::Config::default()).unwrap();
    let publisher = hub.publish(&name(), Publish::by("m7s")).unwrap();
    let (near, far) = duplex(1 << 20);
    let done = tokio::spawn(m7s::ingest(far, Bytes::from_static(read_ahead), publisher, limits));
    (hub, near, done)
}

fn recorded() -> &'static [u8] {
    &RECORDED[REQUEST_BYTES..]
}

/// A masked frame whose mask changes nothing.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    [&[first, 0x80 | u8::try_from(payload.len()).unwrap(), 0, 0, 0, 0][..], payload].concat()
}

/// All that the receiver says until it hangs up: first bytes and payloads.
async fn said(socket: &mut DuplexStream) -> Vec<(u8, Vec<u8>)> {
    let mut bytes = Vec::new();
    soon(socket.read_to_end(&mut bytes)).await.unwrap();
    let (mut rest, mut all) = (&bytes[..], Vec::new());
    while let [first, length, behind @ ..] = rest {
        let (payload, next) = behind.split_at(usize::from(*length));
        all.push((*first, payload.to_vec()));
        rest = next;
    }
    all
}

fn code(said: &[(u8, Vec<u8>)]) -> u16 {
    let (first, payload) = said.last().unwrap();
    assert_eq!(*first, 0x88, "{said:?}");
    u16::from_be_bytes([payload[0], payload[1]])
}

#[tokio::test]
async fn the_recorded_push_reaches_viewers() {
    // Some of it came with the upgrade.
    let (ahead, rest) = recorded().split_at(METADATA_END + 9);
    let (hub, mut pusher, done) = pushed(ahead);
    let mut viewer = hub.subscribe(&name(), Viewer::by("test"));
    pusher.write_all(rest).await.unwrap();
    let batch = soon(viewer.next()).await.unwrap();
    assert!(batch.tracks.iter().any(|track| track.codec == Codec::H264), "{:?}", batch.tracks);
    assert!(batch.frames.iter().any(|frame| frame.payload.len() > 29_000), "the key frame of 30,020 bytes");
    pusher.write_all(&frame(0x88, &1000u16.to_be_bytes())).await.unwrap();
    soon(done).await.unwrap().unwrap();
    // Not a byte but the close frame: an original must not be pinged.
    assert_eq!(said(&mut pusher).await, [(0x88, 1000u16.to_be_bytes().to_vec())]);
}

#[tokio::test]
async fn an_end_between_tags_is_an_end_and_one_within_a_tag_is_a_failure() {
    for (bytes, whole) in [(recorded().len(), true), (recorded().len() - 1, false), (METADATA_END + 6, false)] {
        let (_hub, mut pusher, done) = pushed(b"");
        pusher.write_all(&recorded()[..bytes]).await.unwrap();
        pusher.shutdown().await.unwrap();
        match soon(done).await.unwrap() {
            Ok(()) => assert!(whole, "{bytes}"),
            Err(Error::Io(error)) => assert!(!whole && error.kind() == std::io::ErrorKind::UnexpectedEof, "{bytes}"),
            Err(other) => panic!("{bytes}: {other}"),
        }
    }
}

#[tokio::test]
async fn close_frames_are_answered_and_tell_of_failures() {
    for (payload, answer, ok) in [
        (&b""[..], 1000, true),
        (b"\x03\xe8", 1000, true),
        (b"\x03\xe9bye", 1001, true),
        (b"\x03\xf3", 1011, false),
        // 1006 must not be in a frame, so it is not repeated.
        (b"\x03\xee", 1002, false),
    ] {
        let (_hub, mut pusher, done) = pushed(b"");
        pusher.write_all(&[recorded(), &frame(0x88, payload)].concat()).await.unwrap();
        let ended = soon(done).await.unwrap();
        assert_eq!(ended.is_ok(), ok, "{payload:?}: {ended:?}");
        assert_eq!(code(&said(&mut pusher).await), answer, "{payload:?}");
    }
}

#[tokio::test]
async fn pings_are_answered_also_between_outer_and_inner_header() {
    let (_hub, mut pusher, done) = pushed(b"");
    // The first tag's outer header has 6 bytes.
    let (before, behind) = recorded().split_at(METADATA_END + 6);
    let bytes = [before, &frame(0x89, b"one"), behind, &frame(0x89, b"two"), &frame(0x88, b"")].concat();
    pusher.write_all(&bytes).await.unwrap();
    soon(done).await.unwrap().unwrap();
    let said = said(&mut pusher).await;
    assert_eq!(said[..2], [(0x8a, b"one".to_vec()), (0x8a, b"two".to_vec())]);
}

#[tokio::test]
async fn damage_is_closed_with_1002() {
    let (_hub, mut pusher, done) = pushed(b"");
    let mut bytes = recorded()[..METADATA_END + 200].to_vec();
    // The second tag's inner frame claims another length than its outer header.
    let second = 684 - REQUEST_BYTES;
    bytes[second + 8 + 3] ^= 1;
    pusher.write_all(&bytes).await.unwrap();
    let error = soon(done).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Push(m7s::Violation::Form { .. })), "{error:?}");
    assert_eq!(code(&said(&mut pusher).await), 1002);
}

#[tokio::test]
async fn what_is_no_media_is_no_sign_of_life() {
    let silence = Duration::from_millis(200);
    let (_hub, mut pusher, done) = pushed_within(b"", Limits { silence, ..Limits::default() });
    pusher.write_all(recorded()).await.unwrap();
    // As much of it as fits, until the receiver has had enough.
    let noise = [frame(0x8a, b""), frame(0x81, b"text"), frame(0x82, b"")].concat().repeat(100);
    let talk = async { while pusher.write_all(&noise).await.is_ok() {} };
    let (ended, ()) = soon(async { tokio::join!(done, talk) }).await;
    assert!(matches!(ended, Ok(Err(Error::Silent { after })) if after == silence), "{ended:?}");
}

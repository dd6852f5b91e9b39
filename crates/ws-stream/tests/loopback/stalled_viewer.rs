//! A viewer that reads nothing costs nobody anything: memory is bounded, others go on, and it is dropped in the end.

use std::time::Duration;

use bytes::Bytes;
use sluicegate_ws_stream::Config;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

use crate::server::{Server, Way};
use crate::stream::{clip, step};
use crate::viewer::Viewer;

/// Large pictures, so that the kernel's buffers are soon full.
const PICTURE_BYTES: usize = 200_000;
const PICTURES: u32 = 400;

/// Resident memory in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4_096
}

/// A client that sends its request and never reads.
async fn silent_client(server: &Server, head: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut stream = socket.connect(server.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

fn upgrade(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stalled_viewers_leave_memory_flat_and_others_unharmed() {
    let ring = sluicegate_hub::Config { ring_bytes: 4 << 20, ..sluicegate_hub::Config::default() };
    let server = Server::start(ring, Config::default()).await;
    let mut well = Viewer::websocket(&server, "/live/x.flv").await;
    let mut stalled = Vec::new();
    for _ in 0..5 {
        stalled.push(silent_client(&server, &upgrade("/live/x.flv")).await);
    }
    server.until("x", |status| status.viewers.values().sum::<usize>() == 6).await;
    let mut pusher = server.publish(&Way::WebSocket("/live/x.flv?publish=1")).await;
    pusher.send(clip(1, PICTURE_BYTES)).await;
    stalled.push(silent_client(&server, "GET /live/x.flv HTTP/1.1\r\nHost: x\r\n\r\n").await);
    let mut early = 0;
    for number in 1..PICTURES {
        pusher.send(Bytes::from(step(number, 0, PICTURE_BYTES))).await;
        well.until(&format!("picture {number:08}")).await;
        well.bytes.clear();
        if number == 100 {
            early = resident();
        }
    }
    let growth = resident().saturating_sub(early);
    assert!(growth < 16 << 20, "{} pictures of 200 kB grew memory by {growth} bytes", PICTURES - 100);
    let status = server.hub.stream(&sluicegate_hub::StreamName::parse("x").unwrap()).unwrap();
    assert!(status.frames_in >= u64::from(2 * PICTURES));
}

#[tokio::test]
async fn a_stalled_viewer_is_dropped_in_the_end() {
    let config = Config { viewer_stall: Duration::from_secs(1), ..Config::default() };
    let server = Server::start(sluicegate_hub::Config::default(), config).await;
    let way = Way::WebSocket("/live/x.flv?publish=1");
    let mut pusher = server.publish(&way).await;
    let _stalled = silent_client(&server, &upgrade("/live/x.flv")).await;
    server.until("x", |status| status.viewers.len() == 1).await;
    let mut number = 0;
    pusher.send(clip(1, 1_000_000)).await;
    // Bytes enough to fill what the kernel takes, then time passes.
    while number < 30 {
        number += 1;
        pusher.send(step(number, 0, 1_000_000)).await;
    }
    server.until("x", |status| status.viewers.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_that_wakes_up_goes_on_at_a_key_frame() {
    let ring = sluicegate_hub::Config { ring_bytes: 1 << 20, ..sluicegate_hub::Config::default() };
    let server = Server::start(ring, Config::default()).await;
    let mut slow = Viewer::websocket(&server, "/live/x.flv").await;
    let mut well = Viewer::websocket(&server, "/live/x.flv").await;
    let mut pusher = server.publish(&Way::WebSocket("/live/x.flv?publish=1")).await;
    pusher.send(clip(1, 100_000)).await;
    for number in 1..300 {
        pusher.send(step(number, 0, 100_000)).await;
        well.until(&format!("picture {number:08}")).await;
        well.bytes.clear();
    }
    slow.until("picture 00000299").await;
    let numbers = slow.numbers();
    assert!(numbers.is_sorted());
    let jumps: Vec<_> = numbers.windows(2).filter(|pair| pair[1] != pair[0] + 1).map(|pair| pair[1]).collect();
    assert!(!jumps.is_empty() && jumps.iter().all(|number| number.is_multiple_of(crate::stream::GOP)), "{jumps:?}");
    let skipped = server.hub.stream(&sluicegate_hub::StreamName::parse("x").unwrap()).unwrap().batches_skipped;
    assert!(skipped > 0);
}

//! Viewers that read nothing leave the process's memory flat and others unharmed. A program of its own, since memory is
//! the process's.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    dead_code,
    reason = "a failed unwrap is a failed test; modules are shared"
)]

#[path = "loopback/server.rs"]
mod server;
#[path = "loopback/stream.rs"]
mod stream;
#[path = "loopback/viewer.rs"]
mod viewer;

use bytes::Bytes;
use sluicegate_ws_stream::Config;

use crate::server::{Server, Way, upgrade};
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stalled_viewers_leave_memory_flat_and_others_unharmed() {
    let ring = sluicegate_hub::Config { ring_bytes: 4 << 20, ..sluicegate_hub::Config::default() };
    let server = Server::start(ring, Config::default()).await;
    let mut well = Viewer::websocket(&server, "/live/x.flv").await;
    let mut stalled = Vec::new();
    for _ in 0..5 {
        stalled.push(server.silent_client(&upgrade("/live/x.flv")).await);
    }
    server.until("x", |status| status.viewers.values().sum::<usize>() == 6).await;
    let mut pusher = server.publish(&Way::WebSocket("/live/x.flv?publish=1")).await;
    pusher.send(clip(1, PICTURE_BYTES)).await;
    stalled.push(server.silent_client("GET /live/x.flv HTTP/1.1\r\nHost: x\r\n\r\n").await);
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

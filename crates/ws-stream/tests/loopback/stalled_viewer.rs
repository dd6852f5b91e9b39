//! A viewer that reads nothing is dropped in the end; one that reads late goes on at a key frame.

use std::time::Duration;

use sluicegate_ws_stream::Config;

use crate::server::{Server, Way, upgrade};
use crate::stream::{clip, step};
use crate::viewer::Viewer;

fn impatient() -> Config {
    Config { viewer_stall: Duration::from_secs(1), ..Config::default() }
}

/// Sends more than the kernel takes for a client that reads nothing, and waits for its end.
async fn is_dropped(server: &Server, head: &str) {
    let mut pusher = server.publish(&Way::WebSocket("/live/x.flv?publish=1")).await;
    pusher.send(clip(1, 1_000_000)).await;
    let _stalled = server.silent_client(head).await;
    server.until("x", |status| status.viewers.len() == 1).await;
    for number in 1..=30 {
        pusher.send(step(number, 0, 1_000_000)).await;
    }
    server.until("x", |status| status.viewers.is_empty()).await;
}

#[tokio::test]
async fn a_stalled_viewer_is_dropped_in_the_end() {
    let server = Server::start(sluicegate_hub::Config::default(), impatient()).await;
    is_dropped(&server, &upgrade("/live/x.flv")).await;
}

#[tokio::test]
async fn one_that_the_http_library_serves_too() {
    let server = Server::start_with(sluicegate_hub::Config::default(), impatient(), Vec::new(), None).await;
    is_dropped(&server, "GET /live/x.flv HTTP/1.1\r\nHost: x\r\n\r\n").await;
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

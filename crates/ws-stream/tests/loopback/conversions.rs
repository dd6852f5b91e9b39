//! A hundred viewers cost one conversion per batch and format.

use crate::server::{Server, Way};
use crate::stream::{GOP, clip};
use crate::viewer::Viewer;

/// One GOP, since a viewer that wakes late starts at the newest key frame.
const PICTURES: u32 = GOP;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_viewers_cost_one_conversion_per_batch_and_format() {
    let server = Server::new().await;
    let mut viewers = Vec::new();
    for number in 0..100 {
        let ending = if number % 2 == 0 { "flv" } else { "mp4" };
        viewers.push(Viewer::websocket(&server, &format!("/live/x.{ending}")).await);
    }
    server.until("x", |status| status.viewers.values().sum::<usize>() == 100).await;
    let mut pusher = server.publish(&Way::WebSocket("/live/x.flv?publish=1")).await;
    for part in clip(PICTURES, 2_000).chunks(1_000) {
        pusher.send(part.to_vec()).await;
    }
    for viewer in &mut viewers {
        viewer.until("picture 00000009").await;
        assert_eq!(viewer.numbers(), (0..PICTURES).collect::<Vec<_>>());
    }
    let outputs = server.service.outputs();
    assert_eq!(outputs.flv_websocket.conversions(), u64::from(PICTURES));
    assert_eq!(outputs.mp4_websocket.conversions(), u64::from(PICTURES));
    assert_eq!(outputs.flv.conversions() + outputs.mp4.conversions(), 0, "nobody watches these");
}

//! Every counter of the service moves when what it counts happens.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

use crate::server::{PATIENCE, Pusher, Server, Way, closed};
use crate::stream::clip;

/// Counters and gauges by name and labels, of all tests of this program.
static SEEN: LazyLock<Mutex<HashMap<String, Arc<AtomicU64>>>> = LazyLock::new(Mutex::default);

struct Everything;

impl Everything {
    fn cell(key: &Key) -> Arc<AtomicU64> {
        let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let name = format!("{}{{{}}}", key.name(), labels.join(","));
        Arc::clone(SEEN.lock().unwrap().entry(name).or_default())
    }
}

impl Recorder for Everything {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(Self::cell(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(Self::cell(key))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

fn seen(name: &str) -> u64 {
    SEEN.lock().unwrap().get(name).map_or(0, |cell| cell.load(Ordering::Relaxed))
}

async fn until_moved(name: &str) {
    let moving = async {
        while seen(name) == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, moving).await.unwrap_or_else(|_| panic!("{name} does not move"));
}

#[tokio::test]
async fn counters_move() {
    // Only this test installs a recorder; other tests of the program may move the counters as well.
    let _ = metrics::set_global_recorder(Everything);
    let server = Server::new().await;
    let _viewer = server.websocket("/live/x.flv").await;
    until_moved("sluicegate_ws_stream_viewers{}").await;
    assert_eq!(server.get("/live/a//b.flv").await.status(), 400);
    until_moved("sluicegate_ws_stream_refused_total{status=400}").await;
    let way = Way::WebSocket("/live/x.flv?publish=1");
    let mut pusher = server.publish(&way).await;
    pusher.send(clip(1, 100)).await;
    pusher.finish().await;
    until_moved("sluicegate_ws_stream_publishers_ended_total{reason=done}").await;
    let mut pusher = server.publish(&way).await;
    pusher.send(vec![0xFF; 100]).await;
    let Pusher::WebSocket(mut websocket) = pusher else { unreachable!() };
    closed(&mut websocket).await;
    until_moved("sluicegate_ws_stream_publishers_ended_total{reason=malformed}").await;
}

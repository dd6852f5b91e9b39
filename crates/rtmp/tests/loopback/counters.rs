//! Every counter of the crate moves when what it counts happens.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use sluicegate_testbed::until;

use crate::encoder::Script;
use crate::relays::relays;
use crate::stage::{Stage, name};
use sluicegate_hub::relay::{Direction, Retry, Spec};

/// Counters and gauges by name and labels, of all tests of this program.
static SEEN: LazyLock<Mutex<HashMap<String, Arc<AtomicU64>>>> = LazyLock::new(Mutex::default);

struct Everything;

impl Everything {
    fn cell(key: &Key) -> Arc<AtomicU64> {
        let labels: Vec<_> = key.labels().map(metrics::Label::value).collect();
        Arc::clone(SEEN.lock().unwrap().entry(format!("{} {}", key.name(), labels.join(","))).or_default())
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

async fn until_moved(name: &str) {
    until(name, || async {
        let seen = SEEN.lock().unwrap().get(name).map_or(0, |cell| cell.load(Ordering::Relaxed));
        (seen > 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn counters_move() {
    // Only this test installs a recorder; other tests of the program may move the counters as well.
    let _ = metrics::set_global_recorder(Everything);
    let stage = Stage::start().await;
    let player = Script::connect(&stage).await;
    until_moved("sluicegate_rtmp_connections ").await;
    drop(player);
    until_moved("sluicegate_rtmp_ended_total done").await;
    let mut rogue = Script::connect(&stage).await;
    rogue.send(&[0xc5; 64]).await;
    until_moved("sluicegate_rtmp_ended_total malformed").await;
    let _publisher = stage.publish("cams/hall");
    let relays = relays(&stage);
    let push = Spec::push(name("cams/hall"), stage.url("cams/copy"), Retry::Always);
    relays.push(push).unwrap();
    until_moved("sluicegate_rtmp_pushes_total ").await;
    let pull = Spec::push(name("cams/other"), stage.url("cams/hall"), Retry::Always);
    relays.push(Spec { direction: Direction::Pull, ..pull }).unwrap();
    until_moved("sluicegate_rtmp_pulls_total ").await;
}

//! Each counter moves by what its name says.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use metrics::{Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder};
use metrics::{SharedString, Unit};

use crate::client::{get, request, send};
use crate::stage::Stage;

/// Values by name and labels, written `name{label=value}`.
#[derive(Clone, Default)]
struct Book(Arc<Mutex<BTreeMap<String, f64>>>);

struct Entry(Book, String);

impl Entry {
    fn add(&self, by: f64) {
        *self.0.0.lock().unwrap().entry(self.1.clone()).or_default() += by;
    }
}

impl CounterFn for Entry {
    fn increment(&self, by: u64) {
        self.add(f64::from(u32::try_from(by).unwrap()));
    }
    fn absolute(&self, _: u64) {}
}

impl GaugeFn for Entry {
    fn increment(&self, by: f64) {
        self.add(by);
    }
    fn decrement(&self, by: f64) {
        self.add(-by);
    }
    fn set(&self, _: f64) {}
}

impl HistogramFn for Entry {
    fn record(&self, _: f64) {
        self.add(1.0);
    }
}

impl Book {
    fn entry(&self, key: &Key) -> Arc<Entry> {
        let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let name = key.name().trim_start_matches("sluicegate_http_proxy_").to_owned();
        let name = if labels.is_empty() { name } else { format!("{name}{{{}}}", labels.join(",")) };
        Arc::new(Entry(self.clone(), name))
    }

    fn value(&self, name: &str) -> f64 {
        self.0.lock().unwrap().get(name).copied().unwrap_or_default()
    }
}

impl Recorder for Book {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.entry(key))
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.entry(key))
    }
    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.entry(key))
    }
}

#[tokio::test]
async fn every_counter_moves() {
    let book = Book::default();
    let _recording = metrics::set_default_local_recorder(&book);
    let stage = Stage::new().await;

    let asked = request("POST", "web/echo").body(Body::from("12345")).unwrap();
    assert_eq!(send(stage.address, asked).await.unwrap().text().await, "12345");
    assert_eq!(get(stage.address, "other/").await.status(), 403);
    assert_eq!(get(stage.address, "dead/").await.status(), 502);
    let mut broken = get(stage.address, "web/broken").await;
    while broken.data().await.is_some() {}
    let mut left = get(stage.address, "web/fed").await;
    stage.device.feed(b"x").await;
    left.data().await.unwrap().unwrap();
    assert_eq!(book.value("requests_in_flight"), 1.0);
    drop(left);
    assert_eq!(stage.device.event().await, "fed dropped");

    for (name, value) in [
        ("requests_total", 5.0),
        ("requests_in_flight", 0.0),
        ("answer_seconds", 5.0),
        ("request_bytes_total", 5.0),
        ("responses_total{ending=dropped}", 1.0),
        ("responses_total{ending=truncated}", 1.0),
        ("responses_total{ending=complete}", 3.0),
        ("problems_total{code=not-allowed,end=site}", 1.0),
        ("problems_total{code=refused,end=site}", 1.0),
        ("site_requests_total", 4.0),
    ] {
        assert_eq!(book.value(name), value, "{name}");
    }
    assert!(book.value("response_bytes_total") > 15.0);
}

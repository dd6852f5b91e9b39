//! What goes wrong has a status, a problem document and a cause that tells our answers from the device's.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use sluicegate_http_proxy::{egress, ingress};

use crate::client::{Answer, get, request, send};
use crate::stage::{Setup, Stage};

async fn expect(answer: Answer, status: u16, code: &str, end: &str) -> String {
    assert_eq!(answer.status(), status);
    assert_eq!(answer.field("sluicegate-problem"), code);
    assert_eq!(answer.field("content-type"), "application/problem+json");
    let proxy_status = answer.field("proxy-status").to_owned();
    assert!(proxy_status.starts_with(&format!("sluicegate-{end}; error=")), "{proxy_status}");
    let text = answer.text().await;
    assert!(text.contains(&format!("\"status\":{status}")), "{text}");
    text
}

#[tokio::test]
async fn an_unknown_site_is_not_found() {
    let stage = Stage::new().await;
    let asked = http::Request::get("/proxy/nobody/web/x").body(Body::empty()).unwrap();
    let answer = send(stage.address, asked).await.unwrap();
    let text = expect(answer, 404, "unknown-site", "upstream").await;
    assert!(text.contains("nobody"), "{text}");
}

#[tokio::test]
async fn a_service_that_the_site_does_not_list_is_forbidden_by_the_site() {
    let stage = Stage::new().await;
    for service in ["other", "127.0.0.1", "control", "localhost"] {
        expect(get(stage.address, &format!("{service}/x")).await, 403, "not-allowed", "site").await;
    }
}

/// What is logged, as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_refusal_is_logged_at_the_site_but_not_each_of_many() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    let stage = Stage::new().await;
    for _ in 0..20 {
        assert_eq!(get(stage.address, "other/secret").await.status(), 403);
    }
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<_> = text.lines().filter(|line| line.contains("refused")).collect();
    let [line] = lines[..] else { panic!("one line in ten seconds, not {lines:#?}") };
    assert!(line.contains("WARN") && line.contains("service=\"other\"") && line.contains("/secret"), "{line}");
}

#[tokio::test]
async fn nothing_listening_is_a_bad_gateway_with_the_reason() {
    let stage = Stage::new().await;
    let text = expect(get(stage.address, "dead/").await, 502, "refused", "site").await;
    assert!(text.contains("refused"), "{text}");
    let services = vec![("lost", "http://no-such-host.invalid/".to_owned())];
    let stage = Stage::with(Setup { services, ..Setup::default() }).await;
    expect(get(stage.address, "lost/").await, 502, "resolve", "site").await;
}

#[tokio::test]
async fn a_device_that_does_not_answer_times_out() {
    let egress = egress::Config { answer_timeout: Duration::from_millis(200), ..egress::Config::default() };
    let stage = Stage::with(Setup { egress, ..Setup::default() }).await;
    let answer = get(stage.address, "web/never").await;
    expect(answer, 504, "answer-timeout", "site").await;
    assert_eq!(stage.device.event().await, "asked");
    assert_eq!(stage.device.event().await, "never dropped", "the device is not kept busy");
}

#[tokio::test]
async fn a_site_that_does_not_answer_times_out_at_the_upstream() {
    let ingress = ingress::Config { answer_timeout: Duration::from_millis(200), ..ingress::Config::default() };
    let stage = Stage::with(Setup { ingress, ..Setup::default() }).await;
    expect(get(stage.address, "web/never").await, 504, "answer-timeout", "upstream").await;
}

#[tokio::test]
async fn an_upload_that_halts_is_ended() {
    let ingress = ingress::Config { upload_silence: Duration::from_millis(200), ..ingress::Config::default() };
    let stage = Stage::with(Setup { ingress, ..Setup::default() }).await;
    let body = Body::from_stream(futures_util::stream::pending::<Result<bytes::Bytes, std::io::Error>>());
    let answer = send(stage.address, request("POST", "web/upload").body(body).unwrap()).await.unwrap();
    expect(answer, 408, "upload-silent", "upstream").await;
    assert_eq!(stage.device.event().await, "upload began");
    assert_eq!(stage.device.event().await, "upload broken");
}

#[tokio::test]
async fn a_base_path_cannot_be_left() {
    let stage = Stage::new().await;
    for path in ["base/../head", "base/x/%2e%2e/%2E%2e/head", "base/..%2fhead", "base/..%5chead"] {
        expect(get(stage.address, path).await, 403, "climbs", "site").await;
    }
}

#[tokio::test]
async fn a_request_in_circles_is_ended() {
    let stage = Stage::new().await;
    let via = ["1.1 sluicegate"; 8].join(", ");
    let asked = request("GET", "web/head").header("via", via).body(Body::empty()).unwrap();
    expect(send(stage.address, asked).await.unwrap(), 508, "loop", "upstream").await;
}

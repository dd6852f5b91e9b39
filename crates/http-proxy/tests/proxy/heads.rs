//! Methods, statuses and fields go through; what a proxy adds and removes is right.

use axum::body::Body;

use crate::client::{get, request, send};
use crate::stage::Stage;

#[tokio::test]
async fn every_method_and_status_goes_through() {
    let stage = Stage::new().await;
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "M-SEARCH"] {
        let asked = request(method, "web/echo").header("content-type", "text/x").body(Body::from("hello")).unwrap();
        let answer = send(stage.address, asked).await.unwrap();
        assert_eq!(answer.status(), 200, "{method}");
        assert_eq!(answer.field("x-method"), method);
        assert_eq!(answer.field("content-type"), "text/x");
        assert_eq!(answer.text().await, "hello", "{method}");
    }
    for status in [200, 201, 202, 206, 301, 400, 401, 404, 409, 418, 429, 500, 503, 599] {
        let answer = get(stage.address, &format!("web/echo?status={status}")).await;
        assert_eq!(answer.status(), status);
        assert_eq!(answer.field("sluicegate-problem"), "", "a device's {status} is no problem of ours");
    }
}

#[tokio::test]
async fn the_device_gets_path_and_fields_byte_for_byte_and_learns_who_asks() {
    let stage = Stage::new().await;
    let asked = request("GET", "web/head?a=%20b&c=/../d&e=%2F")
        .header("host", "public.example:8443")
        .header("x-one", "first")
        .header("x-one", "second")
        .header("authorization", "Basic eDp5")
        .header("x-forwarded-for", "6.6.6.6")
        .header("connection", "x-gone, keep-alive")
        .header("x-gone", "1")
        .header("keep-alive", "timeout=9")
        .header("sluicegate-site", "forged")
        .header("accept-encoding", "gzip")
        .body(Body::empty())
        .unwrap();
    let text = send(stage.address, asked).await.unwrap().text().await;
    let device = stage.device.address;
    for line in [
        "GET /head?a=%20b&c=/../d&e=%2F".to_owned(),
        format!("host: {device}"),
        "x-one: first".to_owned(),
        "x-one: second".to_owned(),
        "authorization: Basic eDp5".to_owned(),
        "accept-encoding: gzip".to_owned(),
        "x-forwarded-for: 127.0.0.1".to_owned(),
        "x-forwarded-proto: http".to_owned(),
        "x-forwarded-host: public.example:8443".to_owned(),
        "x-forwarded-prefix: /proxy/cam-7/web".to_owned(),
        "forwarded: for=127.0.0.1;host=\"public.example:8443\";proto=http".to_owned(),
        "via: 1.1 sluicegate".to_owned(),
        "via: 2.0 sluicegate".to_owned(),
    ] {
        assert!(text.lines().any(|seen| seen == line), "no line {line:?} in\n{text}");
    }
    for gone in ["x-gone", "keep-alive", "6.6.6.6", "sluicegate-site", "transfer-encoding", "content-length", "\nte:"] {
        assert!(!text.contains(gone), "{gone} in\n{text}");
    }
}

#[tokio::test]
async fn a_base_path_stands_in_front() {
    let stage = Stage::new().await;
    let text = get(stage.address, "base/head?x").await.text().await;
    assert!(text.starts_with("GET /base/head?x\n"), "{text}");
}

#[tokio::test]
async fn answers_are_sandboxed_and_cannot_speak_for_the_origin() {
    let stage = Stage::new().await;
    let path = "web/fields?content-security-policy=default-src+'self'&service-worker-allowed=/&alt-svc=clear\
                &strict-transport-security=max-age=9&connection=x-hop&x-hop=1&x-kept=1&sluicegate-problem=forged";
    let answer = get(stage.address, path).await;
    let policies: Vec<_> = answer.headers().get_all("content-security-policy").iter().collect();
    assert_eq!(policies, ["default-src 'self'", "sandbox allow-scripts allow-forms"]);
    for gone in ["service-worker-allowed", "alt-svc", "strict-transport-security", "x-hop", "sluicegate-problem"] {
        assert_eq!(answer.field(gone), "", "{gone}");
    }
    assert_eq!(answer.field("x-kept"), "1");
    let via: Vec<_> = answer.headers().get_all("via").iter().collect();
    assert_eq!(via, ["1.1 sluicegate", "2.0 sluicegate"]);
    let unknown = get(stage.address, "nothing/x").await;
    assert_eq!(unknown.field("content-security-policy"), "sandbox allow-scripts allow-forms");
}

#[tokio::test]
async fn split_cookies_are_one_field_at_the_device() {
    let stage = Stage::new().await;
    let asked = request("GET", "web/head").header("cookie", "a=1").header("cookie", "b=2");
    let text = send(stage.address, asked.body(Body::empty()).unwrap()).await.unwrap().text().await;
    assert!(text.contains("cookie: a=1; b=2\n"), "{text}");
}

#[tokio::test]
async fn max_forwards_ends_a_trace_here() {
    let stage = Stage::new().await;
    let asked = |method, left| {
        let request = request(method, "web/head").header("max-forwards", left);
        send(stage.address, request.body(Body::empty()).unwrap())
    };
    assert_eq!(asked("TRACE", "0").await.unwrap().status(), 405);
    assert_eq!(asked("OPTIONS", "0").await.unwrap().status(), 204);
    assert!(asked("OPTIONS", "3").await.unwrap().text().await.contains("max-forwards: 2\n"));
}

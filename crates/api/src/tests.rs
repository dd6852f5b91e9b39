//! The routes, asked without a socket.

use axum::body::Body;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use sluicegate_hub::{Config, Hub, Owner, Publish, StreamName, Viewer, ViewerPath, relay};
use tower::ServiceExt;

use super::*;

fn state() -> State {
    let hub = Hub::new(Config::default()).unwrap();
    State { hub, relays: Relays::new(), sites: Arc::default(), metrics: None, shutdown: Shutdown::new() }
}

async fn ask(state: &State, method: Method, path: &str, headers: &[(&str, &str)]) -> Response<Body> {
    let request = Request::builder().method(method).uri(path);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    router(state.clone()).oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

async fn get(state: &State, path: &str) -> (StatusCode, String) {
    let response = ask(state, Method::GET, path, &[]).await;
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn streams_are_listed_shown_and_cut() {
    let state = state();
    let name = StreamName::parse("cams/door-c7").unwrap();
    let _offer = state.hub.offer(&name, Owner::new("c7")).unwrap();
    let publish = Publish::by("test").owned_by(Owner::new("c7"));
    let publisher = state.hub.publish(&name, publish).unwrap();
    let (_, list) = get(&state, "/api/v1/streams").await;
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert_eq!(
        (&list[0]["name"], &list[0]["site"], &list[0]["state"]),
        (&"cams/door-c7".into(), &"c7".into(), &"live".into())
    );
    assert_eq!(get(&state, "/api/v1/streams/cams/door-c7").await.0, StatusCode::OK);
    assert_eq!(get(&state, "/api/v1/streams/cams/other").await.0, StatusCode::NOT_FOUND);
    assert_eq!(get(&state, "/api/v1/streams/cams//x").await.0, StatusCode::BAD_REQUEST);

    let foreign = [("host", "here"), ("origin", "https://evil.example")];
    let path = "/api/v1/streams/cams/door-c7";
    assert_eq!(ask(&state, Method::DELETE, path, &foreign).await.status(), StatusCode::FORBIDDEN);
    let own = [("host", "here"), ("origin", "http://here")];
    assert_eq!(ask(&state, Method::DELETE, path, &own).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(publisher.closed().await, sluicegate_hub::Reason::Cut);
}

#[tokio::test]
async fn a_stream_shows_its_variants() {
    let state = state();
    let name = |text: &str| StreamName::parse(text).unwrap();
    let _offers = ["cams/door-c7", "cams/door-c7:sub", "cams/yard-c7"]
        .map(|stream| state.hub.offer(&name(stream), Owner::new("c7")).unwrap());
    let (_, list) = get(&state, "/api/v1/streams").await;
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let variant = |name: &str| serde_json::json!({"name": name, "state": "offered", "bits_per_second": null});
    let variants = serde_json::json!([variant("cams/door-c7"), variant("cams/door-c7:sub")]);
    assert_eq!((&list[0]["variants"], &list[1]["variants"]), (&variants, &variants));
    assert_eq!((&list[2]["variants"], &list[2]["bits_per_second"]), (&serde_json::json!([]), &serde_json::Value::Null));
    let (_, one) = get(&state, "/api/v1/streams/cams/door-c7:sub").await;
    assert_eq!(serde_json::from_str::<serde_json::Value>(&one).unwrap()["variants"], variants);
}

#[tokio::test]
async fn viewers_are_listed_with_their_paths() {
    let state = state();
    let name = |text: &str| StreamName::parse(text).unwrap();
    let _publishers = ["a/b", "a/c"].map(|stream| state.hub.publish(&name(stream), Publish::by("test")).unwrap());
    let watch = |stream| state.hub.subscribe(&name(stream), Viewer::by("webrtc"));
    let viewers = [watch("a/b"), watch("a/b"), watch("a/c")];
    let round_trip = Some(std::time::Duration::from_millis(50));
    viewers[2].set_path(ViewerPath { estimate: Some(900_000), round_trip, lost: 64 });
    let list = async |path: &str| {
        let (status, list) = get(&state, path).await;
        assert_eq!(status, StatusCode::OK);
        serde_json::from_str::<Vec<serde_json::Value>>(&list).unwrap()
    };
    assert_eq!(list("/api/v1/viewers").await.len(), 3);
    assert!(list("/api/v1/viewers?stream=a/d").await.is_empty());
    let [one] = &list("/api/v1/viewers?stream=a/c").await[..] else { panic!("more than one") };
    assert_eq!((&one["stream"], &one["protocol"]), (&"a/c".into(), &"webrtc".into()));
    assert_eq!((&one["estimate_bps"], &one["rtt_ms"], &one["loss"]), (&900_000.into(), &50.0.into(), &0.25.into()));
    assert_eq!(list("/api/v1/viewers?stream=a/b").await[0]["rtt_ms"], serde_json::Value::Null);
}

#[tokio::test]
async fn sites_are_listed() {
    let state = state();
    let site = sluicegate_net::link::Site::new("c7", "1", "127.0.0.1:9".parse().unwrap());
    state.sites.insert(Arc::new(site));
    let (status, list) = get(&state, "/api/v1/sites").await;
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert_eq!((status, &list[0]["id"], &list[0]["rtt_ms"]), (StatusCode::OK, &"c7".into(), &serde_json::Value::Null));
    assert_eq!(get(&state, "/api/v1/sites/c7").await.0, StatusCode::OK);
    let (status, problem) = get(&state, "/api/v1/sites/c8").await;
    assert!(status == StatusCode::NOT_FOUND && problem.contains("c8 is not connected"));
}

#[tokio::test]
async fn every_path_of_the_document_is_served() {
    let state = state();
    let (_, text) = get(&state, "/api/openapi.json").await;
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 7);
    for path in paths.keys() {
        let (_, body) = get(&state, &path.replace("{id}", "x").replace("{name}", "x")).await;
        assert!(!body.contains("there is nothing at"), "{path}: {body}");
    }
}

#[tokio::test]
async fn the_page_has_all_files_that_it_names() {
    let state = state();
    let mut named = vec!["/".to_owned()];
    let mut seen = 0;
    while let Some(path) = named.get(seen).cloned() {
        let (status, text) = get(&state, &path).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        let files = text.split('"').filter(|part| part.starts_with("/page/")).map(ToOwned::to_owned);
        let new: Vec<_> = files.filter(|file| !named.contains(file)).collect();
        named.extend(new);
        seen += 1;
    }
    assert_eq!(seen, 9);
    let response = ask(&state, Method::GET, "/", &[]).await;
    let tag = response.headers()["etag"].to_str().unwrap().to_owned();
    assert!(response.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    let again = ask(&state, Method::GET, "/", &[("if-none-match", &tag)]).await;
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn health_and_readiness() {
    let state = state();
    assert_eq!(get(&state, "/healthz").await.0, StatusCode::OK);
    assert_eq!(get(&state, "/readyz").await.0, StatusCode::OK);
    state.shutdown.begin();
    assert_eq!(get(&state, "/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(get(&state, "/nothing").await.0, StatusCode::NOT_FOUND);
    assert_eq!(ask(&state, Method::PUT, "/healthz", &[]).await.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn each_area_has_its_rule() {
    let token = || Rule::Token("secret".into());
    let access = Access { api: token(), play: Rule::Open, publish: token(), proxy: token() };
    let layer = axum::middleware::from_fn(move |request, next| access.clone().check(request, next));
    let service = Router::new().fallback(|| async { "in" }).layer(layer);
    let status = async |method: Method, path: &str, bearer: &str| {
        let request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {bearer}"));
        service.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status()
    };
    for path in [
        "/api/v1/sites",
        "/rest-api/pull/find_all",
        "/metrics",
        "/publish?app=a&stream=b",
        "/live/a.flv?publish=1",
        "/proxy/a/b/",
    ] {
        assert_eq!(status(Method::GET, path, "wrong").await, StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(status(Method::GET, path, "secret").await, StatusCode::OK, "{path}");
    }
    assert_eq!(status(Method::POST, "/live/a.flv", "wrong").await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(Method::GET, "/live/a.flv", "wrong").await, StatusCode::OK);
    assert_eq!(status(Method::GET, "/api/v1/sites?token=secret", "").await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(Method::GET, "/healthz", "").await, StatusCode::OK);
}

/// Pushes until it is stopped.
struct Endless;

impl relay::Target for Endless {
    fn transfer(&self, _: relay::Spec, progress: relay::Progress) -> relay::Transfer {
        Box::pin(async move {
            progress.publishing();
            progress.stopped().cancelled().await;
            Ok(())
        })
    }
}

#[tokio::test]
async fn relays_are_begun_listed_and_ended() {
    let state = state();
    let target: Arc<dyn relay::Target> = Arc::new(Endless);
    state.relays.register(&["ws"], &target);
    let post = async |body: &str, headers: &[(&str, &str)]| {
        let request = Request::builder().method(Method::POST).uri("/api/v1/relays");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        router(state.clone()).oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap()
    };
    let push = r#"{"direction":"push","stream":"a/b","target":"ws://h/x","remote":"c","retry":2}"#;
    let response = post(push, &[]).await;
    assert_eq!(
        (response.status(), &response.headers()["location"]),
        (StatusCode::CREATED, &"/api/v1/relays/1".parse().unwrap())
    );
    let begun =
        state.relays.watch(1).unwrap().wait_for(|standing| standing.state == relay::State::Publishing).await.is_ok();
    let (_, list) = get(&state, "/api/v1/relays").await;
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert!(begun && list.as_array().unwrap().len() == 1, "{list}");
    for (key, value) in [("direction", "push"), ("protocol", "ws"), ("remote", "c"), ("state", "PUBLISHING")] {
        assert_eq!(list[0][key], value, "{key}");
    }
    assert_eq!((&list[0]["retry"], &list[0]["attempts"]), (&2.into(), &1.into()));
    assert_eq!(post(push, &[]).await.status(), StatusCode::CONFLICT);
    let foreign = [("host", "here"), ("origin", "https://evil.example")];
    assert_eq!(post(push, &foreign).await.status(), StatusCode::FORBIDDEN);
    for wrong in [
        "",
        "{}",
        r#"{"direction":"pull","stream":"a","target":"ws://h/x"}"#,
        r#"{"direction":"push","stream":"a","target":"rtmp://h/x"}"#,
        r#"{"direction":"push","stream":"a b","target":"ws://h/x"}"#,
        r#"{"direction":"push","stream":"a","target":"ws://h/x","retry":-2}"#,
        r#"{"direction":"push","stream":"a","target":"ws://h/x","colour":"red"}"#,
    ] {
        assert_eq!(post(wrong, &[]).await.status(), StatusCode::BAD_REQUEST, "{wrong}");
    }
    let path = "/api/v1/relays/1";
    assert_eq!(get(&state, path).await.0, StatusCode::OK);
    assert_eq!(ask(&state, Method::DELETE, path, &foreign).await.status(), StatusCode::FORBIDDEN);
    assert_eq!(ask(&state, Method::DELETE, path, &[]).await.status(), StatusCode::NO_CONTENT);
    state.relays.watch(1).unwrap().wait_for(|standing| standing.state.is_ended()).await.unwrap();
    assert!(get(&state, path).await.1.contains("STOPPED"));
    assert_eq!(ask(&state, Method::DELETE, path, &[]).await.status(), StatusCode::NO_CONTENT, "off the list");
    assert_eq!(ask(&state, Method::DELETE, path, &[]).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(get(&state, "/api/v1/relays/x").await.0, StatusCode::NOT_FOUND);
}

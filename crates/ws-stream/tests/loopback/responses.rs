//! HEAD, OPTIONS, content types, CORS, caching, and methods without a meaning.

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;

use crate::server::{Server, Way};
use crate::stream::clip;

#[tokio::test]
async fn heads_are_right_for_get_and_head() {
    heads_of(&Server::new().await).await;
    heads_of(&Server::without_hand_over().await).await;
}

async fn heads_of(server: &Server) {
    let mut pusher = server.publish(&Way::WebSocket("/live/x.flv?publish=1")).await;
    pusher.send(clip(3, 100)).await;
    server.until("x", |status| status.frames_in >= 8).await;
    for (path, content_type) in [("/live/x.flv", "video/x-flv"), ("/live/x.mp4", "video/mp4")] {
        for method in [Method::GET, Method::HEAD] {
            let response = server.request(method.clone(), path).await;
            assert_eq!(response.status(), 200, "{method} {path}");
            let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
            assert_eq!(header("content-type"), content_type);
            assert_eq!(header("cache-control"), "no-store");
            assert_eq!(header("access-control-allow-origin"), "*");
        }
    }
    let viewers = |status: &sluicegate_hub::StreamStatus| status.viewers.values().sum::<usize>();
    server.until("x", |status| viewers(status) == 0).await;
    assert_eq!(server.request(Method::HEAD, "/live/nobody.flv").await.status(), 404);
}

#[tokio::test]
async fn options_tells_what_there_is() {
    let server = Server::new().await;
    let response = server.request(Method::OPTIONS, "/live/x.flv").await;
    assert_eq!(response.status(), 204);
    assert_eq!(response.headers()["allow"], "GET, HEAD, POST, PUT, OPTIONS");
    assert_eq!(response.headers()["access-control-allow-methods"], "GET, HEAD, OPTIONS");
    assert_eq!(response.headers()["access-control-allow-origin"], "*");
}

#[tokio::test]
async fn other_methods_are_405() {
    let server = Server::new().await;
    for path in ["/live/x.flv", "/play?app=a&stream=b", "/publish?app=a&stream=b"] {
        let response = server.request(Method::DELETE, path).await;
        assert_eq!(response.status(), 405, "{path}");
        assert!(response.headers().contains_key("allow"));
    }
    assert_eq!(server.request(Method::POST, "/play?app=a&stream=b").await.status(), 405);
    assert_eq!(server.get("/publish?app=a&stream=b").await.status(), 426);
}

#[tokio::test]
async fn pages_of_other_origins_may_play_but_not_publish() {
    let server = Server::new().await;
    let request = |origin: String| {
        let request = Request::post("/live/x.flv").header("host", server.address.to_string()).header("origin", origin);
        request.body(Full::new(Bytes::from(clip(1, 100)))).unwrap()
    };
    assert_eq!(server.send(request("https://evil.example".into())).await.status(), 403);
    assert_eq!(server.send(request(format!("http://{}", server.address))).await.status(), 204);
}

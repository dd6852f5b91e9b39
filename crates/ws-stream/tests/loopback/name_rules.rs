//! Bad names and parameters get a JSON problem before any upgrade.

use http::Method;

use crate::server::Server;

#[tokio::test]
async fn bad_requests_are_refused_before_the_upgrade() {
    let server = Server::new().await;
    for path in [
        "/live/a//b.flv",
        "/live/..%2fx.flv",
        "/live/a%20b.flv",
        "/live/%ff.flv",
        "/live/1/2/3/4/5/6/7/8/9.mp4",
        "/play",
        "/play?app=live",
        "/play?stream=x",
        "/play?app=&stream=x",
        "/publish?app=li%20ve&stream=x",
        "/publish?app=live&stream=",
    ] {
        let refusal = server.try_websocket(path).await.unwrap_err();
        assert_eq!(refusal.status(), 400, "{path}");
        assert_eq!(refusal.headers()["content-type"], "application/problem+json", "{path}");
        let response = server.get(path).await;
        assert_eq!(response.status(), 400, "{path}");
    }
}

#[tokio::test]
async fn endings_that_we_do_not_serve_are_404() {
    let server = Server::new().await;
    for path in ["/live/x", "/live/x.m3u8", "/live/x.flv/"] {
        assert_eq!(server.get(path).await.status(), 404, "{path}");
    }
}

#[tokio::test]
async fn names_of_one_to_eight_segments_publish() {
    let server = Server::new().await;
    for name in ["x", "1/2/3/4/5/6/7/8", "cams/door-C7:sub"] {
        drop(server.websocket(&format!("/live/{name}.flv?publish=1")).await);
    }
    let refusal = server.try_websocket("/live/x.mp4?publish=1").await.unwrap_err();
    assert_eq!(refusal.status(), 415);
    assert_eq!(server.request(Method::POST, "/live/x.mp4").await.status(), 415);
}

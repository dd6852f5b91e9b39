//! Our own clients: a push into a server, and pulls from one, by WebSocket and HTTP.

use http::HeaderMap;
use sluicegate_hub::{Hub, Publish, Reason, StreamName, Subscriber};
use sluicegate_net::tls::ClientTls;
use sluicegate_net::ws;
use sluicegate_ws_stream::ingest::{self, Limits};
use sluicegate_ws_stream::{Error, client};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::server::{PATIENCE, Server, Way, quick};
use crate::stream::{clip, picture};
use crate::viewer::Viewer;

fn name() -> StreamName {
    StreamName::parse("x").unwrap()
}

fn url(server: &Server, scheme: &str, path: &str) -> Url {
    format!("{scheme}://{}{path}", server.address).parse().unwrap()
}

/// Waits for the picture with this number and its bytes.
async fn until(subscriber: &mut Subscriber, number: u32, bytes: usize) {
    let want = picture(number, bytes);
    let waiting = async { while subscriber.next().await.unwrap().frames.iter().all(|frame| frame.payload != want) {} };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap();
}

#[tokio::test]
async fn a_push_reaches_the_viewers_of_a_server_and_ends_with_its_stream() {
    let server = Server::new().await;
    let here = Hub::new(sluicegate_hub::Config::default()).unwrap();
    let subscriber = here.subscribe(&name(), sluicegate_hub::Viewer::by("push"));
    let publisher = here.publish(&name(), Publish::by("test")).unwrap();
    let target = url(&server, "ws", "/publish?app=live&stream=y");
    let tls = ClientTls::native().unwrap();
    let (websocket, _) = ws::connect(&target, HeaderMap::new(), &[], &tls, PATIENCE).await.unwrap();
    let push = tokio::spawn(client::push(subscriber, websocket, CancellationToken::new()));
    let mut viewer = Viewer::websocket(&server, "/live/live/y.flv").await;

    let (mut writer, reader) = tokio::io::duplex(1 << 20);
    let local = tokio::spawn(ingest::from_reader(reader, publisher, Limits::default()));
    tokio::io::AsyncWriteExt::write_all(&mut writer, &clip(10, 1_000)).await.unwrap();
    viewer.until("picture 00000009").await;
    assert_eq!(viewer.numbers(), (0..10).collect::<Vec<_>>());
    here.cut(&name());
    assert!(matches!(push.await.unwrap(), Ok(Reason::Cut)));
    assert!(matches!(local.await.unwrap(), Err(Error::Hub(_))));
    server.until("live/y", |status| status.publisher.is_none()).await;
}

#[tokio::test]
async fn pulls_by_websocket_and_http_give_the_same_frames() {
    let server = Server::new().await;
    let mut pusher = server.publish(&Way::WebSocket("/live/x.flv?publish=1")).await;
    pusher.send(clip(8, 2_000)).await;
    for (scheme, path) in [("ws", "/live/x.flv"), ("http", "/live/x.flv"), ("ws", "/play?app=x&stream=y")] {
        let here = Hub::new(sluicegate_hub::Config::default()).unwrap();
        let mut subscriber = here.subscribe(&name(), sluicegate_hub::Viewer::by("test"));
        let publisher = here.publish(&name(), Publish::by("pull")).unwrap();
        let (url, tls) = (url(&server, scheme, path), ClientTls::native().unwrap());
        let pull = tokio::spawn(async move { client::pull(&url, &tls, publisher, Limits::default()).await });
        if path.starts_with("/play") {
            let mut other = server.publish(&Way::WebSocket("/publish?app=x&stream=y")).await;
            other.send(clip(8, 2_000)).await;
            until(&mut subscriber, 7, 2_000).await;
        } else {
            until(&mut subscriber, 7, 2_000).await;
        }
        pull.abort();
    }
}

#[tokio::test]
async fn a_pull_of_a_stream_that_is_not_there_says_so() {
    let server = Server::start(sluicegate_hub::Config::default(), quick()).await;
    let here = Hub::new(sluicegate_hub::Config::default()).unwrap();
    let pull = async |scheme: &str| {
        let publisher = here.publish(&name(), Publish::by("pull")).unwrap();
        client::pull(
            &url(&server, scheme, "/live/nobody.flv"),
            &ClientTls::native().unwrap(),
            publisher,
            Limits::default(),
        )
        .await
    };
    assert!(matches!(pull("http").await, Err(Error::Refused { status }) if status == 404));
    assert!(matches!(pull("ws").await, Err(Error::Closed { code: 4_404, .. })));
    assert!(matches!(pull("ftp").await, Err(Error::Scheme { .. })));
}

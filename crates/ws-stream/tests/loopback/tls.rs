//! The same over TLS: the writers drive encrypted sockets, too.

use http::HeaderMap;
use sluicegate_hub::{Hub, Publish, StreamName};
use sluicegate_net::tls::ClientTls;
use sluicegate_net::ws;
use sluicegate_ws_stream::client;
use sluicegate_ws_stream::ingest::Limits;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::server::{PATIENCE, Server};
use crate::stream::{clip, picture};

const PICTURES: u32 = 9;
/// More than a TLS session holds back before it blocks.
const PICTURE_BYTES: usize = 300_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn viewers_and_publishers_over_tls() {
    let server = Server::with_tls().await;
    let url = |scheme: &str, path: &str| -> Url {
        format!("{scheme}://localhost:{}{path}", server.address.port()).parse().unwrap()
    };
    let tls = ClientTls::insecure().unwrap();

    let source = Hub::new(sluicegate_hub::Config::default()).unwrap();
    let name = StreamName::parse("x").unwrap();
    let subscriber = source.subscribe(&name, sluicegate_hub::Viewer::by("push"));
    let publish = url("wss", "/live/x.flv?publish=1");
    let (websocket, _) = ws::connect(&publish, HeaderMap::new(), &[], &tls, PATIENCE).await.unwrap();
    let push = tokio::spawn(client::push(subscriber, websocket, CancellationToken::new()));

    let mut viewers = Vec::new();
    for scheme in ["wss", "https"] {
        let here = Hub::new(sluicegate_hub::Config::default()).unwrap();
        let subscriber = here.subscribe(&name, sluicegate_hub::Viewer::by("test"));
        let publisher = here.publish(&name, Publish::by("pull")).unwrap();
        let (url, tls) = (url(scheme, "/live/x.flv"), tls.clone());
        let pull = tokio::spawn(async move { client::pull(&url, &tls, publisher, Limits::default()).await });
        viewers.push((subscriber, pull));
    }
    server.until("x", |status| status.viewers.len() == 2).await;

    let publisher = source.publish(&name, Publish::by("test")).unwrap();
    let mut reader = sluicegate_flv::Reader::new(sluicegate_flv::Limits::default());
    reader.handle_bytes(clip(PICTURES, PICTURE_BYTES).into());
    while let Some(frame) = reader.poll_frame().unwrap() {
        publisher.push(frame).unwrap();
    }
    for (mut subscriber, pull) in viewers {
        let last = picture(PICTURES - 1, PICTURE_BYTES);
        let watching =
            async { while subscriber.next().await.unwrap().frames.iter().all(|frame| frame.payload != last) {} };
        tokio::time::timeout(PATIENCE, watching).await.unwrap();
        pull.abort();
    }
    push.abort();
}

//! A site's connections as its links come and go.

use std::time::Duration;

use bytes::Bytes;
use sluicegate_hub::Publisher;
use sluicegate_net::listener::Socket;
use sluicegate_net::ws::WebSocket;
use tokio::time::sleep;

use super::*;
use crate::PortFuture;

/// Takes nothing.
struct Nothing;

impl Intake for Nothing {
    fn ingest(&self, _: WebSocket, _: Publisher) -> PortFuture {
        Box::pin(std::future::pending())
    }

    fn ingest_m7s(&self, _: Socket, _: Bytes, _: Publisher) -> PortFuture {
        Box::pin(std::future::pending())
    }
}

/// It comes in any 10 ms of the last 100 before its site would be forgotten, or after that.
#[tokio::test(start_paused = true)]
async fn a_connection_that_comes_last_is_no_stranger() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = Arc::new(Tokens::open(folder.path()).unwrap());
    let hub = Hub::new(sluicegate_hub::Config::default()).unwrap();
    let sites = Sites::new(hub, Arc::default(), tokens, Arc::new(Nothing), Config::default());
    let peer = SocketAddr::from(([127, 0, 0, 1], 1));
    for step in 0..12 {
        let caller = Caller { site: format!("site-{step}"), instance: "1".to_owned(), token: None };
        let first = Arc::new(m7s::stand_in::refusing().await);
        sites.0.join(&caller, peer, &first).unwrap();
        first.ended().await;
        sleep(LINGER - Duration::from_millis(50) + Duration::from_millis(10 * step)).await;
        let last = Arc::new(m7s::stand_in::refusing().await);
        let joined = sites.0.join(&caller, peer, &last);
        sleep(Duration::from_secs(1)).await;
        let known = joined.is_some_and(|site| sites.0.directory.lists(&site));
        assert!(known || last.has_ended(), "{step}");
        sleep(LINGER * 2).await;
    }
}

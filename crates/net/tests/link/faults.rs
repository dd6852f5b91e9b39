//! A network that says nothing: both ends notice by themselves.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::stage::{Host, PATIENCE, Site, quick};

/// Forwards connections to `target` until it is frozen; then it holds them open and forwards nothing.
async fn freezer(target: String) -> (String, watch::Sender<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (freeze, frozen) = watch::channel(false);
    tokio::spawn(async move {
        while let Ok((from, _)) = listener.accept().await {
            let to = TcpStream::connect(&target).await.unwrap();
            let ((from_read, from_write), (to_read, to_write)) = (from.into_split(), to.into_split());
            tokio::spawn(forward(from_read, to_write, frozen.clone()));
            tokio::spawn(forward(to_read, from_write, frozen.clone()));
        }
    });
    (address, freeze)
}

async fn forward(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut frozen: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        if frozen.wait_for(|frozen| !frozen).await.is_err() {
            return;
        }
        tokio::select! {
            read = from.read(&mut buffer) => match read {
                Ok(length @ 1..) => if to.write_all(&buffer[..length]).await.is_err() { return },
                _ => return,
            },
            _ = frozen.changed() => {}
        }
    }
}

#[tokio::test]
async fn a_frozen_link_is_noticed_at_both_ends_and_dialled_again() {
    let host = Host::start(quick()).await;
    let (address, freeze) = freezer(host.address.clone()).await;
    let router = Router::new().route("/small", get(|| async { "small" }));
    let mut site = Site::dial(&address, "", quick(), 1, router);
    host.joined(1).await;
    assert_eq!(host.text("/small").await, "small");
    let connection = Arc::clone(&host.pool.connections()[0]);

    freeze.send_replace(true);
    tokio::time::timeout(PATIENCE, connection.ended()).await.unwrap();
    site.until(|state| state.connected == 0).await;

    freeze.send_replace(false);
    host.joined(2).await;
    assert_eq!(host.text("/small").await, "small");
}

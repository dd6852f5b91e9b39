//! The register connection of an original upstream under load: two writers interleave, and a receiver must fail.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::io::{AsyncWriteExt, duplex};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

/// It begins with the last byte of a message; then come two headers and two payloads, and more of the kind.
const INTERLEAVED: &[u8] = include_bytes!("../testdata/concurrent-writers-corruption.upstream-to-downstream.bin");

#[tokio::test]
async fn no_message_comes_out_of_interleaved_frames() {
    for cut in [1, 7, INTERLEAVED.len()] {
        let (mut upstream, site) = duplex(64 << 10);
        let mut site = WebSocketStream::from_raw_socket(site, Role::Client, None).await;
        for chunk in INTERLEAVED[1..].chunks(cut) {
            upstream.write_all(chunk).await.unwrap();
        }
        let first = tokio::time::timeout(Duration::from_secs(20), site.next()).await.unwrap();
        assert!(matches!(first, Some(Err(_))), "cut at {cut}: {first:?}");
    }
}

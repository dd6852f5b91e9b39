//! Big bodies flow at the reader's pace: what lies between device and client stays small.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use bytes::Bytes;

use crate::client::{get, request, send};
use crate::stage::Stage;

static PIECE: [u8; 65_536] = [b'x'; 65_536];
const TOTAL: u64 = 192 << 20;
/// The windows and socket buffers of four hops; far below the bodies. Loopback sockets alone hold several MiB a hop.
const IN_FLIGHT: u64 = 40 << 20;

/// A body whose pieces are counted as they are asked for.
fn made_when_asked(total: u64) -> (Arc<AtomicU64>, Body) {
    let made = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&made);
    let mut left = total / PIECE.len() as u64;
    let pieces = std::iter::from_fn(move || {
        left = left.checked_sub(1)?;
        count.fetch_add(PIECE.len() as u64, Ordering::Relaxed);
        Some(Ok::<_, std::io::Error>(Bytes::from_static(&PIECE)))
    });
    (made, Body::from_stream(futures_util::stream::iter(pieces)))
}

#[tokio::test]
async fn a_download_is_made_as_it_is_read() {
    let stage = Stage::new().await;
    let mut answer = get(stage.address, &format!("web/download?bytes={TOTAL}")).await;
    let mut read = 0;
    let mut widest = 0;
    while let Some(piece) = answer.data().await {
        read += piece.unwrap().len() as u64;
        widest = widest.max(stage.device.made() - read);
    }
    assert_eq!(read, TOTAL);
    assert!(widest < IN_FLIGHT, "{widest} bytes were on their way");
}

#[tokio::test]
async fn an_upload_is_made_as_it_is_taken() {
    let stage = Stage::new().await;
    let (made, body) = made_when_asked(TOTAL);
    let asked = request("PUT", "web/upload").body(body).unwrap();
    let answer = send(stage.address, asked);
    tokio::pin!(answer);
    let mut widest = 0;
    let answer = loop {
        tokio::select! {
            answer = &mut answer => break answer.unwrap(),
            () = tokio::task::yield_now() => {
                let taken = stage.device.taken();
                widest = widest.max(made.load(Ordering::Relaxed).saturating_sub(taken));
            }
        }
    };
    assert_eq!(answer.text().await, TOTAL.to_string());
    assert!(widest < IN_FLIGHT, "{widest} bytes were on their way");
}

#[tokio::test]
async fn a_device_that_does_not_take_holds_the_sender_back() {
    let stage = Stage::new().await;
    let total = 64 << 20;
    let (made, body) = made_when_asked(total);
    let asked = request("PUT", "web/upload-slow").body(body).unwrap();
    let address = stage.address;
    let answer = tokio::spawn(async move { send(address, asked).await.unwrap().text().await });
    // The device takes piece by piece; what was made beyond what it took must never grow past the windows.
    let mut widest = 0;
    while !answer.is_finished() {
        stage.device.allow_pieces(1);
        tokio::task::yield_now().await;
        widest = widest.max(made.load(Ordering::Relaxed).saturating_sub(stage.device.taken()));
    }
    assert_eq!(answer.await.unwrap(), total.to_string());
    assert!(widest < IN_FLIGHT, "{widest} bytes were on their way");
}

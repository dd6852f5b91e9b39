//! Big bodies flow at the reader's pace: what lies between device and client stays small.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use bytes::Bytes;

use crate::client::{get, request, send};
use crate::stage::Stage;

const TOTAL: u64 = 192 << 20;
/// The windows and socket buffers of four hops; far below the bodies. Loopback sockets alone hold several MiB a hop.
const IN_FLIGHT: u64 = 40 << 20;

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
    let made = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&made);
    let mut left = TOTAL / 65_536;
    let stream = futures_util::stream::poll_fn(move |_| {
        if left == 0 {
            return std::task::Poll::Ready(None);
        }
        left -= 1;
        count.fetch_add(65_536, Ordering::Relaxed);
        std::task::Poll::Ready(Some(Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 65_536]))))
    });
    let asked = request("PUT", "web/upload").body(Body::from_stream(stream)).unwrap();
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
    let made = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&made);
    let total = 64_u64 << 20;
    let mut left = total / 65_536;
    let stream = futures_util::stream::poll_fn(move |_| {
        if left == 0 {
            return std::task::Poll::Ready(None);
        }
        left -= 1;
        count.fetch_add(65_536, Ordering::Relaxed);
        std::task::Poll::Ready(Some(Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 65_536]))))
    });
    let asked = request("PUT", "web/upload-slow").body(Body::from_stream(stream)).unwrap();
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

//! A reader that shuts its window loses its answer; a silent source does not.

use std::time::Duration;

use sluicegate_http_proxy::ingress;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::get;
use crate::stage::{Setup, Stage};

const STALL: Duration = Duration::from_millis(300);

async fn stage() -> Stage {
    Stage::with(Setup { ingress: ingress::Config { stall: STALL, ..ingress::Config::default() }, ..Setup::default() })
        .await
}

#[tokio::test]
async fn a_reader_that_does_not_read_is_given_up_at_the_device() {
    let stage = stage().await;
    static FLOOD: [u8; 1 << 20] = [b'x'; 1 << 20];
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    stream.write_all(b"GET /proxy/cam-7/web/fed HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    // Nobody reads: the device can feed until all buffers on the way are full, and then loses its reader.
    while stage.device.feed(&FLOOD).await {}
    assert_eq!(stage.device.event().await, "fed dropped");
    drop(stream);
    // Others of the site were never touched.
    assert_eq!(get(stage.address, "web/head").await.status(), 200);
}

#[tokio::test]
async fn a_silent_device_keeps_its_reader() {
    let stage = stage().await;
    let mut answer = get(stage.address, "web/fed").await;
    stage.device.feed(b"first").await;
    assert_eq!(answer.data().await.unwrap().unwrap(), "first");
    // The device is silent for longer than a reader may stall. This wait is the behaviour, not a synchronisation.
    let silent = tokio::time::timeout(STALL * 4, answer.data()).await;
    assert!(silent.is_err(), "nothing may end the answer");
    stage.device.feed(b"second").await;
    assert_eq!(answer.data().await.unwrap().unwrap(), "second");
}

#[tokio::test]
async fn a_slow_reader_that_goes_on_is_not_taken_for_a_dead_one() {
    let stage = stage().await;
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    let total = 8 << 20;
    let head = format!(
        "GET /proxy/cam-7/web/download?bytes={total}&length=1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut read = 0;
    let mut piece = vec![0; 128 << 10];
    // A pace, not a synchronisation: some 2.5 MB/s, so that the answer takes ten times as long as a stall may.
    let mut pace = tokio::time::interval(STALL / 6);
    loop {
        pace.tick().await;
        let count = stream.read(&mut piece).await.unwrap();
        if count == 0 {
            break;
        }
        read += count;
    }
    assert!(read > total, "{read}");
}

//! A thousand requests at once through the tunnel: each gets its own answer.

use sluicegate_testbed::api;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::device::Device;
use crate::stage::{SITE, Site, Upstream};

const REQUESTS: usize = 1_000;

/// Sends a body to the device's echo and gives what comes back, and how the connection ended.
async fn echo(address: String, body: &[u8]) -> (Vec<u8>, std::io::Result<()>) {
    let mut answer = Vec::new();
    let done = exchange(address, body, &mut answer).await;
    (answer, done)
}

async fn exchange(address: String, body: &[u8], answer: &mut Vec<u8>) -> std::io::Result<()> {
    let mut socket = TcpStream::connect(&address).await?;
    let length = body.len();
    let head = format!("POST /proxy/{SITE}/web/echo HTTP/1.0\r\nHost: {address}\r\nContent-Length: {length}\r\n\r\n");
    socket.write_all(head.as_bytes()).await?;
    socket.write_all(body).await?;
    socket.read_to_end(answer).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_at_once_none_wrong_none_lost() {
    sluicegate_launch::raise_descriptor_limit();
    let (upstream, device) = (Upstream::start().await, Device::start().await);
    let _site = Site::dial(&upstream, &["--service", &format!("web={}", device.url())]);
    api::until_site(&upstream.address, SITE).await;
    let mut asked = JoinSet::new();
    for number in 0..REQUESTS {
        // No two bodies are alike, in content or, mostly, in length.
        let body: Vec<u8> = format!("{number}:").into_bytes().into_iter().cycle().take(1 + number * 17).collect();
        let address = upstream.address.clone();
        asked.spawn(async move {
            let (answer, done) = echo(address, &body).await;
            let head = String::from_utf8_lossy(answer.get(..64).unwrap_or(&answer)).into_owned();
            assert!(done.is_ok(), "{number}: {done:?} after {head:?}");
            assert!(head.starts_with("HTTP/1.0 200") || head.starts_with("HTTP/1.1 200"), "{number}: {head}");
            assert!(answer.ends_with(&body), "request {number} got another answer");
        });
    }
    let all = async {
        while let Some(done) = asked.join_next().await {
            done.unwrap()
        }
    };
    sluicegate_testbed::soon("all answers", all).await;
}

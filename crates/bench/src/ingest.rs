//! What a publisher costs the server, by protocol: many at once, each with the measured stream, nobody watching.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::client::Client;
use crate::error::{Doing, Error};
use crate::fanout::{self, By};
use crate::process::Process;
use crate::publisher::{PICTURES_PER_SECOND, Sound, Tags};
use crate::report::{line, row};
use crate::rtmp;
use crate::rtsp::{self, Packets};

/// Until all publish and the server's buffers of them are full.
const SETTLE: Duration = Duration::from_secs(5);
/// Bits of a stream in a second, less what differs from one container to another.
const BITS: f64 = 2.6e6;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Publishers at once.
    #[arg(long, default_value_t = 100)]
    streams: usize,
    /// Players at once of one stream, for each protocol.
    #[arg(long, default_value_t = 500)]
    viewers: usize,
    /// Seconds that are measured, for each row.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

impl Default for Arguments {
    fn default() -> Self {
        Self { streams: 100, viewers: 500, seconds: 10 }
    }
}

/// Players of RTSP and RTMP beside those of WS-FLV, then publishers.
pub(crate) async fn run(arguments: &Arguments) -> Result<(), Error> {
    fanout::compare(arguments.viewers, arguments.seconds).await?;
    publishers(arguments).await
}

/// Publishers by each protocol, and by HTTP-FLV for comparison.
pub(crate) async fn publishers(arguments: &Arguments) -> Result<(), Error> {
    let Arguments { streams, seconds, .. } = *arguments;
    line(&format!("# publishers: {streams} streams of 2.67 Mbit/s on loopback, {seconds} s each"));
    for (name, by) in [("HTTP-FLV", By::Http), ("RTMP", By::Rtmp), ("RTSP", By::Rtsp)] {
        let (cpu, memory) = measure(by, streams, seconds).await?;
        row(&format!("{name}: server CPU per stream"), cpu, "ms/s", None);
        row(&format!("{name}: memory per stream, 2 s of it buffered"), memory, "KiB", None);
    }
    Ok(())
}

/// Milliseconds of CPU a second, and KiB, of one stream.
async fn measure(by: By, streams: usize, seconds: u64) -> Result<(f64, f64), Error> {
    let server = fanout::server().await?;
    let idle = server.usage()?;
    let pieces = Arc::new(pieces(by, SETTLE.as_secs() + seconds + 5));
    let mut publishing = JoinSet::new();
    for number in 0..streams {
        let (address, opening) = opening(by, &server, number);
        publishing.spawn(publish(address.to_owned(), opening, Arc::clone(&pieces)));
        // Their pictures do not come at the same time.
        tokio::time::sleep(Duration::from_millis(7)).await;
    }
    tokio::time::sleep(SETTLE).await;
    let (before, began) = (server.usage()?, received(&server).await?);
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let (after, ended) = (server.usage()?, received(&server).await?);
    if let Some(Ok(Err(error))) = publishing.try_join_next() {
        return Err(error);
    }
    let (got, expected) = ((ended - began) * 8.0, BITS * (streams as u64 * seconds) as f64);
    if got < 0.95 * expected {
        return Err(Error::Answer(format!("the server has got {got:.0} bits instead of {expected:.0}")));
    }
    let cpu = (after.cpu - before.cpu) * 1e3 / (streams as u64 * seconds) as f64;
    Ok((cpu, (after.resident - idle.resident) / streams as f64))
}

/// Bytes of all streams so far, as the server counts them.
async fn received(server: &Process) -> Result<f64, Error> {
    let answer = Client::connect(&server.address).await?.ask("/api/v1/streams", b"").await?;
    let streams: Vec<serde_json::Value> =
        serde_json::from_slice(&answer.body).map_err(|error| Error::Answer(error.to_string()))?;
    Ok(streams.iter().filter_map(|stream| stream.get("bytes_in")?.as_f64()).sum())
}

/// What a publisher says first, and to whom.
fn opening(by: By, server: &Process, number: usize) -> (&str, Vec<u8>) {
    let path = format!("bench/{number}");
    match by {
        By::Rtmp => (server.rtmp.as_deref().unwrap_or_default(), rtmp::announcement(&path)),
        By::Rtsp | By::RtspApart => {
            let address = server.rtsp.as_deref().unwrap_or_default();
            (address, rtsp::announcement(address, &path))
        }
        By::Http | By::WebSocket => {
            let head = "Content-Type: video/x-flv\r\nTransfer-Encoding: chunked\r\n\r\n";
            let address = server.address.as_str();
            (address, format!("POST /live/{path}.flv HTTP/1.1\r\nHost: {address}\r\n{head}").into_bytes())
        }
    }
}

/// The stream in a protocol's own frame, a picture with its sound a piece; they are the same for all publishers.
fn pieces(by: By, seconds: u64) -> Vec<Vec<u8>> {
    let (mut tags, mut packets) = (Tags::new(Sound::Aac), Packets::default());
    let start = tags.start();
    let count = usize::try_from(seconds * PICTURES_PER_SECOND).unwrap_or_default();
    let flv = std::iter::once(start).chain(std::iter::repeat_with(move || tags.next())).take(count);
    match by {
        By::Http | By::WebSocket => {
            flv.map(|flv| [format!("{:x}\r\n", flv.len()).as_bytes(), &flv, b"\r\n"].concat()).collect()
        }
        By::Rtmp => flv.map(|flv| rtmp::messages(&flv)).collect(),
        By::Rtsp | By::RtspApart => flv.skip(1).map(|flv| packets.of_tags(&flv)).collect(),
    }
}

async fn publish(address: String, opening: Vec<u8>, pieces: Arc<Vec<Vec<u8>>>) -> Result<(), Error> {
    let mut socket = TcpStream::connect(address).await.doing("connecting a publisher")?;
    socket.set_nodelay(true).doing("connecting a publisher")?;
    socket.write_all(&opening).await.doing("asking to publish")?;
    let mut ticks = tokio::time::interval(Duration::from_millis(1_000 / PICTURES_PER_SECOND));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for piece in pieces.iter() {
        ticks.tick().await;
        socket.write_all(piece).await.doing("publishing")?;
    }
    Ok(())
}

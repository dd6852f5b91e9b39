//! One stream to many viewers, in each output format, beside the floor.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::error::{Doing, Error};
use crate::process::Process;
use crate::publisher::{Clock, publish};
use crate::report::{line, percentile, row};
use crate::rtmp;
use crate::rtsp;
use crate::viewer::{Seen, connect};

const STREAM: &str = "/live/bench/stream.flv";
/// The headers that ask for a WebSocket.
pub(crate) const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const BITS_PER_GBIT: f64 = 1e9;
/// Viewers join and the first key frame passes before anything is counted.
const SETTLE: Duration = Duration::from_secs(3);

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Viewers at once.
    #[arg(long, default_value_t = 500)]
    viewers: usize,
    /// Seconds that are measured, for each format.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

impl Default for Arguments {
    fn default() -> Self {
        Self { viewers: 500, seconds: 10 }
    }
}

/// How viewers ask for the stream.
#[derive(Debug, Clone, Copy)]
pub(crate) enum By {
    Http,
    WebSocket,
    Rtmp,
    Rtsp,
    /// On other channels than most clients ask for.
    RtspApart,
}

/// A format: what it is called, what is asked for, and how.
type Row = (&'static str, &'static str, By);
const HTTP_FLV: Row = ("HTTP-FLV", "/live/bench/stream.flv", By::Http);
const WS_FLV: Row = ("WS-FLV", "/live/bench/stream.flv", By::WebSocket);
const RTMP: Row = ("RTMP", "bench/stream", By::Rtmp);
const RTSP: Row = ("RTSP by TCP", "bench/stream", By::Rtsp);
const RTSP_APART: Row = ("RTSP on other channels", "bench/stream", By::RtspApart);
const WS_MP4: Row = ("fragmented MP4 over WebSocket", "/live/bench/stream.mp4", By::WebSocket);

/// What one run measured.
struct Measured {
    cpu_per_gbit: f64,
    kib_per_viewer: f64,
    p50: f64,
    p95: f64,
}

/// Measures the floor and every format with many viewers, then latency with one.
pub(crate) async fn run(arguments: &Arguments) -> Result<(), Error> {
    let Arguments { viewers, seconds } = *arguments;
    many(&[HTTP_FLV, WS_FLV, RTMP, RTSP, WS_MP4], viewers, seconds).await?;
    for (name, path, by) in [HTTP_FLV, RTMP, RTSP] {
        let alone = format(path, by, 1, seconds).await?;
        row(&format!("{name}, one viewer: added latency p50"), alone.p50, "ms", Some(0.5));
    }
    Ok(())
}

/// Players by RTMP and RTSP beside those by WS-FLV.
pub(crate) async fn compare(viewers: usize, seconds: u64) -> Result<(), Error> {
    let formats = [WS_FLV, RTMP, RTSP, RTSP_APART];
    let [flv, rtmp, rtsp, apart] = many(&formats, viewers, seconds).await?[..] else { return Ok(()) };
    // Below 15 % differences are noise.
    row("RTMP beside WS-FLV: CPU per Gbit", rtmp / flv, "times", Some(1.15));
    row("RTSP beside WS-FLV: CPU per Gbit", rtsp / flv, "times", None);
    row("RTSP on other channels beside WS-FLV: CPU per Gbit", apart / flv, "times", None);
    Ok(())
}

/// Many viewers by each format, and the floor. Gives the CPU time per Gbit of each.
async fn many(formats: &[Row], viewers: usize, seconds: u64) -> Result<Vec<f64>, Error> {
    line(&format!("# fan-out: one stream of 2.67 Mbit/s to {viewers} viewers on loopback, {seconds} s each"));
    let floor = floor(viewers, seconds).await?;
    row("floor, bare send: server CPU per Gbit", floor, "s", None);
    let mut costs = Vec::new();
    for (name, path, by) in formats {
        let measured = format(path, *by, viewers, seconds).await?;
        let aim = if matches!(by, By::Rtsp | By::RtspApart) { 0.1 } else { round(1.2 * floor) };
        row(&format!("{name}: server CPU per Gbit"), measured.cpu_per_gbit, "s", Some(aim));
        row(&format!("{name}: memory per viewer"), measured.kib_per_viewer, "KiB", Some(16.0));
        row(&format!("{name}: added latency p50"), measured.p50, "ms", Some(10.0));
        row(&format!("{name}: added latency p95"), measured.p95, "ms", Some(25.0));
        costs.push(measured.cpu_per_gbit);
    }
    Ok(costs)
}

fn round(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

async fn floor(viewers: usize, seconds: u64) -> Result<f64, Error> {
    let (count, time) = (viewers.to_string(), (seconds + SETTLE.as_secs() + 2).to_string());
    let server = Process::listening("sluicegate-bench", &["floor", "--viewers", &count, "--seconds", &time]).await?;
    let request = "GET / HTTP/1.1\r\n\r\n";
    Ok(measure(&server, &server.address, request.as_bytes(), viewers, seconds, &Clock::default()).await?.cpu_per_gbit)
}

/// An upstream with all its ports. Its ring is full before viewers come, so that what grows with them is theirs.
pub(crate) async fn server() -> Result<Process, Error> {
    let config = std::env::temp_dir().join(format!("sluicegate-bench-{}.toml", std::process::id()));
    let listen = "listen = '127.0.0.1:0'";
    let text = format!("{listen}\n[limits]\nring_span = '2s'\n[rtmp]\n{listen}\n[rtsp]\n{listen}\n");
    std::fs::write(&config, text).doing("writing the configuration")?;
    let server = Process::listening("upstream", &["--config", &config.display().to_string()]).await;
    // The program has read it.
    let _ = std::fs::remove_file(&config);
    server
}

async fn format(path: &str, by: By, viewers: usize, seconds: u64) -> Result<Measured, Error> {
    let server = server().await?;
    let clock = Clock::default();
    let publisher = tokio::spawn(publish(server.address.clone(), STREAM, clock.clone()));
    let head = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n", server.address);
    let (address, request) = match by {
        By::Http => (&server.address, format!("{head}\r\n").into_bytes()),
        By::WebSocket => (&server.address, format!("{head}{UPGRADE}\r\n").into_bytes()),
        By::Rtmp => (server.rtmp.as_ref().unwrap_or(&server.address), rtmp::request(path)),
        By::Rtsp | By::RtspApart => {
            let address = server.rtsp.as_ref().unwrap_or(&server.address);
            (address, rtsp::request(address, path, if matches!(by, By::Rtsp) { 0 } else { 8 }))
        }
    };
    tokio::time::sleep(SETTLE).await;
    let measured = measure(&server, address, &request, viewers, seconds, &clock).await;
    publisher.abort();
    measured
}

async fn measure(
    server: &Process,
    address: &str,
    request: &[u8],
    viewers: usize,
    seconds: u64,
    clock: &Clock,
) -> Result<Measured, Error> {
    let idle = server.usage()?;
    let seen = Arc::new(Seen::default());
    let watching = connect(address, request, viewers, clock, &seen).await?;
    tokio::time::sleep(SETTLE).await;
    seen.latencies.lock().map(|mut latencies| latencies.clear()).ok();
    let (bytes_before, before) = (seen.bytes.load(Ordering::Relaxed), server.usage()?);
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let (bytes, after) = (seen.bytes.load(Ordering::Relaxed) - bytes_before, server.usage()?);
    drop(watching);
    let mut latencies = seen.latencies.lock().map(|latencies| latencies.clone()).unwrap_or_default();
    latencies.sort_by(f64::total_cmp);
    let gbit = bytes as f64 * 8.0 / BITS_PER_GBIT;
    let expected = viewers as f64 * seconds as f64 * 2.67e6 / BITS_PER_GBIT;
    if gbit < expected * 0.9 {
        return Err(Error::Answer(format!(
            "viewers of `{}` got {gbit:.2} Gbit instead of {expected:.2}",
            String::from_utf8_lossy(request.get(..60).unwrap_or(request)).trim()
        )));
    }
    Ok(Measured {
        cpu_per_gbit: (after.cpu - before.cpu) / gbit,
        kib_per_viewer: (after.resident - idle.resident) / viewers as f64,
        p50: percentile(&latencies, 50),
        p95: percentile(&latencies, 95),
    })
}

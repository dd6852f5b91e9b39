//! WebRTC: one stream to many viewers, how soon they see it, copies between nodes, and what many sessions leave behind.

pub(crate) mod cycles;
pub(crate) mod http;
mod peer;
mod relay;
mod viewer;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::error::{Doing, Error};
use crate::process::Process;
use crate::publisher::{Clock, Sound, publish_with};
use crate::report::{line, percentile, row};
use viewer::{Seen, Viewers};

const STREAM: &str = "bench/stream";
const PUBLISHED: &str = "/live/bench/stream.flv";
const BITS_PER_GBIT: f64 = 1e9;
/// The publisher fills the ring, and viewers get past what they start with, before anything is counted.
const SETTLE: Duration = Duration::from_secs(3);
/// What each viewer is sent: 25 pictures of 12,700 bytes and 50 packets of 160 bytes.
const BITS_PER_SECOND: f64 = 2.6e6;

/// 0.25 MB, in KiB.
const MEMORY_AIM: f64 = 244.0;

/// A part of this measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Many viewers: CPU, loss, memory, time to the connection and to the first picture.
    Fanout,
    /// One viewer: latency.
    Latency,
    /// Two nodes: what a copy adds.
    Relay,
    /// Publishers, relays and viewers that come and go.
    Cycles,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Viewers at once.
    #[arg(long, default_value_t = 200)]
    viewers: usize,
    /// Seconds that are measured, in each part.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// One viewer in so many decrypts and reports; the others connect, keep their session and count packets.
    #[arg(long, default_value_t = 25)]
    decrypt_every: usize,
    /// How often publishers, relays and viewers come and go; the full run is 10,000.
    #[arg(long, default_value_t = 200)]
    cycles: usize,
    /// Only this part.
    #[arg(long)]
    only: Option<Part>,
}

impl Default for Arguments {
    fn default() -> Self {
        Self { viewers: 200, seconds: 10, decrypt_every: 25, cycles: 200, only: None }
    }
}

/// Measures the parts that are asked for.
pub(crate) async fn run(arguments: &Arguments) -> Result<(), Error> {
    let wanted = |part| arguments.only.is_none_or(|only| only == part);
    line(&format!("# WebRTC: one stream of 2.6 Mbit/s on loopback, {} s each", arguments.seconds));
    if wanted(Part::Fanout) {
        fanout(arguments).await?;
    }
    if wanted(Part::Latency) {
        latency(arguments.seconds).await?;
    }
    if wanted(Part::Relay) {
        relay::run(arguments.seconds).await?;
    }
    if wanted(Part::Cycles) {
        cycles::run(arguments.cycles).await?;
    }
    Ok(())
}

/// An upstream with `more` in its configuration, WebRTC on loopback.
async fn upstream(more: &str) -> Result<Process, Error> {
    let path = std::env::temp_dir().join(format!("sluicegate-bench-{}.toml", std::process::id()));
    // A ring that is full before viewers come, so that what grows with them is theirs.
    let text = format!("{more}\n[limits]\nring_span = \"2s\"\n[webrtc]\nlisten = [\"127.0.0.1:0\"]\n");
    std::fs::write(&path, text).doing("writing the configuration")?;
    Process::listening("upstream", &["--listen", "127.0.0.1:0", "--config", &path.display().to_string()]).await
}

async fn fanout(arguments: &Arguments) -> Result<(), Error> {
    let Arguments { viewers, seconds, decrypt_every, .. } = *arguments;
    let server = upstream("").await?;
    let clock = Clock::default();
    let publisher = tokio::spawn(publish_with(Sound::Opus, server.address.clone(), PUBLISHED, clock.clone()));
    tokio::time::sleep(SETTLE).await;
    let idle = server.usage()?;
    let seen = Arc::new(Seen::default());
    let mut watching = Viewers::new(server.address.clone(), clock, Arc::clone(&seen));
    for number in 0..viewers {
        watching.join(STREAM, number.is_multiple_of(decrypt_every)).await?;
    }
    tokio::time::sleep(SETTLE).await;
    let (mut connected, mut first) = (seen.take_connected(), seen.take_first());
    seen.take_latencies();
    let start_lost = seen.lost();
    let (bytes_before, lost_before, before) = (seen.bytes.load(Ordering::Relaxed), start_lost, server.usage()?);
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let bytes = seen.bytes.load(Ordering::Relaxed) - bytes_before;
    let (lost, after) = (seen.lost().saturating_sub(lost_before), server.usage()?);
    let mut latencies = seen.take_latencies();
    drop(watching);
    publisher.abort();
    let gbit = bytes as f64 * 8.0 / BITS_PER_GBIT;
    let expected = viewers as f64 * seconds as f64 * BITS_PER_SECOND / BITS_PER_GBIT;
    if gbit < expected * 0.9 || first.len() < viewers {
        let got = first.len();
        return Err(Error::Answer(format!("{got} viewers got {gbit:.2} Gbit instead of {expected:.2}")));
    }
    for values in [&mut connected, &mut first, &mut latencies] {
        values.sort_by(f64::total_cmp);
    }
    line(&format!("{viewers} WHEP viewers, one in {decrypt_every} decrypts; {gbit:.2} Gbit in {seconds} s"));
    row("WHEP: server CPU per Gbit", (after.cpu - before.cpu) / gbit, "s", Some(0.5));
    row("WHEP: packets lost while measured", lost as f64, "", Some(0.0));
    row("WHEP: packets lost at the start", start_lost as f64, "", None);
    row("WHEP: memory per viewer", (after.resident - idle.resident) / viewers as f64, "KiB", Some(MEMORY_AIM));
    row("WHEP: offer to connected p50", percentile(&connected, 50), "ms", Some(5.0));
    row("WHEP: offer to connected p95", percentile(&connected, 95), "ms", Some(40.0));
    row("WHEP: first picture after the offer p50", percentile(&first, 50), "ms", Some(150.0));
    row("WHEP: first picture after the offer p95", percentile(&first, 95), "ms", Some(150.0));
    row("WHEP: added latency p50, whole pictures", percentile(&latencies, 50), "ms", Some(20.0));
    row("WHEP: added latency p95, whole pictures", percentile(&latencies, 95), "ms", None);
    Ok(())
}

async fn latency(seconds: u64) -> Result<(), Error> {
    let server = upstream("").await?;
    let clock = Clock::default();
    let publisher = tokio::spawn(publish_with(Sound::Opus, server.address.clone(), PUBLISHED, clock.clone()));
    tokio::time::sleep(SETTLE).await;
    let seen = Arc::new(Seen::default());
    let mut watching = Viewers::new(server.address.clone(), clock, Arc::clone(&seen));
    watching.join(STREAM, true).await?;
    tokio::time::sleep(SETTLE).await;
    seen.take_latencies();
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    publisher.abort();
    let mut latencies = seen.take_latencies();
    latencies.sort_by(f64::total_cmp);
    row("FLV in, WHEP out, one viewer: added latency p50", percentile(&latencies, 50), "ms", Some(20.0));
    row("FLV in, WHEP out, one viewer: added latency p95", percentile(&latencies, 95), "ms", None);
    Ok(())
}

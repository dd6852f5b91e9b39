//! What viewers and sites go through when something goes away: a publisher for three seconds, and a network without a
//! word.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::client::Client;
use crate::error::{Doing, Error};
use crate::middle::Middle;
use crate::process::Process;
use crate::publisher::{Clock, publish};
use crate::report::{line, percentile, row};

const PATH: &str = "/live/bench/stream.flv";
const VIEWERS: usize = 20;
/// How long the publisher sends, stays away and sends again.
const PHASE: Duration = Duration::from_secs(3);
/// How long a half-open link may stay unnoticed before the bench gives up.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);
const SITE: &str = "bench-half-open";

/// Measures both.
pub(crate) async fn run() -> Result<(), Error> {
    line("# recovery: a publisher away for 3 s, and a link that is half open");
    away().await?;
    half_open().await
}

/// What a viewer has seen.
#[derive(Debug, Default)]
struct Seen {
    tags: AtomicU64,
    steps_back: AtomicU64,
}

async fn away() -> Result<(), Error> {
    let upstream = Process::listening("upstream", &["--listen", "127.0.0.1:0"]).await?;
    let publisher = tokio::spawn(publish(upstream.address.clone(), PATH, Clock::default()));
    let (mut viewers, mut watching) = (Vec::new(), JoinSet::new());
    for _ in 0..VIEWERS {
        let seen = Arc::new(Seen::default());
        viewers.push(Arc::clone(&seen));
        watching.spawn(watch_flv(upstream.address.clone(), seen));
    }
    tokio::time::sleep(PHASE).await;
    publisher.abort();
    tokio::time::sleep(PHASE).await;
    let tags =
        |viewers: &[Arc<Seen>]| -> Vec<u64> { viewers.iter().map(|seen| seen.tags.load(Ordering::Relaxed)).collect() };
    let before = tags(&viewers);
    let second = tokio::spawn(publish(upstream.address.clone(), PATH, Clock::default()));
    tokio::time::sleep(PHASE).await;
    let lost = tags(&viewers).iter().zip(&before).filter(|(after, before)| after <= before).count();
    let back: u64 = viewers.iter().map(|seen| seen.steps_back.load(Ordering::Relaxed)).sum();
    second.abort();
    row("publisher away 3 s: viewers that do not go on, of 20", lost as f64, "", Some(0.0));
    row("publisher away 3 s: timestamps that step back", back as f64, "", Some(0.0));
    upstream.kill().await
}

/// Walks the tags of an FLV body and looks at their timestamps, pictures and sound apart.
async fn watch_flv(address: String, seen: Arc<Seen>) -> Result<(), Error> {
    let mut socket = TcpStream::connect(&address).await.doing("connecting a viewer")?;
    let request = format!("GET {PATH} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    socket.write_all(request.as_bytes()).await.doing("asking for the stream")?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.doing("reading an answer")?);
    }
    let mut header = [0; 13];
    socket.read_exact(&mut header).await.doing("reading FLV")?;
    let mut last = [0_u32; 2];
    loop {
        let mut tag = [0; 11];
        socket.read_exact(&mut tag).await.doing("reading FLV")?;
        let [kind, s0, s1, s2, t0, t1, t2, t3, ..] = tag;
        let (size, at) = (u32::from_be_bytes([0, s0, s1, s2]), u32::from_be_bytes([t3, t0, t1, t2]));
        let mut body = vec![0; usize::try_from(size).unwrap_or_default() + 4];
        socket.read_exact(&mut body).await.doing("reading FLV")?;
        let Some(last) = last.get_mut(usize::from(kind == 9)).filter(|_| matches!(kind, 8 | 9)) else { continue };
        if at < *last {
            seen.steps_back.fetch_add(1, Ordering::Relaxed);
        }
        *last = at;
        seen.tags.fetch_add(1, Ordering::Relaxed);
    }
}

/// Freezes the connections of a site in the middle, and looks how long either end takes to notice.
async fn half_open() -> Result<(), Error> {
    let (mut upstream_took, mut site_took) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let upstream = Process::listening("upstream", &["--listen", "127.0.0.1:0"]).await?;
        let middle = Middle::start(upstream.address.clone()).await?;
        let state = std::env::temp_dir().join(format!("sluicegate-bench-half-open-{}", std::process::id()));
        let (url, state) = (format!("ws://{}", middle.address), state.display().to_string());
        let arguments =
            ["--upstream", &url, "--site", SITE, "--service", "web=http://127.0.0.1:9", "--state-dir", &state];
        let site = Process::quiet("downstream", &arguments)?;
        until(|| async { links(&upstream.address).await == 2 }).await?;
        let frozen = Instant::now();
        middle.freeze();
        let dialled = middle.dialled();
        let at_site = until(|| async { middle.dialled() > dialled });
        let at_upstream = until(|| async { links(&upstream.address).await == 0 });
        let (site_noticed, upstream_noticed) = tokio::try_join!(at_site, at_upstream)?;
        site_took.push((site_noticed - frozen).as_secs_f64());
        upstream_took.push((upstream_noticed - frozen).as_secs_f64());
        site.kill().await?;
        upstream.kill().await?;
    }
    site_took.sort_by(f64::total_cmp);
    upstream_took.sort_by(f64::total_cmp);
    row("half-open link: noticed by the upstream, worst of 3", percentile(&upstream_took, 100), "s", Some(10.0));
    row("half-open link: noticed by the site, worst of 3", percentile(&site_took, 100), "s", Some(10.0));
    Ok(())
}

/// When it has become true.
async fn until<F: Future<Output = bool>>(mut look: impl FnMut() -> F) -> Result<Instant, Error> {
    let seen = async {
        while !look().await {
            tokio::time::sleep(LOOK).await;
        }
        Instant::now()
    };
    let seen = tokio::time::timeout(PATIENCE, seen).await;
    seen.map_err(|_| Error::Answer(format!("nothing to see after {} s", PATIENCE.as_secs())))
}

/// How many links the upstream counts.
async fn links(address: &str) -> u64 {
    let Ok(mut client) = Client::connect(address).await else { return u64::MAX };
    let Ok(answer) = client.ask("/api/v1/sites", b"").await else { return u64::MAX };
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let count = text.split_once("\"connections\":").and_then(|(_, rest)| rest.split([',', '}']).next());
    count.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

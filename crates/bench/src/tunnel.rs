//! HTTP through the tunnel beside HTTP straight to the device.

use std::time::{Duration, Instant};

use crate::client::Client;
use crate::device;
use crate::error::Error;
use crate::process::Process;
use crate::report::{line, percentile, row};

const SITE: &str = "bench-site";
/// How long a site may take to be served, at most.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at whether the site is served.
const LOOK: Duration = Duration::from_millis(5);

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Small requests in a row.
    #[arg(long, default_value_t = 2_000)]
    requests: usize,
    /// Restarts of the upstream.
    #[arg(long, default_value_t = 7)]
    restarts: usize,
}

impl Default for Arguments {
    fn default() -> Self {
        Self { requests: 2_000, restarts: 7 }
    }
}

/// A site behind an upstream.
struct Chain {
    upstream: Process,
    downstream: Process,
    address: String,
    device: String,
}

impl Chain {
    async fn start() -> Result<Self, Error> {
        let device = device::serve().await?;
        let upstream = Process::listening("upstream", &["--listen", "127.0.0.1:0"]).await?;
        let address = upstream.address.clone();
        let (url, service) = (format!("ws://{address}"), format!("web=http://{device}"));
        let state = std::env::temp_dir().join(format!("sluicegate-bench-{}", std::process::id()));
        let state = state.display().to_string();
        let arguments = ["--upstream", &url, "--site", SITE, "--service", &service, "--state-dir", &state];
        let downstream = Process::quiet("downstream", &arguments)?;
        let chain = Self { upstream, downstream, address, device };
        chain.served().await?;
        Ok(chain)
    }

    fn path(name: &str) -> String {
        format!("/proxy/{SITE}/web/{name}")
    }

    /// Waits until a request comes through; returns how long that took.
    async fn served(&self) -> Result<Duration, Error> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Ok(mut client) = Client::connect(&self.address).await
                && let Ok(answer) = client.ask(&Self::path("small"), b"").await
                && answer.status == 200
            {
                return Ok(begun.elapsed());
            }
            tokio::time::sleep(LOOK).await;
        }
        Err(Error::Answer(format!("the site is not served after {} s", PATIENCE.as_secs())))
    }
}

/// Measures everything about the tunnel.
pub(crate) async fn run(arguments: &Arguments) -> Result<(), Error> {
    line("# tunnel: HTTP through upstream and downstream, beside straight to the device, on loopback");
    let chain = Chain::start().await?;
    small(&chain, arguments.requests).await?;
    large(&chain).await?;
    many(&chain).await?;
    restarts(chain, arguments.restarts).await
}

async fn small(chain: &Chain, requests: usize) -> Result<(), Error> {
    let direct = sequential(&chain.device, "/small", requests).await?;
    let before = (chain.upstream.usage()?.cpu, chain.downstream.usage()?.cpu);
    let tunnel = sequential(&chain.address, &Chain::path("small"), requests).await?;
    let cpu = chain.upstream.usage()?.cpu - before.0 + chain.downstream.usage()?.cpu - before.1;
    row("1 KiB, in a row: direct p50", direct, "ms", None);
    row("1 KiB, in a row: tunnel p50", tunnel, "ms", None);
    row("1 KiB, in a row: tunnel / direct", tunnel / direct, "x", Some(3.0));
    row("1 KiB, in a row: CPU of both ends per 10,000", cpu * 10_000.0 / requests as f64, "s", None);
    Ok(())
}

async fn sequential(address: &str, path: &str, requests: usize) -> Result<f64, Error> {
    let mut client = Client::connect(address).await?;
    let mut times = Vec::with_capacity(requests);
    for _ in 0..requests {
        let begun = Instant::now();
        let answer = client.ask(path, b"").await?;
        times.push(begun.elapsed().as_secs_f64() * 1_000.0);
        if answer.status != 200 {
            return Err(Error::Answer(format!("{} for {path}", answer.status)));
        }
    }
    times.sort_by(f64::total_cmp);
    Ok(percentile(&times, 50))
}

async fn large(chain: &Chain) -> Result<(), Error> {
    let direct = speed(&chain.device, "/large").await?;
    let before = (chain.upstream.usage()?.resident, chain.downstream.usage()?.resident);
    let tunnel = speed(&chain.address, &Chain::path("large")).await?;
    row("50 MiB: direct", direct, "MB/s", None);
    row("50 MiB: tunnel", tunnel, "MB/s", None);
    row("50 MiB: direct / tunnel", direct / tunnel, "x", Some(2.0));
    row("50 MiB: memory growth, upstream", (chain.upstream.usage()?.resident - before.0) / 1_024.0, "MiB", Some(8.0));
    row(
        "50 MiB: memory growth, downstream",
        (chain.downstream.usage()?.resident - before.1) / 1_024.0,
        "MiB",
        Some(8.0),
    );
    Ok(())
}

/// The best of three, in MB/s: the first pays for growing windows.
async fn speed(address: &str, path: &str) -> Result<f64, Error> {
    let mut best: f64 = 0.0;
    for _ in 0..3 {
        let mut client = Client::connect(address).await?;
        let begun = Instant::now();
        let answer = client.ask(path, b"").await?;
        if answer.body.len() != device::LARGE {
            return Err(Error::Answer(format!("{} bytes of {}", answer.body.len(), device::LARGE)));
        }
        best = best.max(device::LARGE as f64 / 1e6 / begun.elapsed().as_secs_f64());
    }
    Ok(best)
}

/// 1,000 requests at once, each with a body of its own; a third of the clients go away in the middle.
async fn many(chain: &Chain) -> Result<(), Error> {
    let begun = Instant::now();
    let mut asking = tokio::task::JoinSet::new();
    for number in 0..1_000_usize {
        let address = chain.address.clone();
        asking.spawn(async move {
            let mut client = Client::connect(&address).await?;
            let body = format!("request {number} ").repeat(number % 97 + 1).into_bytes();
            if number % 3 == 0 {
                client.send(&Chain::path("echo"), &body).await?;
                return Ok(true);
            }
            let answer = client.ask(&Chain::path("echo"), &body).await?;
            Ok::<bool, Error>(answer.status == 200 && answer.body == body)
        });
    }
    let wrong = asking.join_all().await.into_iter().filter(|right| !matches!(right, Ok(true))).count();
    row("1,000 at once, a third cancelled: wrong or lost", wrong as f64, "", Some(0.0));
    row("1,000 at once: all done after", begun.elapsed().as_secs_f64(), "s", None);
    Ok(())
}

/// Kills the upstream and starts it again on the same port.
async fn restarts(mut chain: Chain, count: usize) -> Result<(), Error> {
    let mut times = Vec::new();
    for _ in 0..count {
        chain.upstream.kill().await?;
        chain.upstream = Process::listening("upstream", &["--listen", &chain.address]).await?;
        times.push(chain.served().await?.as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    row("upstream killed and started: served again p50", percentile(&times, 50), "s", Some(1.0));
    row("upstream killed and started: served again, worst", percentile(&times, 100), "s", None);
    chain.downstream.kill().await
}

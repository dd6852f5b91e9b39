//! What the load goes to: an upstream, a site behind a wire that can be cut, and streams that last.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sluicegate_rtc_driver::{Config, Driver};
use tokio::process::Command;

use crate::client::Client;
use crate::device;
use crate::error::{Doing, Error};
use crate::middle::Middle;
use crate::process::{Process, sibling};
use crate::webrtc::http;

/// The site, and its stream at the upstream.
const SITE: &str = "soak";
pub(super) const SITE_STREAM: &str = "cams/door-soak";
/// How long the site may take to be served.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(100);
/// What the programs hold must not change for so long to be at rest.
const QUIET: Duration = Duration::from_secs(6);
/// How long they may take to let go.
const LET_GO: Duration = Duration::from_secs(60);

/// The programs under load.
pub(super) struct Stage {
    pub(super) upstream: Process,
    pub(super) downstream: Process,
    wire: Middle,
    pub(super) driver: Driver,
    folder: std::path::PathBuf,
}

/// What the programs hold.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Held {
    /// Descriptors of the upstream and the site.
    pub(super) descriptors: [usize; 2],
    /// Their threads.
    pub(super) threads: [usize; 2],
    /// Connections, sessions, viewers and publishers by the upstream's own gauges.
    pub(super) gauges: f64,
}

impl Held {
    /// Whether this holds no more than that, threads aside: the runtime ends idle ones in its own time.
    fn fits(&self, before: &Self) -> bool {
        let [ours, theirs] = [self, before].map(|held| held.descriptors);
        ours.iter().zip(theirs).all(|(ours, theirs)| *ours <= theirs) && self.gauges <= before.gauges
    }
}

impl Stage {
    /// Starts both programs; the site shows the film that is given, and serves a web page.
    pub(super) async fn set(film: &str) -> Result<Self, Error> {
        let folder = std::env::temp_dir().join(format!("sluicegate-soak-{}", std::process::id()));
        std::fs::create_dir_all(&folder).doing("making a folder")?;
        let path = |name: &str| folder.join(name).display().to_string();
        // A ring that is soon full, so that memory soon is what it stays.
        let listen = "listen = '127.0.0.1:0'\n";
        let text =
            format!("[limits]\nring_span = '2s'\n[webrtc]\nlisten = ['127.0.0.1:0']\n[rtmp]\n{listen}[rtsp]\n{listen}");
        std::fs::write(folder.join("upstream.toml"), text).doing("writing the configuration")?;
        let arguments =
            ["--listen", "127.0.0.1:0", "--config", &path("upstream.toml"), "--state-dir", &path("upstream")];
        let upstream = Process::spawn("upstream", apart("upstream", &arguments)).await?;
        let wire = Middle::start(upstream.address.clone()).await?;
        let service = format!("web=http://{}", device::serve().await?);
        let (url, stream) = (format!("ws://{}", wire.address), format!("cams/door=file:{film}"));
        let state = path("downstream");
        let place = ["--upstream", &url, "--site", SITE, "--state-dir", &state];
        let arguments = [&place[..], &["--service", &service, "--stream", &stream]].concat();
        let downstream = Process::start("downstream", apart("downstream", &arguments))?;
        let driver = Driver::bind(Config { listen: vec![([127, 0, 0, 1], 0).into()], ..Config::default() })?;
        let stage = Self { upstream, downstream, wire, driver, folder };
        stage.served().await?;
        Ok(stage)
    }

    /// Where the upstream listens.
    pub(super) fn address(&self) -> &str {
        &self.upstream.address
    }

    pub(super) fn rtmp(&self) -> &str {
        self.upstream.rtmp.as_deref().unwrap_or_default()
    }

    pub(super) fn rtsp(&self) -> &str {
        self.upstream.rtsp.as_deref().unwrap_or_default()
    }

    /// Asks for the site's page; the status.
    pub(super) async fn proxied(&self) -> Result<u16, Error> {
        let mut client = Client::connect(self.address()).await?;
        Ok(client.ask(&format!("/proxy/{SITE}/web/small"), b"").await?.status)
    }

    /// Cuts all connections between the site and the upstream, and waits until the site is served again.
    pub(super) async fn cut(&self) -> Result<(), Error> {
        let dialled = self.wire.dialled();
        self.wire.cut();
        let begun = Instant::now();
        while self.wire.dialled() == dialled {
            if begun.elapsed() > PATIENCE {
                return Err(Error::Answer("the site does not dial again".into()));
            }
            tokio::time::sleep(LOOK).await;
        }
        self.served().await
    }

    /// Waits until the site's page can be had and its stream is offered.
    async fn served(&self) -> Result<(), Error> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let streams = http::ask(self.address(), "GET", "/api/v1/streams", "text/plain", "").await?.body;
            if streams.contains(SITE_STREAM) && matches!(self.proxied().await, Ok(200)) {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
        Err(Error::Answer(format!("the site is not served after {} s", PATIENCE.as_secs())))
    }

    /// What both programs hold now.
    pub(super) async fn held(&self) -> Result<Held, Error> {
        let (ours, theirs) = (self.upstream.held()?, self.downstream.held()?);
        let metrics = http::ask(self.address(), "GET", "/metrics", "text/plain", "").await?.body;
        let gauge = |line: &str| {
            let (name, value) = line.rsplit_once(' ')?;
            let name = name.split('{').next()?;
            let counted =
                ["_connections", "_sessions", "_viewers", "_publishers"].iter().any(|end| name.ends_with(end));
            value.parse::<f64>().ok().filter(|_| counted)
        };
        let gauges = metrics.lines().filter_map(gauge).sum();
        Ok(Held { descriptors: [ours.0, theirs.0], threads: [ours.1, theirs.1], gauges })
    }

    /// What both programs hold when that does not change any more; or, with a state before, when it fits that or does
    /// not come to.
    pub(super) async fn rest(&self, before: Option<&Held>) -> Result<Held, Error> {
        let begun = Instant::now();
        let (mut held, mut since) = (self.held().await?, Instant::now());
        loop {
            let done = before.map_or(since.elapsed() > QUIET, |before| held.fits(before));
            if done || begun.elapsed() > LET_GO {
                return Ok(held);
            }
            tokio::time::sleep(LOOK).await;
            let now = self.held().await?;
            if now != held {
                (held, since) = (now, Instant::now());
            }
        }
    }
}

/// A program in a group of its own: Ctrl-C is for us, who end it after the report.
fn apart(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(sibling(program));
    command.args(arguments).process_group(0);
    command
}

impl Drop for Stage {
    fn drop(&mut self) {
        // A folder that stays in the place for temporary files harms nobody.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A stage that many tasks share.
pub(super) type Shared = Arc<Stage>;

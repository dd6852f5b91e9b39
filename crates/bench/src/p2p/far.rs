//! Chunks over a link with delay, rate and loss between two network namespaces, to a node and to Chromium.

use std::time::{Duration, Instant};

use sluicegate_netsim::{Net, Profile, Side};
use sluicegate_testbed::peer::{Peer as Program, find};
use tokio::net::TcpStream;
use tokio::process::Command;

use super::origin::Layout;
use super::peer::Seen;
use super::{PATIENCE, load, page, settings, with_config};
use crate::client::Client;
use crate::error::{Doing, Error};
use crate::process::{Process, sibling};
use crate::report::{at_least, line, row};

/// Half of 50 ms there and back, 200 Mbit/s.
const LINK: Profile =
    Profile { rate: Some(200_000_000), delay: Duration::from_millis(25), loss_ppm: 0, queue_bytes: 4 << 20 };
/// Segments of the stream, and how many are fetched at once: what a page asks for with pictures and sound, and twice that.
const SEGMENTS: usize = 40;
const PARALLEL: usize = 8;
/// How long it runs before it counts, and while it does.
const WARM: Duration = Duration::from_secs(8);
const TIME: Duration = Duration::from_secs(15);

/// How often the node's peers are counted.
const LOOK: Duration = Duration::from_millis(50);

/// A node, its origin and the signalling server on one side of a link.
struct Stage {
    net: Net,
    signal: Process,
    node: Process,
    _origin: Process,
}

impl Stage {
    async fn new(profile: Profile) -> Result<Option<Self>, Error> {
        let net = match Net::new(7, profile).await {
            Ok(net) => net,
            Err(error) => {
                line(&format!("left out: no network namespaces ({error})"));
                return Ok(None);
            }
        };
        let host = Side::A.address().to_string();
        let command = |program: &str, arguments: &[&str]| {
            let mut command = net.command(Side::A, &sibling(program).display().to_string());
            command.args(arguments);
            command
        };
        let segments = SEGMENTS.to_string();
        let arguments = ["chunk-origin", "--listen", &format!("{host}:0"), "--segments", &segments];
        let origin = Process::spawn("origin", command("sluicegate-bench", &arguments)).await?;
        let arguments = ["signal", "--open", "--listen", &format!("{host}:0")];
        let signal = Process::spawn("cdn-node signal", command("cdn-node", &arguments)).await?;
        let text = settings(&origin.address, &signal.address, &host);
        let node = with_config(&text, async |config| {
            let arguments = ["-h", &host, "-p", "0", "--config", config];
            Process::spawn("cdn-node", command("cdn-node", &arguments)).await
        });
        let node = node.await?;
        load(Client::over(dial(&net, &node)?)?, SEGMENTS).await?;
        Ok(Some(Self { net, signal, node, _origin: origin }))
    }

    fn command(&self, program: &str) -> Command {
        self.net.command(Side::B, &sibling(program).display().to_string())
    }

    /// What a node on the other side gets.
    async fn peer(&self) -> Result<Seen, Error> {
        let mut command = self.command("sluicegate-bench");
        command.args(["chunk-peer", "--signal", &self.signal.address, "--host", &Side::B.address().to_string()]);
        command.args(["--segments", &SEGMENTS.to_string(), "--parallel", &PARALLEL.to_string()]);
        command.args(["--warm", &WARM.as_secs().to_string(), "--seconds", &TIME.as_secs().to_string()]);
        let output = command.output().await.doing("running a peer")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        Seen::read(&said).ok_or_else(|| Error::Answer(format!("the peer said {said:?}")))
    }

    /// How long the node keeps a peer that has gone without a word.
    async fn vanish(&self) -> Result<Duration, Error> {
        let mut command = self.command("sluicegate-bench");
        command.args(["chunk-peer", "--signal", &self.signal.address, "--host", &Side::B.address().to_string()]);
        command.args(["--segments", &SEGMENTS.to_string(), "--parallel", "1", "--warm", "0", "--seconds", "60"]);
        let peer = command.kill_on_drop(true).spawn().doing("running a peer")?;
        self.until_peers(1).await?;
        self.net.freeze(true);
        let gone = self.until_peers(0).await?;
        self.net.freeze(false);
        drop(peer);
        Ok(gone)
    }

    /// Waits until the node has so many peers; gives how long that took.
    async fn until_peers(&self, peers: usize) -> Result<Duration, Error> {
        let (start, wanted) = (Instant::now(), format!("sluicegate_p2p_peers {peers}\n"));
        let mut client = Client::over(dial(&self.net, &self.node)?)?;
        loop {
            let metrics = client.ask("/metrics", &[]).await?.body;
            if String::from_utf8_lossy(&metrics).contains(&wanted) {
                return Ok(start.elapsed());
            }
            if start.elapsed() > PATIENCE {
                return Err(Error::Answer(format!("not {peers} peers within {PATIENCE:?}")));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// What Chromium gets on one side.
    async fn page(&self, side: Side, chromium: &std::path::Path, parallel: usize) -> Result<page::Seen, Error> {
        let addresses = (self.node.address.as_str(), self.signal.address.as_str());
        let layout = Layout::even(SEGMENTS)?;
        page::run(&self.net, side, chromium, addresses, &layout, (SEGMENTS, parallel), (WARM, TIME)).await
    }
}

/// A connection to the node from its own side.
fn dial(net: &Net, node: &Process) -> Result<TcpStream, Error> {
    let address = node.address.parse().map_err(|_| Error::Answer(format!("{} is no address", node.address)))?;
    net.connect(Side::A, address).map_err(|error| Error::Answer(error.to_string()))
}

pub(super) async fn run() -> Result<(), Error> {
    let chromium = find(Program::Chromium);
    for (what, profile, aim) in
        [("50 ms, 200 Mbit/s", LINK, 150.0), ("50 ms, 200 Mbit/s, 1 % loss", LINK.with_loss_ppm(10_000), 20.0)]
    {
        let Some(stage) = Stage::new(profile).await? else { return Ok(()) };
        let seen = stage.peer().await?;
        at_least(&format!("{what}: to a node"), seen.rate, "Mbit/s", aim);
        row(&format!("{what}: to a node, segments wrong or missing"), seen.wrong, "", Some(0.0));
        row(&format!("{what}: to a node, further connections"), seen.strands, "", None);
        let gone = stage.vanish().await?;
        row(&format!("{what}: a peer that vanishes is freed after"), gone.as_secs_f64(), "s", Some(10.0));
        let Some(chromium) = &chromium else { continue };
        let seen = stage.page(Side::B, chromium, PARALLEL).await?;
        at_least(&format!("{what}: to Chromium"), seen.rate, "Mbit/s", aim);
        row(&format!("{what}: to Chromium, longest gap"), seen.gap, "ms", None);
        row(&format!("{what}: to Chromium, segments wrong"), seen.wrong, "", Some(0.0));
        row(&format!("{what}: to Chromium, further connections"), seen.strands, "", None);
    }
    let Some(chromium) = &chromium else { return Ok(()) };
    let Some(stage) = Stage::new(Profile::CLEAN).await? else { return Ok(()) };
    let seen = stage.page(Side::A, chromium, PARALLEL / 2).await?;
    at_least("Chromium on the same host", seen.rate, "Mbit/s", 120.0);
    row("Chromium on the same host, longest gap", seen.gap, "ms", Some(200.0));
    row("Chromium on the same host, segments wrong", seen.wrong, "", Some(0.0));
    Ok(())
}

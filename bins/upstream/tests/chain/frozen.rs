//! A network that freezes without a word: both ends notice by themselves, and the site is back when it thaws.

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use sluicegate_netsim::{Net, Profile, Side};
use sluicegate_testbed::peer::{Peer, find};
use sluicegate_testbed::program::{Program, built};
use sluicegate_testbed::until;
use tokio::time::Instant;

/// Both ends promise to notice within this.
const NOTICED: Duration = Duration::from_secs(10);

/// The link, or `None` with a line that says why where this machine does not permit it.
async fn net() -> Option<Net> {
    let made = Net::new(11, Profile::CELLULAR).await;
    let required = std::env::var("SLUICEGATE_PEERS").as_deref() == Ok("required");
    if made.is_err() && !required {
        let _ = writeln!(std::io::stdout(), "ignored: no network namespaces");
        return None;
    }
    Some(made.unwrap())
}

fn start(net: &Net, side: Side, binary: &str, arguments: &[&str]) -> Program {
    let mut command = net.command(side, &built(binary).display().to_string());
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Program::spawn(binary, &mut command)
}

/// How many connections the upstream has of its one site.
async fn connections(net: &Net) -> Option<u64> {
    let arguments = ["--silent", "--max-time", "5", "http://10.77.0.1:8440/api/v1/sites"];
    let output = net.command(Side::A, "curl").args(arguments).output().await.ok()?;
    let sites: Value = serde_json::from_slice(&output.stdout).ok()?;
    sites.get(0)?.get("connections")?.as_u64()
}

#[tokio::test]
async fn a_frozen_network_is_noticed_within_ten_seconds() {
    let (Some(_curl), Some(net)) = (find(Peer::Curl), net().await) else { return };
    let (up, down) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let up_state = up.path().display().to_string();
    let mut upstream =
        start(&net, Side::A, "upstream", &["--listen", "10.77.0.1:8440", "--open", "--state-dir", &up_state]);
    upstream.address().await;
    let down_state = down.path().display().to_string();
    let arguments = ["--upstream", "ws://10.77.0.1:8440", "--site", "cam-7", "--state-dir", &down_state];
    let mut site = start(&net, Side::B, "downstream", &arguments);
    // The upstream counts a connection before its answer has crossed the network.
    site.says(" connected").await;
    until("both connections", || async { (connections(&net).await == Some(2)).then_some(()) }).await;

    net.freeze(true);
    let frozen = Instant::now();
    until("the upstream to notice", || async { (connections(&net).await == Some(0)).then_some(()) }).await;
    site.says("disconnected").await;
    assert!(frozen.elapsed() <= NOTICED, "noticed after {:?}", frozen.elapsed());

    net.freeze(false);
    until("the site to come back", || async { (connections(&net).await == Some(2)).then_some(()) }).await;
}

//! A site behind NAT and its public host on this machine, with a stream to watch and a web page to open.

pub(crate) mod cdn;

mod client;
mod device;
mod program;

use std::time::Duration;

use clap::Args;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep};

use self::program::Program;
use crate::cargo::{cargo, root};
use crate::error::{Error, say};

/// The site of the demo.
const SITE: &str = "cam-7";
/// How long the site may take to appear at the upstream.
const CONNECT: Duration = Duration::from_secs(20);
/// How often we look whether it has.
const LOOK: Duration = Duration::from_millis(100);

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Where the upstream listens. A free port is taken when it is in use and nothing else is asked for.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// The FLV file that the site streams. Default: the test pattern in `docs/media`.
    #[arg(long, value_name = "FILE")]
    file: Option<String>,
}

/// Builds and runs the demo until Ctrl-C.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Error> {
    cargo(&["build", "-p", "sluicegate-upstream", "-p", "sluicegate-downstream"])?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|source| Error::System { doing: "starting the runtime", source })?.block_on(show(arguments))
}

async fn show(arguments: &Arguments) -> Result<(), Error> {
    let system = |doing| move |source| Error::System { doing, source };
    let mut interrupt = signal(SignalKind::interrupt()).map_err(system("listening to signals"))?;
    let mut terminate = signal(SignalKind::terminate()).map_err(system("listening to signals"))?;
    let device = TcpListener::bind("127.0.0.1:0").await.map_err(system("opening the device's page"))?;
    let page = device.local_addr().map_err(system("opening the device's page"))?;
    tokio::spawn(device::serve(device));

    let state = root().join("target/demo");
    let listen = match &arguments.listen {
        Some(address) => address.clone(),
        None => free_address().await,
    };
    let upstream_state = state.join("upstream").display().to_string();
    let (mut upstream, address) =
        Program::listening("upstream", &["--listen", &listen, "--state-dir", &upstream_state]).await?;
    let sample = root().join("docs/media/sample.flv").display().to_string();
    let stream = format!("cams/door=file:{}", arguments.file.as_ref().unwrap_or(&sample));
    let mut downstream = Program::start(
        "downstream",
        &[
            &["--upstream", &format!("ws://{address}"), "--site", SITE, "--stream", &stream],
            &["--service", &format!("web=http://{page}")][..],
            &["--state-dir", &state.join("downstream").display().to_string()],
        ]
        .concat(),
    )?;

    let ended = tokio::select! {
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
        error = upstream.ended() => Err(error),
        error = downstream.ended() => Err(error),
        error = welcome(&address) => Err(error),
    };
    say("stopping");
    tokio::join!(downstream.stop(), upstream.stop());
    ended
}

/// The documented port, or any when somebody else has it.
async fn free_address() -> String {
    let documented = "127.0.0.1:8440";
    match TcpListener::bind(documented).await {
        Ok(_) => documented.to_owned(),
        Err(_) => "127.0.0.1:0".to_owned(),
    }
}

/// Says where to look once the site is there; ends only when it does not come.
async fn welcome(address: &str) -> Error {
    let deadline = Instant::now() + CONNECT;
    while !client::get(address, "/api/v1/sites").await.is_ok_and(|sites| sites.contains(SITE)) {
        if Instant::now() >= deadline {
            return Error::Absent { site: SITE, waited: CONNECT };
        }
        sleep(LOOK).await;
    }
    say(&format!(
        "\n  Open  http://{address}/\n\n  \
         The page shows the site {SITE} and its stream cams/door-{SITE}: click the stream to watch it.\n  \
         The site's web page, through the tunnel: http://{address}/proxy/{SITE}/web/\n  \
         With a player: ffplay http://{address}/live/cams/door-{SITE}.flv\n\n  \
         Ctrl-C ends the demo.\n"
    ));
    std::future::pending().await
}

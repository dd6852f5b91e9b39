//! Measures release binaries: fan-out, latency, tunnel, WebRTC, chunks and recovery, side by side with a floor.
//!
//! Run it by `cargo xtask bench`. All load stays on loopback and stops by itself. Figures of a shared machine
//! swing; compare rows of one run, and read CPU time and ratios rather than speeds.

mod client;
mod device;
mod error;
mod fanout;
mod floor;
mod ingest;
mod middle;
mod p2p;
mod process;
mod publisher;
mod recovery;
mod report;
mod rtmp;
mod rtsp;
mod soak;
mod tunnel;
mod viewer;
mod webrtc;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::error::Error;

#[derive(Debug, Parser)]
#[command(
    about,
    long_about = "Measures the release binaries beside this one. All load stays on loopback and stops by itself."
)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Server CPU per Gbit delivered, memory per viewer and added latency, for each output format, beside the floor.
    Fanout(fanout::Arguments),
    /// Players by RTSP and RTMP beside those by WS-FLV, and what publishers by each cost.
    Rtsp(ingest::Arguments),
    /// The tunnel: small requests, a large body, many at once, and the return after the upstream's restart.
    Tunnel(tunnel::Arguments),
    /// A publisher that is away for 3 s, and a half-open link.
    Recovery,
    /// WebRTC out to many viewers, its start and its latency, copies between nodes, and what many sessions leave behind.
    Webrtc(webrtc::Arguments),
    /// The chunk node: rate to one and to many peers, how soon, CPU and memory.
    P2p(p2p::Arguments),
    /// Everything, with the defaults; without the soak.
    All,
    /// Players, publishers, relays and tunnels come and go for hours; what grows, stays or is lost fails.
    Soak(soak::Arguments),
    /// The floor itself, as a server that does nothing but send. Started by `fanout`.
    #[command(hide = true)]
    Floor(floor::Arguments),
    /// A node that fetches, in a process of its own, so that it can run in another network. Started by `p2p`.
    #[command(hide = true)]
    ChunkPeer(p2p::peer::Arguments),
    /// The origin of the chunk nodes, likewise.
    #[command(hide = true)]
    ChunkOrigin(p2p::origin::Arguments),
}

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Arguments::parse().what {
        What::Fanout(arguments) => fanout::run(&arguments).await,
        What::Rtsp(arguments) => ingest::run(&arguments).await,
        What::Tunnel(arguments) => tunnel::run(&arguments).await,
        What::Recovery => recovery::run().await,
        What::Webrtc(arguments) => webrtc::run(&arguments).await,
        What::P2p(arguments) => p2p::run(&arguments).await,
        What::All => all().await,
        What::Soak(arguments) => soak::run(&arguments).await,
        What::Floor(arguments) => floor::run(&arguments),
        What::ChunkPeer(arguments) => p2p::peer::run(&arguments).await,
        What::ChunkOrigin(arguments) => p2p::origin::run(&arguments).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::line(&format!("bench: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn all() -> Result<(), Error> {
    fanout::run(&fanout::Arguments::default()).await?;
    ingest::publishers(&ingest::Arguments::default()).await?;
    tunnel::run(&tunnel::Arguments::default()).await?;
    webrtc::run(&webrtc::Arguments::default()).await?;
    p2p::run(&p2p::Arguments::default()).await?;
    recovery::run().await
}

//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};
use sluicegate_launch::{LogFlags, TlsFlags};

const EXAMPLES: &str = "\
Examples:
  cdn-node --media ./videos
      Serves the videos of a folder: http://HOST:6060/video/VIDEO.mpd, where the folder has VIDEO.mp4 or VIDEO/ITAG.mp4.

  BASE_URL=https://origin.example/video cdn-node -p 8080 -h 127.0.0.1
      Serves what another server has.

  ID=aaaaaaaa-1111-1111-1111-aaaaaaaaaaaa WS_ADDR=wss://signal.example/uid/ cdn-node --media ./videos
      Serves it to browsers and other nodes as well, over WebRTC data channels.

  cdn-node signal --listen 127.0.0.1:5000
      The signalling server through which they find each other.

Environment, after flags and file: ID, WS_ADDR, PUBLICIP, BASE_URL, UPSTREAM, VIDEO_PROXY; lists have ; between their items.";

const SIGNAL_EXAMPLES: &str = "\
Examples:
  cdn-node signal --listen 127.0.0.1:5000
      Nodes and browsers connect to ws://127.0.0.1:5000/uid/UID, where UID has 36 characters.

  cdn-node signal --listen 0.0.0.0:5000 --tls-cert cert.pem --tls-key key.pem --config signal.toml
      With tokens = [\"…\"] in the file they connect to wss://HOST:5000/ROOM/TOKEN/uid/UID.";

/// The chunk network: hands videos to players over HTTP, and to browsers and other nodes over WebRTC data channels.
#[derive(Debug, Clone, Parser)]
#[command(name = "cdn-node", version, after_help = EXAMPLES, disable_help_flag = true)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) serve: ServeFlags,
    /// Print this
    #[arg(long, action = ArgAction::Help, global = true)]
    help: Option<bool>,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Runs the signalling server through which nodes and browsers find each other
    #[command(after_help = SIGNAL_EXAMPLES, disable_help_flag = true)]
    Signal(SignalFlags),
}

/// Flags of the node; they go before the configuration file.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ServeFlags {
    /// Port to listen on; 0 takes a free one [default: 6060]
    #[arg(short, long, value_name = "PORT")]
    pub(crate) port: Option<u16>,
    /// Host to listen on, an address or a name [default: 0.0.0.0]
    #[arg(short = 'h', long, value_name = "HOST")]
    pub(crate) host: Option<String>,
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print the configuration with secrets masked, and end
    #[arg(long)]
    pub(crate) check: bool,
    /// Folder of videos: VIDEO.mp4, VIDEO.webm, VIDEO/ITAG.mp4, VIDEO/ITAG.webm
    #[arg(long, value_name = "FOLDER", conflicts_with = "base_url")]
    pub(crate) media: Option<PathBuf>,
    /// Server that has VIDEO.json and VIDEO/ITAG/START-END.ts below this URL; may be repeated
    #[arg(long, value_name = "URL")]
    pub(crate) base_url: Vec<String>,
    /// Server to pass /video/ on to; may be repeated
    #[arg(long, value_name = "URL")]
    pub(crate) upstream: Vec<String>,
    /// Proxy for all requests to other servers: http://, https:// or socks5://
    #[arg(long, value_name = "URL")]
    pub(crate) proxy: Option<String>,
    /// Let the names of other servers be those of private addresses
    #[arg(long)]
    pub(crate) allow_private: bool,
    /// Run the signalling server as well, on the same port: /uid/UID
    #[arg(long)]
    pub(crate) signal: bool,
    #[command(flatten)]
    pub(crate) tls: TlsFlags,
    #[command(flatten)]
    pub(crate) logs: LogFlags,
}

/// Flags of the signalling server; they go before the configuration file.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SignalFlags {
    /// Address and port to listen on; port 0 takes a free one [default: 127.0.0.1:5000]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print the configuration with secrets masked, and end
    #[arg(long)]
    pub(crate) check: bool,
    /// Let anybody connect, also on a public address
    #[arg(long)]
    pub(crate) open: bool,
    #[command(flatten)]
    pub(crate) tls: TlsFlags,
    #[command(flatten)]
    pub(crate) logs: LogFlags,
}

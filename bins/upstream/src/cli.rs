//! The command line.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use sluicegate_launch::{Failure, LogFlags, TlsFlags};
use url::Url;

const EXAMPLES: &str = "\
Examples:
  upstream --listen 127.0.0.1:8440
      On loopback any site may join; open http://127.0.0.1:8440/ to see them.

  upstream site add cam-7
      Makes a token for the site cam-7, also while the server runs. Give it to the site's --token-file.

  upstream --config /etc/sluicegate/upstream.toml --check
      Prints the configuration with its secrets masked, or all that is wrong with it.

Publish to it:  ffmpeg -re -i film.mp4 -c copy -f flv http://127.0.0.1:8440/live/app/stream.flv
Watch:          ffplay http://127.0.0.1:8440/live/app/stream.flv";

/// The public host: takes sites in and shows their streams and services.
#[derive(Debug, Parser)]
#[command(name = "upstream", version, after_help = EXAMPLES, args_conflicts_with_subcommands = false)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) server: Server,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Flags of the server; they go before the configuration file.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Server {
    /// Address and port to listen on; port 0 takes a free one [default: 127.0.0.1:8440]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
    /// Take encoders and players by RTMP at this address, such as 127.0.0.1:1935
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) rtmp: Option<SocketAddr>,
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
    /// Print the configuration with secrets masked, and end
    #[arg(long)]
    pub(crate) check: bool,
    /// Folder of tokens and other state [default: ./sluicegate, or `$STATE_DIRECTORY`]
    #[arg(long, value_name = "FOLDER", global = true)]
    pub(crate) state_dir: Option<PathBuf>,
    /// Address to announce for WebRTC instead of the host's own, behind one-to-one NAT; one of each family
    #[arg(long, value_name = "IP")]
    pub(crate) public_ip: Vec<IpAddr>,
    #[command(flatten)]
    pub(crate) tls: TlsFlags,
    /// Let anybody join, publish, watch and use the API, also on a public address
    #[arg(long)]
    pub(crate) open: bool,
    #[command(flatten)]
    pub(crate) logs: LogFlags,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Makes, lists and revokes tokens of sites, while the server runs or not
    #[command(subcommand)]
    Site(SiteCommand),
    /// Copies streams to other servers and from them, while the server runs
    #[command(subcommand)]
    Relay(RelayCommand),
    /// Prints the configuration that does what a YAML file of the m7s plugin erwscascade says
    ImportM7s {
        /// The file of m7s, such as config.yaml
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum SiteCommand {
    /// Makes a token for a site and prints it, this once
    Add {
        /// The site's id: 1 to 64 of letters, digits and . _ ~ -
        site: String,
    },
    /// Lists sites with their tokens' ids
    List,
    /// Revokes a site's tokens; its links are cut within a second
    Revoke {
        /// The site's id
        site: String,
        /// Only this token, by the id that `list` shows
        #[arg(long)]
        token: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum RelayCommand {
    /// Lists relays: number, direction, stream, other side, state and why
    List {
        #[command(flatten)]
        server: RelayServer,
    },
    /// Begins a relay; how it fares is shown by `list`
    Add {
        #[command(flatten)]
        relay: RelayAdd,
        #[command(flatten)]
        server: RelayServer,
    },
    /// Ends a relay; one that is over is taken off the list
    Remove {
        /// The number that `list` shows
        id: u64,
        #[command(flatten)]
        server: RelayServer,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RelayAdd {
    /// Which way the stream goes
    #[arg(value_parser = ["push", "pull"])]
    pub(crate) direction: String,
    /// The stream here, such as cams/door-cam-7
    pub(crate) stream: String,
    /// The URL of the other side, such as `rtmp://host/app/key` or `https://host/whip/name`
    pub(crate) target: String,
    /// The protocol where the URL's scheme does not tell: whip, whep or wcs
    #[arg(long)]
    pub(crate) protocol: Option<String>,
    /// The stream's name there, for protocols whose URLs do not have it
    #[arg(long)]
    pub(crate) remote: Option<String>,
    /// How often it is tried again after a failure; -1 is for ever
    #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
    pub(crate) retry: i64,
    /// Keep it over a restart of the server
    #[arg(long)]
    pub(crate) keep: bool,
    /// Pull while somebody watches only
    #[arg(long)]
    pub(crate) on_demand: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RelayServer {
    /// The server [default: the one that the configuration starts on this machine]
    #[arg(long, value_name = "URL")]
    pub(crate) server: Option<Url>,
    /// The token of its API [default: that of the configuration]
    #[arg(long, env = "SLUICEGATE_API_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
}

/// Prints to standard output.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    writeln!(std::io::stdout(), "{}", text.trim_end()).map_err(|error| Failure::work("printing", error))
}

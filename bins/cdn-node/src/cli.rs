//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

const EXAMPLES: &str = "\
Examples:
  cdn-node signal --listen 127.0.0.1:5000
      Nodes and browsers connect to ws://127.0.0.1:5000/uid/UID, where UID has 36 characters.

  cdn-node signal --listen 0.0.0.0:5000 --tls-cert cert.pem --tls-key key.pem --config signal.toml
      With tokens = [\"…\"] in the file they connect to wss://HOST:5000/ROOM/TOKEN/uid/UID.";

/// The chunk network: nodes and browsers that hand each other video chunks. So far its signalling server.
#[derive(Debug, Clone, Parser)]
#[command(name = "cdn-node", version, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Runs the signalling server through which nodes and browsers find each other
    #[command(after_help = EXAMPLES)]
    Signal(Flags),
}

/// Flags of the signalling server; they go before the configuration file.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Flags {
    /// Address and port to listen on; port 0 takes a free one [default: 127.0.0.1:5000]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print the configuration with secrets masked, and end
    #[arg(long)]
    pub(crate) check: bool,
    /// Certificate chain (PEM); reloaded when it changes
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Key of the certificate (PEM)
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Let anybody connect, also on a public address
    #[arg(long)]
    pub(crate) open: bool,
    /// What to log, such as `info` or `info,sluicegate_p2p=debug` [default: info]
    #[arg(long, value_name = "FILTER")]
    pub(crate) log: Option<String>,
    /// How to log: text or json [default: text]
    #[arg(long, value_name = "FORMAT", value_parser = ["text", "json"])]
    pub(crate) log_format: Option<String>,
}

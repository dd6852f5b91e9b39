//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use sluicegate_launch::LogFlags;
use url::Url;

const EXAMPLES: &str = "\
Examples:
  downstream --upstream ws://127.0.0.1:8440 --site cam-7 \\
             --stream cams/door=file:sample.flv --service web=http://127.0.0.1:9000
      The upstream shows the stream as cams/door-cam-7 and the service under /proxy/cam-7/web/.

  downstream --upstream wss://media.example.org --site cam-7 --token-file token \\
             --stream cams/yard=rtsp://admin:secret@10.0.0.9/main
      A camera, which is asked for its stream only while somebody watches.

  downstream discover --user admin --password-file camera.password
      Which cameras are there? Prints the configuration for them.

Sources:
  file:PATH          an FLV file, played at its own pace, again and again
  exec:COMMAND       what a command writes to its standard output, as FLV
  ws://, http:// …   a stream of another server, WS-FLV or HTTP-FLV
  rtmp://, rtmps://  a stream of another server, rtmp://HOST/APP/STREAM
  rtsp://…           a camera, rtsp://USER:PASSWORD@HOST/PATH; rtsp+udp:// for media by UDP,
                     rtsps:// for TLS, with #sha256=FINGERPRINT behind it where the certificate is the camera's own
  listen:ADDRESS     an encoder publishes to http://ADDRESS/live/NAME.flv at the site
  listen:rtmp        an encoder publishes NAME at the site's RTMP port, see --rtmp
  listen:rtsp        the same at its RTSP port, see --rtsp";

/// The site behind NAT: dials out and offers its streams and services.
#[derive(Debug, Clone, Default, Parser)]
#[command(name = "downstream", version, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// Upstream to dial, ws:// or wss://, perhaps with a path prefix; may be given several times
    #[arg(long, value_name = "URL")]
    pub(crate) upstream: Vec<Url>,
    /// The site's id [default: a random one, kept in the state folder]
    #[arg(long, value_name = "ID")]
    pub(crate) site: Option<String>,
    /// File with the site's token, for all upstreams given by --upstream
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Stream to offer, NAME=SOURCE; may be given several times
    #[arg(long, value_name = "NAME=SOURCE")]
    pub(crate) stream: Vec<String>,
    /// Service to offer, NAME=URL; may be given several times
    #[arg(long, value_name = "NAME=URL")]
    pub(crate) service: Vec<String>,
    /// Take encoders by RTMP at this address, for streams whose source is listen:rtmp
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) rtmp: Option<SocketAddr>,
    /// The same by RTSP, for streams whose source is listen:rtsp
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) rtsp: Option<SocketAddr>,
    /// Do not verify certificates of upstreams given by --upstream
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print the configuration with secrets masked, and end
    #[arg(long)]
    pub(crate) check: bool,
    /// Folder of the site's state [default: ./sluicegate, or `$STATE_DIRECTORY`]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) state_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) logs: LogFlags,
}

/// What can be done beside running the site.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Prints the configuration that does what a YAML file of the m7s plugin erwscascade says
    ImportM7s {
        /// The file of m7s, such as config.yaml
        file: PathBuf,
    },
    Discover(crate::discover::Options),
}

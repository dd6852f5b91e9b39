//! The chunk network on this machine: signalling, an origin, two nodes, and a page that plays from them.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use clap::Args;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep, timeout};

use super::client;
use super::program::Program;
use crate::cargo::{cargo, root};
use crate::error::{Error, say};

/// The two nodes.
const NODES: [&str; 2] = ["demo-node-one-1111-1111-111111111111", "demo-node-two-2222-2222-222222222222"];
/// The video that is made where no folder is given.
const VIDEO: &str = "sample-film";
/// How long ffmpeg may take to copy the sample.
const COPY: Duration = Duration::from_secs(60);
/// How long the nodes may take to find each other.
const CONNECT: Duration = Duration::from_secs(20);
/// How often we look whether they have.
const LOOK: Duration = Duration::from_millis(100);

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Folder of videos: VIDEO.mp4, VIDEO.webm, VIDEO/ITAG.mp4. Default: one that ffmpeg makes of the sample in
    /// `docs/media`.
    #[arg(long, value_name = "FOLDER")]
    media: Option<PathBuf>,
    /// Name of the video to play. Default: the first of the folder.
    #[arg(long, value_name = "VIDEO")]
    video: Option<String>,
}

/// Builds and runs the demo until Ctrl-C.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Error> {
    cargo(&["build", "-p", "sluicegate-cdn-node"])?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|source| Error::System { doing: "starting the runtime", source })?.block_on(show(arguments))
}

async fn show(arguments: &Arguments) -> Result<(), Error> {
    let system = |doing| move |source| Error::System { doing, source };
    let mut interrupt = signal(SignalKind::interrupt()).map_err(system("listening to signals"))?;
    let mut terminate = signal(SignalKind::terminate()).map_err(system("listening to signals"))?;
    let state = root().join("target/demo-cdn");
    std::fs::create_dir_all(&state).map_err(system("making the demo's folder"))?;
    let media = match &arguments.media {
        Some(folder) => folder.clone(),
        None => sample(&state).await?,
    };
    let video = match &arguments.video {
        Some(video) => video.clone(),
        None => first(&media)?,
    };
    let folder = media.display().to_string();
    let (mut signalling, meet) = Program::listening("cdn-node", &["signal", "--listen", "127.0.0.1:0"]).await?;
    let own = ["-h", "127.0.0.1", "-p", "0"];
    let (mut origin, files) = Program::listening("cdn-node", &[&own[..], &["--media", &folder]].concat()).await?;
    let mut nodes = Vec::new();
    for uid in NODES {
        let config = state.join(format!("{uid}.toml"));
        let text = format!("[swarm]\nid = \"{uid}\"\nsignal = \"ws://{meet}/uid/\"\n");
        std::fs::write(&config, text).map_err(system("writing a node's configuration"))?;
        let (config, base) = (config.display().to_string(), format!("http://{files}/video"));
        let from = ["--base-url", &base, "--config", &config];
        nodes.push(Program::listening("cdn-node", &[&own[..], &from].concat()).await?);
    }
    let [(first, address), (second, _)] = nodes.as_mut_slice() else { return Ok(()) };
    let address = address.clone();
    let ended = tokio::select! {
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
        error = signalling.ended() => Err(error),
        error = origin.ended() => Err(error),
        error = first.ended() => Err(error),
        error = second.ended() => Err(error),
        error = welcome(&address, &video) => Err(error),
    };
    say("stopping");
    for (node, _) in nodes {
        node.stop().await;
    }
    tokio::join!(origin.stop(), signalling.stop());
    ended
}

/// Makes a folder with a video of one minute of the sample, once.
async fn sample(state: &Path) -> Result<PathBuf, Error> {
    let folder = state.join("media");
    let video = folder.join(VIDEO);
    std::fs::create_dir_all(&video).map_err(|source| Error::System { doing: "making the demo's folder", source })?;
    let from = root().join("docs/media/sample.flv");
    for (map, name) in [("0:v", "134.mp4"), ("0:a", "140.mp4")] {
        let path = video.join(name);
        if path.is_file() {
            continue;
        }
        let mut command = Command::new("ffmpeg");
        command.args(["-hide_banner", "-loglevel", "error", "-y", "-stream_loop", "5", "-i"]).arg(&from);
        command.args(["-map", map, "-c", "copy", "-frag_duration", "2000000"]);
        command.args(["-movflags", "frag_keyframe+empty_moov+default_base_moof+global_sidx"]).arg(&path);
        let status = timeout(COPY, command.stdin(Stdio::null()).kill_on_drop(true).status()).await;
        let failed = |said: String| Error::Output { what: "ffmpeg (or give a folder by --media)", said };
        match status {
            Ok(Ok(status)) if status.success() => {}
            Ok(Ok(status)) => return Err(failed(status.to_string())),
            Ok(Err(error)) => return Err(failed(error.to_string())),
            Err(_) => return Err(failed("it takes too long".to_owned())),
        }
    }
    Ok(folder)
}

/// The first video of a folder by name.
fn first(folder: &Path) -> Result<String, Error> {
    let entries = std::fs::read_dir(folder).map_err(|source| Error::System { doing: "reading the folder", source })?;
    let names = entries.flatten().filter_map(|entry| Some(entry.path().file_stem()?.to_str()?.to_owned()));
    names.min().ok_or_else(|| Error::Output { what: "the folder", said: "no video in it".to_owned() })
}

/// Says where to look once the nodes have found each other; ends only when they do not.
async fn welcome(address: &str, video: &str) -> Error {
    let deadline = Instant::now() + CONNECT;
    while !client::get(address, "/peers").await.is_ok_and(|peers| peers.contains("\"State\":\"open\"")) {
        if Instant::now() >= deadline {
            return Error::Absent { site: NODES[1], waited: CONNECT };
        }
        sleep(LOOK).await;
    }
    say(&format!(
        "\n  Open  http://{address}/play/{video}\n\n  \
         The page fetches the video from both nodes by data channel, verifies each segment, and shows what each gave.\n  \
         The nodes' peers: http://{address}/peers\n  \
         The same video over HTTP: ffplay http://{address}/video/{video}.mpd\n\n  \
         Ctrl-C ends the demo.\n"
    ));
    std::future::pending().await
}

//! A sample, and what ffmpeg does with it.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use tokio::process::Command;

use crate::program::{Program, built};
use crate::soon;

/// What ffmpeg has decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// Pictures.
    pub pictures: u64,
    /// What the decoder complained about; empty is good.
    pub complaints: String,
}

/// The test pattern of this repository: 640x360, 25 pictures a second, 10 s, H.264 and AAC.
#[must_use]
pub fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/media/sample.flv")
}

/// Publishes the sample without end, at real-time pace, to a URL.
#[must_use]
pub fn publish(ffmpeg: &Path, url: &str) -> Program {
    shell("ffmpeg", &format!("exec {} {url}", looped(ffmpeg)))
}

/// Publishes the sample through `ws-cat` to a WebSocket.
#[must_use]
pub fn publish_by_websocket(ffmpeg: &Path, url: &str) -> Program {
    shell("ffmpeg | ws-cat", &format!("{} - | {} send '{url}'", looped(ffmpeg), built("ws-cat").display()))
}

/// The command that writes the sample as FLV without end; what it writes to is left out.
#[must_use]
pub fn looped(ffmpeg: &Path) -> String {
    let (ffmpeg, sample) = (ffmpeg.display(), sample());
    format!("{ffmpeg} -hide_banner -loglevel error -re -stream_loop -1 -i '{}' -c copy -f flv", sample.display())
}

/// Decodes some pictures of a URL; a `ws:` URL is read through `ws-cat`.
pub async fn decode(ffmpeg: &Path, url: &str, pictures: u32) -> Decoded {
    decode_as(ffmpeg, url, pictures, "").await
}

/// The same for a camera on a busy machine, whose pictures are apart as it may be: two within one of its usual distances
/// are no fault of the stream, though ffmpeg's own output takes them for one.
pub async fn decode_uneven(ffmpeg: &Path, url: &str, pictures: u32) -> Decoded {
    decode_as(ffmpeg, url, pictures, "-fps_mode vfr").await
}

async fn decode_as(ffmpeg: &Path, url: &str, pictures: u32, how: &str) -> Decoded {
    let options = format!("-frames:v {pictures} {how} -progress pipe:1 -f null /dev/null");
    let decode = format!("{} -hide_banner -loglevel warning -xerror -i", ffmpeg.display());
    let script = if url.starts_with("ws") {
        // ws-cat is ended by the closed pipe when ffmpeg has enough.
        format!("({} receive '{url}' 2>/dev/null || true) | {decode} - {options}", built("ws-cat").display())
    } else {
        format!("{decode} '{url}' {options}")
    };
    let output = soon(url, command(&script).output()).await.unwrap();
    Decoded { pictures: progress(&output), complaints: String::from_utf8_lossy(&output.stderr).trim().to_owned() }
}

/// Two seconds of a test pattern of 320x180 and a tone, as FLV, encoded by these ffmpeg options.
pub async fn encode(ffmpeg: &Path, options: &str) -> Vec<u8> {
    let sources = "-f lavfi -i testsrc2=size=320x180:rate=25:duration=2 -f lavfi -i sine=frequency=440:duration=2";
    let script = format!("{} -hide_banner -loglevel error {sources} -ar 48000 {options} -f flv -", ffmpeg.display());
    let output = soon(options, command(&script).output()).await.unwrap();
    assert!(output.status.success(), "{options}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The MD5 of each decoded frame of one kind, `v` or `a`, without its time. Whatever ffmpeg complains about fails.
pub async fn hashes(ffmpeg: &Path, media: &[u8], kind: char) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("media");
    std::fs::write(&path, media).unwrap();
    let script = format!(
        "{} -hide_banner -loglevel warning -xerror -i '{}' -map 0:{kind} -f framemd5 -",
        ffmpeg.display(),
        path.display()
    );
    let output = soon("decoding", command(&script).output()).await.unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && complaints.is_empty(), "{complaints}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.rsplit(',').next()).map(|hash| hash.trim().to_owned()).collect()
}

/// The last `frame=N` of ffmpeg's progress report.
fn progress(output: &Output) -> u64 {
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().filter_map(|line| line.strip_prefix("frame=")).next_back();
    last.and_then(|count| count.trim().parse().ok()).unwrap_or_default()
}

/// Runs a script, in which any failure of a pipe fails.
pub(crate) fn shell(name: &str, script: &str) -> Program {
    Program::spawn(name, &mut command(script))
}

fn command(script: &str) -> Command {
    let mut command = Command::new("bash");
    command.args(["-c", &format!("set -o pipefail; {script}")]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

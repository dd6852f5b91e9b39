//! A clip that shows and sounds the same moments, and how far apart these come out of a stream.
//!
//! As a film's clapperboard: the picture flashes white and the tone beeps at once, 1.2 s and 2 s apart in turns, so that
//! a whole beat of difference is none.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::media::shell;
use crate::program::{Program, built};
use crate::{PATIENCE, soon};

/// 320x180, 25 pictures a second without B-frames; 40 s, longer than any test watches. The hundredth keeps multiples of 3.2
/// that are not quite that on their side.
const PICTURES: &str = "color=black:s=320x180:r=25:d=40,\
    drawbox=color=white:t=fill:enable='lt(mod(t+0.01,3.2),0.2)+between(mod(t+0.01,3.2),1.2,1.4)'";
/// A stereo tone of 1 kHz at 48 kHz.
const SOUND: &str = "aevalsrc='0.5*sin(2*PI*1000*t)*(lt(mod(t,3.2),0.2)+between(mod(t,3.2),1.2,1.4))':s=48000:d=40";
/// How the filters tell dark from light and silence from sound. Shorter than this is neither.
const FILTERS: [&str; 4] = ["-vf", "blackdetect=d=0.3", "-af", "silencedetect=n=-25dB:d=0.3"];
/// A flash and a beep further apart than this, in seconds, are two claps: half of the shortest time between two.
const SAME_CLAP: f64 = 0.6;
/// What is so near to the end, in seconds, may be the end.
const AT_THE_END: f64 = 0.1;
/// Claps that a stream must show and sound.
const CLAPS: usize = 3;

/// The clip with sound as AAC.
pub async fn clip(ffmpeg: &Path, folder: &Path) -> PathBuf {
    clip_with(ffmpeg, folder, 25).await
}

/// The same with a key frame in so many pictures.
pub async fn clip_with(ffmpeg: &Path, folder: &Path, key_frame: u32) -> PathBuf {
    let clip = folder.join("aac.flv");
    let video = format!("-c:v libx264 -preset ultrafast -profile:v baseline -bf 0 -g {key_frame} -pix_fmt yuv420p");
    let mut command = quiet(ffmpeg);
    command.args(["-f", "lavfi", "-i", PICTURES, "-f", "lavfi", "-i", SOUND, "-ac", "2"]);
    command.args(video.split(' ')).args(["-c:a", "aac", "-b:a", "96k"]).arg(&clip);
    made(&mut command).await;
    clip
}

/// The same with its sound as Opus.
pub async fn with_opus(ffmpeg: &Path, clip: &Path) -> PathBuf {
    let opus = clip.with_file_name("opus.mkv");
    let mut command = quiet(ffmpeg);
    made(command.arg("-i").arg(clip).args(["-c:v", "copy", "-c:a", "libopus"]).arg(&opus)).await;
    opus
}

/// Publishes a clip as it is, once and at real-time pace, in a form and to a URL that these options name.
#[must_use]
pub fn publish(ffmpeg: &Path, clip: &Path, options: &[&str]) -> Program {
    let mut command = quiet(ffmpeg);
    command.arg("-re").arg("-i").arg(clip).args(["-c", "copy"]).args(options);
    Program::spawn("ffmpeg", command.stdout(Stdio::null()).stderr(Stdio::piped()))
}

/// The same as FLV through `ws-cat` to a WebSocket.
#[must_use]
pub fn publish_by_websocket(ffmpeg: &Path, clip: &Path, url: &str) -> Program {
    let read =
        format!("{} -hide_banner -loglevel error -re -i '{}' -c copy -f flv -", ffmpeg.display(), clip.display());
    shell("ffmpeg | ws-cat", &format!("{read} | {} send '{url}'", built("ws-cat").display()))
}

/// When claps are seen and heard, in seconds of the stream's time.
#[derive(Debug, Default)]
pub struct Claps {
    flashes: Vec<f64>,
    beeps: Vec<f64>,
}

impl Claps {
    /// Decodes some seconds of what ffmpeg reads by these options; with an input, that is its standard input.
    ///
    /// # Errors
    ///
    /// What ffmpeg complains about, or that it takes too long.
    pub async fn decode(ffmpeg: &Path, options: &[&str], seconds: u32, input: Option<Command>) -> Result<Self, String> {
        let mut command = Command::new(ffmpeg);
        command.args(["-hide_banner", "-nostats", "-loglevel", "level+info"]).args(options);
        command
            .args(["-t", &seconds.to_string(), "-map", "0:v", "-map", "0:a"])
            .args(FILTERS)
            .args(["-f", "null", "-"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut source = None;
        if let Some(mut input) = input {
            let mut child = input.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
            let output: Stdio = child.stdout.take().unwrap().try_into().unwrap();
            command.stdin(output);
            source = Some(child);
        }
        let output = tokio::time::timeout(PATIENCE, command.output()).await;
        let output = output.map_err(|_| format!("nothing after {PATIENCE:?}"))?.unwrap();
        drop(source);
        let said = String::from_utf8_lossy(&output.stderr);
        let is_fault = |line: &&str| line.contains("[error]");
        let faults: Vec<&str> = said.lines().filter(is_fault).collect();
        if !output.status.success() || !faults.is_empty() {
            return Err(faults.join("; "));
        }
        let mut claps = Self::told(&said);
        // To the filters the end of all ends darkness and silence as well.
        let end = f64::from(seconds) - AT_THE_END;
        claps.flashes.retain(|at| *at < end);
        claps.beeps.retain(|at| *at < end);
        Ok(claps)
    }

    /// Reads what ffmpeg's filters, or scripts in their words, have said: `black_end:SECONDS`, `silence_end: SECONDS`.
    #[must_use]
    pub fn told(said: &str) -> Self {
        let times = |mark: &str| {
            let after = said.lines().filter_map(|line| line.split_once(mark));
            after.filter_map(|(_, rest)| rest.split_whitespace().next()?.parse().ok()).collect()
        };
        Self { flashes: times("black_end:"), beeps: times("silence_end:") }
    }

    /// Without the flashes of a stream whose sound begins later.
    #[must_use]
    pub fn from_the_first_beep(mut self) -> Self {
        let first = self.beeps.first().map_or(f64::INFINITY, |beep| beep - SAME_CLAP);
        self.flashes.retain(|flash| *flash > first);
        self
    }

    /// How long each beep comes after its flash, in milliseconds. One at either end may lack its other half, for
    /// nobody begins to watch and to listen at the same moment; in the middle none may.
    ///
    /// # Errors
    ///
    /// When too few are seen or heard, or one that lacks its other half.
    pub fn apart(&self) -> Result<Vec<f64>, String> {
        let nearest = |flash: f64| {
            let apart = self.beeps.iter().map(|beep| beep - flash);
            apart.min_by(|a, b| a.abs().total_cmp(&b.abs())).filter(|apart| apart.abs() < SAME_CLAP)
        };
        let mut found: Vec<Option<f64>> = self.flashes.iter().map(|&flash| nearest(flash)).collect();
        if found.first() == Some(&None) {
            found.remove(0);
        }
        if found.last() == Some(&None) {
            found.pop();
        }
        let apart: Option<Vec<f64>> = found.into_iter().map(|apart| apart.map(|seconds| seconds * 1_000.0)).collect();
        apart.filter(|apart| apart.len() >= CLAPS).ok_or_else(|| format!("{self:?}"))
    }
}

fn quiet(ffmpeg: &Path) -> Command {
    let mut command = Command::new(ffmpeg);
    command.args(["-hide_banner", "-loglevel", "error", "-y"]).stdin(Stdio::null()).kill_on_drop(true);
    command
}

async fn made(command: &mut Command) {
    let output = soon("encoding the clip", command.output()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[cfg(test)]
mod tests {
    use super::Claps;

    const SAID: &str = "[x] [info] black_start:0.2 black_end:1.2 black_duration:1\n\
        [x] [info] silence_end: 1.21 | silence_duration: 1\n[x] [info] silence_end: 3.19 | silence_duration: 1.8\n\
        [x] [info] black_start:1.4 black_end:3.2 black_duration:1.8\nblack_end:4.4\nsilence_end: 4.4\nblack_end:6.4";

    #[test]
    fn claps_are_paired() {
        let apart: Vec<f64> = Claps::told(SAID).apart().unwrap().into_iter().map(f64::round).collect();
        assert_eq!(apart, [10.0, -10.0, 0.0]);
    }

    #[test]
    fn flashes_before_the_first_beep_are_left_out() {
        let claps = || Claps { flashes: vec![1.2, 3.2, 4.4, 6.4, 7.6], beeps: vec![4.4, 6.4, 7.6] };
        assert!(claps().apart().is_err());
        assert_eq!(claps().from_the_first_beep().apart().unwrap(), [0.0; 3]);
    }

    #[test]
    fn what_is_not_seen_or_not_heard_or_too_far_apart_is_told() {
        let without = |mark: &str| SAID.replace(mark, "");
        for said in [without("black_end:"), without("silence_end:"), without("3.19"), String::new()] {
            assert!(Claps::told(&said).apart().is_err(), "{said}");
        }
        // Late by a second, and by the shorter of the two distances.
        for beeps in [vec![2.2, 4.2, 5.4, 7.4], vec![2.4, 4.4, 5.6, 7.6]] {
            assert!(Claps { flashes: vec![1.2, 3.2, 4.4, 6.4], beeps }.apart().is_err());
        }
    }
}

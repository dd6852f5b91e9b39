//! GStreamer publishes and plays, by two implementations of its own: `rtmp2` and librtmp.

use std::process::Stdio;

use sluicegate_hub::State;
use sluicegate_testbed::peer::{Peer, find};
use sluicegate_testbed::program::Program;
use sluicegate_testbed::until;
use tokio::process::Command;

use crate::stage::{Stage, name};

fn launch(pipeline: &str) -> Program {
    let mut command = Command::new("gst-launch-1.0");
    command.arg("-q").args(pipeline.split_whitespace());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    Program::spawn("gst-launch-1.0", &mut command)
}

async fn publishes_and_plays(sink: &str, source: &str) {
    // The same peer as for RTSP: it has the encoders.
    let Some(_) = find(Peer::GstRtspServer) else { return };
    let stage = Stage::start().await;
    let url = stage.url("cams/hall");
    let pictures = "videotestsrc is-live=true ! video/x-raw,width=320,height=180,framerate=25/1 \
        ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25 ! h264parse ! mux.";
    let sound = "audiotestsrc is-live=true ! audioconvert ! avenc_aac ! aacparse ! mux.";
    let mut publisher = launch(&format!("flvmux name=mux streamable=true ! {sink} location={url} {pictures} {sound}"));
    until("both tracks", || async {
        let status = stage.hub.stream(&name("cams/hall")).filter(|status| status.state == State::Live)?;
        (status.tracks.iter().map(|track| track.codec).eq(["h264", "aac"])).then_some(())
    })
    .await;
    // It ends by itself when it has decoded so many of each.
    let shown = "demux.video ! queue ! h264parse ! avdec_h264 ! fakesink num-buffers=50";
    let heard = "demux.audio ! queue ! aacparse ! avdec_aac ! fakesink num-buffers=50";
    let mut player = launch(&format!("{source} location={url} ! flvdemux name=demux {shown} {heard}"));
    assert_eq!(player.ended().await, Some(0), "{}", player.said());
    assert!(publisher.is_running(), "{}", publisher.said());
}

#[tokio::test]
async fn by_rtmp2() {
    publishes_and_plays("rtmp2sink", "rtmp2src").await;
}

#[tokio::test]
async fn by_librtmp() {
    publishes_and_plays("rtmpsink", "rtmpsrc").await;
}

//! What a browser begins with: sound of the moment at which it is played, and all of it.

use std::io::Write;
use std::time::Duration;

use serde_json::Value;
use sluicegate_testbed::clapper;
use sluicegate_testbed::peer::{Peer, find};
use sluicegate_testbed::{api, until};

use crate::stage::Upstream;
use crate::webrtc::page;

/// Frames of 2.5 s, 25 pictures and 47 or 50 packets of sound each second: what a viewer begins with, of a clip whose key
/// frames are 10 s apart. Of more than 4 s of sound at once Chromium keeps nothing.
const SEEN: u64 = 5 * (25 + 47) / 2;
/// Most that the first 2 s of sound may wait in the browser on average, in milliseconds. Sound of the time before would wait
/// 1,000; it waits 60 now, and more where a busy browser begins to play late.
const WAITS: f64 = 700.0;
/// How long claps are watched where this variable asks for it, in seconds; what was seen is told. How soon a browser brings
/// pictures and sound into step is a matter of the machine, too.
const WATCHED: &str = "SLUICEGATE_CLAPS_SECONDS";
/// By how much the sound of the last five claps may come before and after their pictures then, in the median, in
/// milliseconds (EBU R 37). What a browser still corrects is more than 30.
const STEP: std::ops::RangeInclusive<i64> = -40..=60;

/// One stream has sound that is made into Opus, the other Opus whose times are whole milliseconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_begins_with_the_sound_of_now_and_plays_all_of_it() {
    let (Some(chromium), Some(ffmpeg)) = (find(Peer::Chromium), find(Peer::Ffmpeg)) else { return };
    let Some(newer) = find(Peer::NewFfmpeg) else { return };
    let folder = tempfile::tempdir().unwrap();
    let aac = clapper::clip_with(&ffmpeg, folder.path(), 250).await;
    let opus = clapper::with_opus(&ffmpeg, &aac).await;
    let upstream = Upstream::start().await;
    let mut viewer = page(&chromium, &upstream).await;
    assert_eq!(viewer.value(include_str!("scripts/claps.js")).await, true);
    for (name, clip) in [("opus", &opus), ("aac", &aac)] {
        let stream = format!("claps/{name}");
        let url = upstream.url("http", &format!("/live/{stream}.flv"));
        let _publisher = clapper::publish(&newer, clip, &["-f", "flv", &url]);
        let seen =
            || async { api::stream(&upstream.address, &stream).await["frames_in"].as_u64().filter(|n| *n > SEEN) };
        until("some seconds of the stream", seen).await;
        let url = upstream.url("http", &format!("/whep/{stream}"));
        assert_eq!(viewer.value(&format!("claps('{url}').then((told) => (globalThis.told = told, true))")).await, true);
        let waits = viewer.until("told().then(({waits}) => waits)").await.as_f64().unwrap();
        assert!(waits <= WAITS, "{name}: {waits}");
        let asked = std::env::var(WATCHED).ok().and_then(|seconds| seconds.parse().ok());
        tokio::time::sleep(Duration::from_secs(asked.unwrap_or_default())).await;
        let told = viewer.value("told()").await;
        // What is not at its place to the sample is thrown away.
        let [received, discarded] = ["packetsReceived", "packetsDiscarded"].map(|key| told[key].as_f64().unwrap());
        assert!(discarded <= 0.1 * received, "{name}: {told}");
        if asked.is_some() {
            let _ = writeln!(std::io::stdout(), "{name} {told}");
            let apart: Vec<i64> = told["apart"].as_array().unwrap().iter().filter_map(Value::as_i64).collect();
            let mut last = apart[apart.len().saturating_sub(5)..].to_vec();
            last.sort_unstable();
            assert!(STEP.contains(&last[2]), "{name}: {told}");
        }
    }
}

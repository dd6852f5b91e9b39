//! A short soak: players, publishers, relays and a site's tunnel come and go, and nothing is left of them.

use std::process::Stdio;
use std::time::Duration;

use sluicegate_testbed::media;
use sluicegate_testbed::program::built;
use tokio::process::Command;

/// All that comes and goes.
const KINDS: [&str; 22] = [
    "play HTTP-FLV",
    "play WS-FLV",
    "play MP4 by HTTP",
    "play MP4 by WebSocket",
    "play RTMP",
    "play RTSP",
    "play WHEP",
    "publish HTTP-FLV",
    "publish WS-FLV",
    "publish RTMP",
    "publish RTSP",
    "publish WHIP",
    "push WS-FLV",
    "push RTMP",
    "push RTSP",
    "push WHIP",
    "pull HTTP-FLV",
    "pull RTMP",
    "pull RTSP",
    "pull WHEP",
    "play the site's film",
    "the tunnel cut and back",
];

/// How long it may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);

#[tokio::test]
async fn nothing_is_left_of_what_comes_and_goes() {
    let mut soak = Command::new(built("sluicegate-bench"));
    soak.args(["soak", "--for", "10s", "--film"]).arg(media::sample()).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(DEADLINE, soak.output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let figure = |what: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix("  "));
        line.unwrap_or_default().to_owned()
    };
    for kind in KINDS {
        let counts = figure(kind);
        let (count, failed) = counts.split_once(" times, ").unwrap();
        let count: u32 = count.trim().parse().unwrap();
        assert!(count >= 1 && failed == "0 failed", "{kind}: {said}");
    }
    for program in ["upstream", "downstream"] {
        let left = figure(&format!("{program}: descriptors left")).split_whitespace().next().map(str::to_owned);
        assert_eq!(left.as_deref(), Some("0.000"), "{program}: {said}");
    }
}

//! One task for each kind of thing that comes and goes.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::players::{Play, Player, Shown};
use super::publishers::{Publish, Publisher};
use super::stage::{SITE_STREAM, Shared, Stage};
use super::tally::Tally;
use super::{OPUS, STEADY};
use crate::error::Error;
use crate::webrtc::http;

/// A step of a cycle, at most.
const STEP: Duration = Duration::from_secs(20);
/// What is read of the site's film: a key picture and more.
const FILM: usize = 60_000;
/// The site's stream is watched, and the wire cut, less often than others come and go: so many times.
const SITE_EVERY: u32 = 8;
/// Of so many visits to the site the last cuts the wire.
const CUT_EVERY: usize = 3;
/// Ways to watch the site's film; its AAC becomes Opus for WHEP.
const SITE_PLAYS: [Play; 5] = [Play::HttpFlv, Play::Rtsp, Play::Whep, Play::Rtmp, Play::WsMp4];

/// What comes and goes.
#[derive(Debug, Clone, Copy)]
enum Lane {
    Play(Play),
    Publish(Publish),
    Relay,
    Site,
}

impl Lane {
    fn all() -> impl Iterator<Item = Self> {
        let (plays, publishes) = (Play::ALL.map(Self::Play), Publish::ALL.map(Self::Publish));
        plays.into_iter().chain(publishes).chain([Self::Relay, Self::Site])
    }

    async fn cycle(self, stage: &Stage, tally: &Tally, number: usize) {
        match self {
            Self::Play(by) => {
                let stream = if by == Play::Whep { OPUS } else { STEADY };
                tally.count(by.name(), step(watch(stage, by, stream, Shown::Mark)).await);
            }
            Self::Publish(by) => {
                tally.count(by.name(), step(publish(stage, by, number)).await);
            }
            Self::Relay => relay(stage, tally, number).await,
            Self::Site => site(stage, tally, number).await,
        }
    }
}

/// Runs every kind once, one after the other.
pub(super) async fn once(stage: &Stage, tally: &Tally) {
    for lane in Lane::all() {
        let times = match lane {
            Lane::Relay => relays(stage, 0).len(),
            Lane::Site => SITE_PLAYS.len(),
            Lane::Play(_) | Lane::Publish(_) => 1,
        };
        for number in 0..times {
            lane.cycle(stage, tally, number).await;
        }
    }
}

/// Runs all kinds side by side until told to stop; each comes at most so often.
pub(super) fn start(stage: &Shared, tally: &Arc<Tally>, every: Duration, stop: &watch::Receiver<bool>) -> JoinSet<()> {
    let mut lanes = JoinSet::new();
    for lane in Lane::all() {
        let (stage, tally, stop) = (Arc::clone(stage), Arc::clone(tally), stop.clone());
        let every = if matches!(lane, Lane::Site) { every * SITE_EVERY } else { every };
        lanes.spawn(async move {
            let mut ticks = tokio::time::interval(every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            // Names of the first round are taken: a publisher that has left may return to its own for a while.
            for number in 1_000.. {
                ticks.tick().await;
                if *stop.borrow() {
                    return;
                }
                lane.cycle(&stage, &tally, number).await;
            }
        });
    }
    lanes
}

async fn step<T>(step: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let late = |_| Error::Answer(format!("it took {} s", STEP.as_secs()));
    tokio::time::timeout(STEP, step).await.map_err(late)?
}

/// Watches until the stream has shown itself.
async fn watch(stage: &Stage, by: Play, stream: &str, shown: Shown) -> Result<(), Error> {
    let mut player = Player::begin(stage, by, stream).await?;
    player.shown(shown).await?;
    player.leave(stage).await
}

/// Publishes until a viewer has seen it.
async fn publish(stage: &Stage, by: Publish, number: usize) -> Result<(), Error> {
    let stream = format!("in/{by:?}-{number}");
    let mut publisher = Publisher::begin(stage, by, &stream).await?;
    tokio::select! {
        ended = publisher.run() => ended?,
        seen = watch(stage, Play::WsFlv, &stream, Shown::Mark) => seen?,
    }
    publisher.leave(stage).await
}

/// Every kind of relay, from the upstream to itself: kind, direction, the stream there, protocol, target.
fn relays(stage: &Stage, number: usize) -> [(&'static str, &'static str, &'static str, String); 8] {
    let (http, rtmp, rtsp) = (stage.address(), stage.rtmp(), stage.rtsp());
    let copy = format!("copy/{number}");
    [
        ("push WS-FLV", "push", STEADY, format!("ws://{http}/live/{copy}.flv?publish=1")),
        ("push RTMP", "push", STEADY, format!("rtmp://{rtmp}/{copy}")),
        ("push RTSP", "push", STEADY, format!("rtsp://{rtsp}/live/{copy}")),
        ("push WHIP", "push", OPUS, format!("http://{http}/whip/{copy}")),
        ("pull HTTP-FLV", "pull", STEADY, format!("http://{http}/live/{STEADY}.flv")),
        ("pull RTMP", "pull", STEADY, format!("rtmp://{rtmp}/{STEADY}")),
        ("pull RTSP", "pull", STEADY, format!("rtsp://{rtsp}/live/{STEADY}")),
        ("pull WHEP", "pull", OPUS, format!("http://{http}/whep/{OPUS}")),
    ]
}

/// Begins a relay, watches the copy and ends the relay.
async fn relay(stage: &Stage, tally: &Tally, number: usize) {
    let relays = relays(stage, number);
    let Some((kind, direction, source, target)) = relays.get(number % relays.len()) else { return };
    let copy = format!("copy/{number}");
    let stream = if *direction == "push" { source } else { copy.as_str() };
    let mut body = json!({ "direction": direction, "stream": stream, "target": target });
    for protocol in ["whip", "whep"].into_iter().filter(|protocol| target.contains(&format!("/{protocol}/"))) {
        body["protocol"] = protocol.into();
    }
    let address = stage.address();
    let made = async {
        let made = http::ask(address, "POST", "/api/v1/relays", "application/json", &body.to_string()).await?;
        let document: serde_json::Value = serde_json::from_str(&made.body).unwrap_or_default();
        let id = document["id"].as_u64();
        id.ok_or_else(|| Error::Answer(format!("{} to a relay: {}", made.status, made.body)))
    };
    let copied = async {
        let id = step(made).await?;
        let seen = step(watch(stage, Play::WsFlv, &copy, Shown::Mark)).await;
        let ended = http::ask(address, "DELETE", &format!("/api/v1/relays/{id}"), "text/plain", "").await?;
        let told = || Error::Answer(format!("{} to the end of a relay", ended.status));
        seen.and_then(|()| (ended.status < 300).then_some(()).ok_or_else(told))
    };
    tally.count(kind, copied.await);
}

/// Watches the site's film, asks for its page, and at times cuts the wire.
async fn site(stage: &Stage, tally: &Tally, number: usize) {
    let Some(by) = SITE_PLAYS.get(number % SITE_PLAYS.len()) else { return };
    tally.count("play the site's film", step(watch(stage, *by, SITE_STREAM, Shown::Bytes(FILM))).await);
    let page = async {
        let status = stage.proxied().await?;
        if status == 200 { Ok(()) } else { Err(Error::Answer(format!("{status} for the site's page"))) }
    };
    tally.count("the site's page", step(page).await);
    if number % CUT_EVERY == CUT_EVERY - 1 {
        tally.count("the tunnel cut and back", stage.cut().await);
    }
}

//! Players, publishers, relays and the site's tunnel come and go for hours, and nothing may be left of them.

mod fit;
mod lanes;
mod players;
mod publishers;
mod stage;
mod steady;
mod tally;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::error::{Doing, Error};
use crate::report::{line, row};
use stage::{Held, Shared, Stage};
use steady::Steady;
use tally::Tally;

/// Streams that last as long as the soak, with sound as AAC and as Opus.
const STEADY: &str = "soak/steady";
const OPUS: &str = "soak/opus";
/// Growth of memory that is none, in per cent an hour.
const FLAT: f64 = 1.0;
/// A shorter run tells how memory changes and does not judge it: what warms up is more than what leaks.
const JUDGED: Duration = Duration::from_secs(600);
/// Samples of a run, and the bounds of the time between two.
const SAMPLES: u32 = 360;
const SOONEST: Duration = Duration::from_millis(500);
const LATEST: Duration = Duration::from_secs(10);
const MINUTE: Duration = Duration::from_secs(60);

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How long, such as 30m or 4h; Ctrl-C ends it sooner, with the report.
    #[arg(long = "for", default_value = "4h", value_parser = humantime::parse_duration)]
    time: Duration,
    /// How often each kind comes and goes at most, such as 1s.
    #[arg(long, default_value = "1s", value_parser = humantime::parse_duration)]
    every: Duration,
    /// The film that the site shows, FLV.
    #[arg(long, default_value = "docs/media/sample.flv")]
    film: String,
}

/// What is looked at every few seconds: seconds since the begin, and the anonymous memory of both programs in KiB. Pages
/// of their files come and go as the system sees fit, and no leak is among them.
type Sample = (f64, [f64; 2]);

/// Soaks, reports, and fails when something has grown, stayed or got lost.
pub(crate) async fn run(arguments: &Arguments) -> Result<(), Error> {
    line(&format!("# soak: everything comes and goes for {}", humantime::format_duration(arguments.time)));
    let stage: Shared = Arc::new(Stage::set(&arguments.film).await?);
    let steady = Steady::begin(&stage).await?;
    let tally = Arc::new(Tally::default());
    // What is made once, and kept, is made now.
    lanes::once(&stage, &tally).await;
    let before = stage.rest(None).await?;
    line(&format!("at rest: {}", told(&before)));
    let samples = soak(&stage, &steady, &tally, arguments).await?;
    line("letting go");
    let after = stage.rest(Some(&before)).await?;
    report(&samples, &tally, &steady, [&before, &after])
}

/// Runs the load until the time is over, or somebody ends it.
async fn soak(
    stage: &Shared,
    steady: &Steady,
    tally: &Arc<Tally>,
    arguments: &Arguments,
) -> Result<Vec<Sample>, Error> {
    let begun = Instant::now();
    let (stop, stopped) = watch::channel(false);
    let mut lanes = lanes::start(stage, tally, arguments.every, &stopped);
    let mut terminate = signal(SignalKind::terminate()).doing("waiting for signals")?;
    let mut ticks = tokio::time::interval((arguments.time / SAMPLES).clamp(SOONEST, LATEST));
    let over = tokio::time::sleep(arguments.time);
    tokio::pin!(over);
    let (mut samples, mut told_at) = (Vec::new(), Instant::now());
    loop {
        tokio::select! {
            () = &mut over => break,
            _ = tokio::signal::ctrl_c() => break,
            _ = terminate.recv() => break,
            _ = ticks.tick() => {}
        }
        let memory = [stage.upstream.usage()?.anonymous, stage.downstream.usage()?.anonymous];
        samples.push((begun.elapsed().as_secs_f64(), memory));
        if told_at.elapsed() >= MINUTE {
            told_at = Instant::now();
            let (done, failed) = tally.total();
            line(&format!(
                "{:>4} min: {done} came and went, {failed} failed, {} stalls; memory {:.1} and {:.1} MiB; {}",
                begun.elapsed().as_secs() / 60,
                steady.stalls(),
                memory[0] / 1_024.0,
                memory[1] / 1_024.0,
                told(&stage.held().await?)
            ));
        }
    }
    stop.send_replace(true);
    while lanes.join_next().await.is_some() {}
    Ok(samples)
}

fn told(held: &Held) -> String {
    format!("descriptors {:?}, threads {:?}, gauges {}", held.descriptors, held.threads, held.gauges)
}

fn report(samples: &[Sample], tally: &Tally, steady: &Steady, held: [&Held; 2]) -> Result<(), Error> {
    line("");
    tally.report();
    let (done, failed) = tally.total();
    row("came and went", done as f64, "", None);
    let mut faults = Vec::new();
    let mut check = |what: String, got: f64, unit: &str, aim: f64, good: bool| {
        row(&what, got, unit, Some(aim));
        if !good {
            faults.push(what);
        }
    };
    let mut none = |what: String, got: f64| check(what, got, "", 0.0, got <= 0.0);
    none("failed".to_owned(), failed as f64);
    none("steady viewers that stalled or ended".to_owned(), steady.stalls() as f64);
    let [before, after] = held;
    for (number, name) in ["upstream", "downstream"].into_iter().enumerate() {
        let more = |of: fn(&Held) -> [usize; 2]| {
            let count = |held| of(held).get(number).copied().unwrap_or_default() as f64;
            count(after) - count(before)
        };
        none(format!("{name}: descriptors left"), more(|held| held.descriptors));
        row(&format!("{name}: threads more"), more(|held| held.threads), "", None);
    }
    none("upstream: connections, sessions, viewers, publishers left".to_owned(), after.gauges - before.gauges);
    for (number, name) in ["upstream", "downstream"].into_iter().enumerate() {
        let memory: Vec<_> =
            samples.iter().map(|(at, both)| (*at, both.get(number).copied().unwrap_or_default())).collect();
        let Some(slope) = fit::slope(&memory) else {
            line(&format!("{name}: too short to tell how memory changes"));
            continue;
        };
        row(&format!("{name}: memory, mean of the second half"), slope.mean / 1_024.0, "MiB", None);
        let what = format!("{name}: memory grows an hour, give or take {:.2} %", slope.either_way);
        if samples.last().is_some_and(|(at, _)| *at < JUDGED.as_secs_f64()) {
            row(&what, slope.percent, "%", None);
        } else {
            check(what, slope.percent, "%", FLAT, !slope.exceeds(FLAT));
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(Error::Soak(faults.join("; "))) }
}

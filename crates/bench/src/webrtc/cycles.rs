//! Publishers, viewers and relays between two nodes that come and go, and what is left of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sluicegate_rtc_driver::media::{Codec, Direction, Options, RtpPacket, Track, TrackId};
use sluicegate_rtc_driver::{Config, Connection, Driver, Event, State};
use tokio::task::JoinSet;

use super::{http, relay, upstream};
use crate::error::Error;
use crate::process::{Process, Usage};
use crate::publisher::mark;
use crate::report::{line, row};

/// Streams that come and go side by side.
const LANES: usize = 4;
/// Before this many, memory still grows to what the program works with.
const WARM_UP: usize = 100;
/// Between two pictures of a publisher.
const PICTURE: Duration = Duration::from_millis(20);
/// A cycle, at most.
const STEP: Duration = Duration::from_secs(20);
/// Until the server has let go of everything, at most.
const LET_GO: Duration = Duration::from_secs(60);

/// Where a cycle happens.
#[derive(Debug, Clone)]
struct Stage {
    /// The addresses of the node that streams are published to, and of the one that has copies.
    near: String,
    far: String,
    driver: Arc<Driver>,
}

/// What a server holds.
#[derive(Debug)]
struct Holds {
    descriptors: usize,
    threads: usize,
    usage: Usage,
}

/// Runs the cycles on two servers and compares what they hold before and after.
pub(super) async fn run(cycles: usize) -> Result<(), Error> {
    let servers = [("near", upstream("").await?), ("far", upstream("").await?)];
    let driver = Driver::bind(Config { listen: vec![([127, 0, 0, 1], 0).into()], ..Config::default() });
    let [near, far] = servers.each_ref().map(|(_, server)| server.address.clone());
    let stage = Stage { near, far, driver: Arc::new(driver?) };
    go(&stage, WARM_UP).await?;
    let mut before = Vec::new();
    for (_, server) in &servers {
        before.push(settled(server).await?);
    }
    let begun = Instant::now();
    go(&stage, cycles).await?;
    let took = begun.elapsed().as_secs_f64();
    let rate = cycles as f64 / took;
    line(&format!("{cycles} times a publisher, a relay and viewers at both nodes came and went, {rate:.1} a second"));
    for ((node, server), before) in servers.iter().zip(before) {
        let after = settled(server).await?;
        let more = |before: usize, after: usize| after as f64 - before as f64;
        let row =
            |what: &str, value: f64, unit: &str, aim| row(&format!("cycles, {node} node: {what}"), value, unit, aim);
        row("descriptors left", more(before.descriptors, after.descriptors), "", Some(0.0));
        row("threads left", more(before.threads, after.threads), "", Some(0.0));
        row("sessions left", sessions(server).await?, "", Some(0.0));
        row("relays left", relays(server).await? as f64, "", Some(0.0));
        row("memory more", (after.usage.resident - before.usage.resident) / 1_024.0, "MiB", Some(1.0));
        row("CPU per cycle", (after.usage.cpu - before.usage.cpu) * 1_000.0 / cycles as f64, "ms", None);
    }
    Ok(())
}

async fn go(stage: &Stage, cycles: usize) -> Result<(), Error> {
    let mut lanes = JoinSet::new();
    for lane in 0..LANES {
        let stage = stage.clone();
        lanes.spawn(async move {
            for number in (lane..cycles).step_by(LANES) {
                let step = tokio::time::timeout(STEP, cycle(&stage, number)).await;
                step.map_err(|_| Error::Answer(format!("a cycle took {} s", STEP.as_secs())))??;
            }
            Ok::<_, Error>(())
        });
    }
    while let Some(done) = lanes.join_next().await {
        done.map_err(|error| Error::Answer(error.to_string()))??;
    }
    Ok(())
}

/// A publisher sends pictures, a relay copies them to the other node, a viewer sees one at each, and all end.
async fn cycle(stage: &Stage, cycle: usize) -> Result<(), Error> {
    let Stage { near, driver, .. } = stage;
    let (mut publisher, published) = begin(near, driver, &format!("/whip/cycle/{cycle}"), true).await?;
    let track = connected(&mut publisher).await?;
    let pictures = async {
        let mut ticks = tokio::time::interval(PICTURE);
        for number in 0.. {
            ticks.tick().await;
            send(&publisher, track, number)?;
        }
        Ok::<_, Error>(())
    };
    let Copied { relay, viewers } = tokio::select! {
        ended = pictures => return ended,
        seen = copy(stage, cycle) => seen?,
    };
    http::ask(relay.0, "DELETE", &relay.1, "text/plain", "").await?;
    for (address, viewer, watched) in viewers {
        end(address, viewer, &watched).await?;
    }
    end(near, publisher, &published).await
}

/// A relay as its node and resource, and the viewers at both nodes.
struct Copied<'a> {
    relay: (&'a str, String),
    viewers: [(&'a str, Connection, String); 2],
}

/// Watches at the first node, then copies to the other by turns of push and pull, and watches there.
async fn copy(stage: &Stage, cycle: usize) -> Result<Copied<'_>, Error> {
    let Stage { near, far, driver } = stage;
    let (here, watched) = watch(near, driver, &format!("/whep/cycle/{cycle}")).await?;
    let (name, copy) = (format!("cycle/{cycle}"), format!("copy/{cycle}"));
    let (at, body) = if cycle.is_multiple_of(2) {
        (near, relay::body("push", &name, far, "whip", &copy))
    } else {
        (far, relay::body("pull", &copy, near, "whep", &name))
    };
    let relay = (at.as_str(), relay::make(at, &body).await?);
    let (there, copied) = watch(far, driver, &format!("/whep/{copy}")).await?;
    Ok(Copied { relay, viewers: [(near, here, watched), (far, there, copied)] })
}

/// Begins a viewer and waits for its first packet.
async fn watch(address: &str, driver: &Driver, path: &str) -> Result<(Connection, String), Error> {
    let (mut viewer, watched) = begin(address, driver, path, false).await?;
    packet(&mut viewer).await?;
    Ok((viewer, watched))
}

/// Waits for a viewer's next packet.
pub(crate) async fn packet(viewer: &mut Connection) -> Result<(), Error> {
    while let Some(event) = viewer.next().await {
        match event {
            Event::Rtp { .. } => return Ok(()),
            Event::State(State::Closed(reason)) => return Err(Error::Answer(format!("a viewer ended: {reason:?}"))),
            _ => {}
        }
    }
    Err(Error::Answer("a viewer ended".into()))
}

/// Says goodbye and waits for the end.
pub(crate) async fn end(address: &str, mut connection: Connection, location: &str) -> Result<(), Error> {
    http::ask(address, "DELETE", location, "text/plain", "").await?;
    while let Some(event) = connection.next().await {
        if matches!(event, Event::State(State::Closed(_))) {
            break;
        }
    }
    Ok(())
}

/// Offers one track of pictures to WHIP or WHEP at a path; the session and its resource.
pub(crate) async fn begin(
    address: &str,
    driver: &Driver,
    path: &str,
    sends: bool,
) -> Result<(Connection, String), Error> {
    let track = if sends { Track::Send(Codec::h264()) } else { Track::Receive(vec![Codec::h264()]) };
    let options = Options { tracks: vec![track], own_port: true, ..Options::default() };
    let (connection, offer) = driver.offer(options).await?;
    let (location, answer) = http::offer(address, path, &offer).await?;
    connection.handle().accept_answer(answer).await?;
    Ok((connection, location))
}

/// Waits until a publisher may send, and tells as what.
pub(crate) async fn connected(publisher: &mut Connection) -> Result<TrackId, Error> {
    let (mut open, mut up) = (None, false);
    while let Some(event) = publisher.next().await {
        match event {
            Event::TrackOpen { track, direction: Direction::Send, .. } => open = Some(track),
            Event::State(State::Connected) => up = true,
            _ => {}
        }
        if let (Some(track), true) = (open, up) {
            return Ok(track);
        }
    }
    Err(Error::Answer("a publisher ended before it was connected".into()))
}

/// A key frame with its parameter sets, three packets; the picture is marked as those of other publishers are.
pub(crate) fn send(publisher: &Connection, track: TrackId, number: u16) -> Result<(), Error> {
    let picture = [&[0x65][..], &mark(number.into()), &[0x55; 900]].concat();
    let units: [&[u8]; 3] = [
        b"\x67\x64\x00\x1f\xac\xd9\x40\x50\x05\xbb\x01\x10\x00\x00\x03\x00\x10\x00\x00\x03\x03\x20\xf1\x83\x19\x60",
        b"\x68\xeb\xe3\xcb\x22\xc0",
        &picture,
    ];
    let packet = |(at, unit): (u16, &&[u8])| RtpPacket {
        sequence: number.wrapping_mul(3).wrapping_add(at),
        timestamp: u32::from(number) * 3_600,
        marker: at == 2,
        payload: Bytes::copy_from_slice(unit),
    };
    let packets: Vec<RtpPacket> = (0..).zip(&units).map(packet).collect();
    publisher.handle().send_rtp(track, packets).map_err(Error::from)
}

/// What a server holds once it has let go of all sessions and relays and their connections.
async fn settled(server: &Process) -> Result<Holds, Error> {
    let begun = Instant::now();
    while (sessions(server).await? > 0.0 || relays(server).await? > 0) && begun.elapsed() < LET_GO {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // Idle connections of HTTP end on their own.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (descriptors, threads) = server.held()?;
    Ok(Holds { descriptors, threads, usage: server.usage()? })
}

/// Relays by the server's own list, which keeps some that have ended for those who look.
async fn relays(server: &Process) -> Result<usize, Error> {
    let list = http::ask(&server.address, "GET", "/api/v1/relays", "application/json", "").await?.body;
    Ok(list.matches("\"state\":").count() - list.matches("\"state\":\"STOPPED\"").count())
}

/// Sessions by the server's own count.
async fn sessions(server: &Process) -> Result<f64, Error> {
    let metrics = http::ask(&server.address, "GET", "/metrics", "text/plain", "").await?.body;
    let value = metrics.lines().find_map(|line| line.strip_prefix("sluicegate_rtc_driver_sessions "));
    Ok(value.and_then(|value| value.trim().parse().ok()).unwrap_or_default())
}

//! Publishers and viewers that do not do what they said: each costs its own session, and nothing is left of it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

use std::future::Future;
use std::time::Duration;

use sluicegate_hub::{Hub, Publish, StreamName, Viewer};
use sluicegate_rtc_driver::media::{Codec, RtpPacket, Track, TrackId};
use sluicegate_rtc_driver::{Connection, Driver, Event, Options, State};
use sluicegate_webrtc_relay::{Config, Ending, Engine, Error};
use tokio::time::{Instant, interval, timeout};

/// No step of a test takes longer.
const PATIENCE: Duration = Duration::from_secs(20);
/// A sequence parameter set and a picture parameter set of x264 in one packet, and a piece of a key frame.
const SETS: &[u8] = &[
    0x78, 0, 26, 0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05, 0xbb, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10,
    0x00, 0x00, 0x03, 0x03, 0x20, 0xf1, 0x83, 0x19, 0x60, 0, 6, 0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0,
];
const KEY: &[u8] = &[0x65, 0x88, 0x84, 0x00, 0x33, 0xff];
const PICTURE: &[u8] = &[0x41, 0x9a, 0x24, 0x6c];

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("no {what} within {PATIENCE:?}"))
}

fn driver(change: impl FnOnce(&mut sluicegate_rtc_driver::Config)) -> Driver {
    let listen = vec!["127.0.0.1:0".parse().unwrap()];
    let mut config = sluicegate_rtc_driver::Config { listen, ..sluicegate_rtc_driver::Config::default() };
    change(&mut config);
    Driver::bind(config).unwrap()
}

fn engine(driver: Driver, config: Config) -> (Hub, Engine) {
    let hub = Hub::new(sluicegate_hub::Config::default()).unwrap();
    (hub.clone(), Engine::new(hub, driver, config).unwrap())
}

fn name(text: &str) -> StreamName {
    StreamName::parse(text).unwrap()
}

fn sends() -> Options {
    Options { tracks: vec![Track::Send(Codec::h264())], own_port: true, ..Options::default() }
}

async fn event<T>(connection: &mut Connection, what: &str, fit: impl Fn(&Event) -> Option<T>) -> T {
    within(what, async {
        loop {
            if let Some(found) = fit(&connection.next().await.unwrap_or_else(|| panic!("ended before {what}"))) {
                return found;
            }
        }
    })
    .await
}

fn opened(event: &Event) -> Option<TrackId> {
    if let Event::TrackOpen { track, .. } = event { Some(*track) } else { None }
}

fn connected(event: &Event) -> Option<()> {
    (*event == Event::State(State::Connected)).then_some(())
}

/// Waits until nothing is left: no stream, and no session that its identifier finds.
async fn nothing_is_left(hub: &Hub, engine: &Engine, ids: &[String]) {
    let mut look = interval(Duration::from_millis(10));
    within("end of all streams and sessions", async {
        while !hub.streams().is_empty() || ids.iter().any(|id| engine.session(id).is_some()) {
            look.tick().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_publisher_that_sends_nothing_ends_by_its_deadline() {
    let config = Config { first_packet: Duration::from_millis(700), ..Config::default() };
    let (hub, engine) = engine(driver(|_| {}), config);
    let peer = driver(|_| {});
    let (mut connection, offer) = peer.offer(sends()).await.unwrap();
    let (session, answer) = engine.publish(&name("room/a"), &offer, Publish::by("whip")).await.unwrap();
    connection.handle().accept_answer(answer).await.unwrap();
    event(&mut connection, "connection", connected).await;
    let ending = within("end", session.ended()).await;
    assert!(matches!(&ending, Ending::Failed(why) if why.contains("nothing was received")), "{ending}");
    // It is told, and the name is free at once.
    event(&mut connection, "end", |event| matches!(event, Event::State(State::Closed(_))).then_some(())).await;
    let (_, offer) = peer.offer(sends()).await.unwrap();
    let (again, _) = engine.publish(&name("room/a"), &offer, Publish::by("whip")).await.unwrap();
    again.close();
    within("end", again.ended()).await;
    nothing_is_left(&hub, &engine, &[session.id().to_owned(), again.id().to_owned()]).await;
}

#[tokio::test]
async fn sessions_that_never_finish_leave_nothing() {
    let (hub, engine) = engine(driver(|config| config.connect_timeout = Duration::from_millis(500)), Config::default());
    let peer = driver(|_| {});
    let mut sessions = Vec::new();
    for number in 0..50 {
        let (connection, offer) = peer.offer(sends()).await.unwrap();
        // The peer is gone before the answer comes.
        drop(connection);
        let stream = name(&format!("room/{number}"));
        sessions.push(engine.publish(&stream, &offer, Publish::by("whip")).await.unwrap().0);
    }
    let ids: Vec<String> = sessions.iter().map(|session| session.id().to_owned()).collect();
    for session in &sessions {
        let ending = within("end", session.ended()).await;
        assert_eq!(ending.name(), "no_path");
    }
    nothing_is_left(&hub, &engine, &ids).await;
}

/// Offers that are broken, or too long, are refused before they hold the stream's name.
#[tokio::test]
async fn refused_offers_hold_no_name() {
    let (hub, engine) = engine(driver(|_| {}), Config::default());
    let peer = driver(|_| {});
    let (_connection, offer) = peer.offer(sends()).await.unwrap();
    let no_key = offer.lines().filter(|line| !line.contains("fingerprint")).map(|line| format!("{line}\r\n"));
    let no_codec = offer.replace("H264", "H262");
    let long = format!("{offer}{}", "a=x\r\n".repeat(200_000));
    for broken in [String::new(), "v=0\r\n".to_owned(), no_key.collect(), no_codec, long, offer.replace("m=", "x=")] {
        let refused = engine.publish(&name("room/a"), &broken, Publish::by("whip")).await;
        let Err(error) = refused else { panic!("taken: {}", broken.get(..600).unwrap_or(&broken)) };
        assert!(!matches!(error, Error::Hub(_)), "{error}");
    }
    nothing_is_left(&hub, &engine, &[]).await;
    engine.publish(&name("room/a"), &offer, Publish::by("whip")).await.unwrap();
}

/// Sends a key frame and pictures until the test is over, and counts how often it is asked for a key frame.
async fn publisher(mut connection: Connection, track: TrackId, done: tokio_util::sync::CancellationToken) -> u32 {
    let (mut asked, mut sequence, mut number) = (0, 0_u16, 0_u32);
    let mut pace = interval(Duration::from_millis(40));
    loop {
        tokio::select! {
            () = done.cancelled() => return asked,
            event = connection.next() => match event {
                Some(Event::KeyFrameWanted(_)) => asked += 1,
                Some(_) => {}
                None => return asked,
            },
            _ = pace.tick() => {
                let payloads: &[&'static [u8]] = if number.is_multiple_of(25) { &[SETS, KEY] } else { &[PICTURE] };
                for (place, payload) in payloads.iter().enumerate() {
                    let (marker, payload) = (place + 1 == payloads.len(), bytes::Bytes::from_static(payload));
                    let packet = RtpPacket { sequence, timestamp: number * 3_600, marker, payload };
                    connection.handle().send_rtp(track, vec![packet]).unwrap();
                    sequence = sequence.wrapping_add(1);
                }
                number += 1;
            }
        }
    }
}

/// Ten viewers that ask all the time: the publisher is asked no more often than its pause allows.
#[tokio::test]
async fn requests_for_key_frames_reach_the_publisher_at_a_bounded_rate() {
    let config = Config::default();
    let pause = config.key_frame_pause;
    let (hub, engine) = engine(driver(|_| {}), config);
    let peer = driver(|_| {});
    let (mut connection, offer) = peer.offer(sends()).await.unwrap();
    let (session, answer) = engine.publish(&name("room/a"), &offer, Publish::by("whip")).await.unwrap();
    connection.handle().accept_answer(answer).await.unwrap();
    let track = event(&mut connection, "track", opened).await;
    let done = tokio_util::sync::CancellationToken::new();
    let publishing = tokio::spawn(publisher(connection, track, done.clone()));
    within("packets", session.live()).await.unwrap();

    let mut viewers = Vec::new();
    for _ in 0..10 {
        let takes = vec![Track::Receive(vec![Codec::h264()])];
        let (mut viewer, offer) =
            peer.offer(Options { tracks: takes, own_port: true, ..Options::default() }).await.unwrap();
        let stream = name("room/a");
        let playing = engine.play(&stream, &offer, Viewer::by("whep"));
        let (session, answer) = within("answer", playing).await.unwrap();
        viewer.handle().accept_answer(answer).await.unwrap();
        let track = event(&mut viewer, "track", opened).await;
        assert_eq!(session.estimate(), None);
        viewers.push((viewer, track));
    }
    let (begun, mut pace) = (Instant::now(), interval(Duration::from_millis(20)));
    while begun.elapsed() < Duration::from_secs(3) {
        pace.tick().await;
        viewers.iter().for_each(|(viewer, track)| viewer.handle().request_key_frame(*track));
    }
    done.cancel();
    let (asked, took) = (within("end", publishing).await.unwrap(), begun.elapsed());
    let most = u32::try_from(took.as_millis() / pause.as_millis()).unwrap() + 4;
    assert!((3..=most).contains(&asked), "asked {asked} times, at most {most}");
    drop(viewers);
    session.close();
    nothing_is_left(&hub, &engine, &[session.id().to_owned()]).await;
}

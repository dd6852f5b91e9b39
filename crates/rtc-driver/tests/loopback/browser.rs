//! Chromium as the other end: data channels in both roles, pictures in both directions.

use std::io::Write;

use serde_json::json;
use sluicegate_rtc_driver::media::{Codec, Track, TrackId};
use sluicegate_rtc_driver::{ChannelId, CloseReason, Config, Connection, Driver, Event, Message, Options, State};
use sluicegate_testbed::browser::Browser;
use sluicegate_testbed::peer::{Peer, find};

use crate::peer::{event, within};

/// Signalling in the page: an offer or an answer with all candidates.
const PAGE: &str = "
    globalThis.pc = new RTCPeerConnection();
    globalThis.got = [];
    globalThis.gathered = () => new Promise((done) => {
        const look = () => { if (pc.iceGatheringState === 'complete') done(pc.localDescription.sdp); };
        pc.addEventListener('icegatheringstatechange', look);
        look();
    });
    globalThis.echo = (channel) => {
        globalThis.channel = channel;
        channel.binaryType = 'arraybuffer';
        channel.onmessage = ({data}) => { got.push(data.byteLength ?? data); channel.send(data); };
    };
    pc.ondatachannel = ({channel}) => echo(channel);
    globalThis.offer = async () => { await pc.setLocalDescription(); return gathered(); };
    globalThis.answer = async (sdp) => {
        await pc.setRemoteDescription({type: 'offer', sdp});
        await pc.setLocalDescription();
        return gathered();
    };
    globalThis.accept = async (sdp) => { await pc.setRemoteDescription({type: 'answer', sdp}); return true; };
    true";

/// Chromium takes no part on loopback: the driver listens on the address of the default route. `None` on a host without
/// one.
fn driver() -> Option<Driver> {
    let driver = Driver::bind(Config::default()).unwrap();
    let alone = driver.addresses().iter().all(|address| address.ip().is_loopback());
    if alone {
        let _ = writeln!(std::io::stdout(), "ignored: no network beside loopback");
    }
    (!alone).then_some(driver)
}

async fn page(chromium: &std::path::Path) -> Browser {
    let mut browser = Browser::open(chromium, "about:blank").await;
    assert_eq!(browser.value(PAGE).await, true);
    browser
}

async fn call(browser: &mut Browser, function: &str, sdp: &str) -> serde_json::Value {
    browser.value(&format!("{function}({})", json!(sdp))).await
}

async fn open(connection: &mut Connection) -> ChannelId {
    event(connection, "an open channel", |event| match event {
        Event::ChannelOpen { channel, .. } => Some(*channel),
        _ => None,
    })
    .await
}

fn opened(event: &Event) -> Option<TrackId> {
    match event {
        Event::TrackOpen { track, .. } => Some(*track),
        _ => None,
    }
}

async fn echoes(connection: &mut Connection, channel: ChannelId) {
    let sent =
        [Message::Text("grüß".to_owned()), Message::Binary(vec![7; 200_000].into()), Message::Binary(vec![1].into())];
    for message in sent {
        connection.handle().send(channel, message.clone()).await.unwrap();
        let back = event(connection, "an echo", |event| match event {
            Event::Message { message, .. } => Some(message.clone()),
            _ => None,
        })
        .await;
        assert!(back == message, "{} bytes for {}", back.len(), message.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_channels_work_in_both_roles() {
    let Some(chromium) = find(Peer::Chromium) else { return };
    let Some(driver) = driver() else { return };
    let mut browser = page(&chromium).await;
    let (mut connection, offer) = driver.offer(Options::channel("chunks")).await.unwrap();
    let answer = call(&mut browser, "answer", &offer).await;
    connection.handle().accept_answer(answer.as_str().unwrap()).await.unwrap();
    let channel = open(&mut connection).await;
    echoes(&mut connection, channel).await;
    assert_eq!(browser.value("[channel.label, got.length].join(' ')").await, "chunks 3");
    // A clean close of the page's connection is told.
    browser.value("pc.close()").await;
    event(&mut connection, "the end", |event| (*event == Event::State(State::Closed(CloseReason::Peer))).then_some(()))
        .await;

    assert_eq!(browser.value(PAGE).await, true);
    browser.value("echo(pc.createDataChannel('back'))").await;
    let offer = browser.value("offer()").await;
    let (mut connection, answer) = driver.answer(offer.as_str().unwrap(), Options::default()).await.unwrap();
    assert_eq!(call(&mut browser, "accept", &answer).await, true);
    let channel = open(&mut connection).await;
    echoes(&mut connection, channel).await;
    connection.handle().close();
    browser.until("channel.readyState === 'closed'").await;
    driver.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_published_picture_plays_elsewhere() {
    let Some(chromium) = find(Peer::Chromium) else { return };
    let Some(driver) = driver() else { return };
    for codec in [Codec::vp8(), Codec::h264()] {
        forwarded(&chromium, &driver, codec).await;
    }
    driver.shutdown().await;
}

/// The page publishes a moving picture to one session; its packets go out by another one, and a second page decodes
/// them.
async fn forwarded(chromium: &std::path::Path, driver: &Driver, codec: Codec) {
    let mut publisher = page(chromium).await;
    let canvas = "
        const canvas = document.createElement('canvas');
        [canvas.width, canvas.height] = [320, 240];
        const context = canvas.getContext('2d');
        let turn = 0;
        setInterval(() => { context.fillStyle = `hsl(${turn++ * 7},90%,50%)`; context.fillRect(0, 0, 320, 240); }, 40);
        const stream = canvas.captureStream(25);
        pc.addTransceiver(stream.getVideoTracks()[0], {direction: 'sendonly'});
        true";
    assert_eq!(publisher.value(canvas).await, true);
    let offer = publisher.value("offer()").await;
    let takes = Options { tracks: vec![Track::Receive(vec![codec.clone()])], ..Options::default() };
    let (mut source, answer) = driver.answer(offer.as_str().unwrap(), takes).await.unwrap();
    assert_eq!(call(&mut publisher, "accept", &answer).await, true);

    let mut viewer = page(chromium).await;
    let player = "
        pc.addTransceiver('video', {direction: 'recvonly'});
        pc.addTransceiver('audio', {direction: 'recvonly'});
        const video = document.createElement('video');
        [video.muted, video.autoplay] = [true, true];
        document.body.append(video);
        pc.ontrack = ({track}) => { video.srcObject = new MediaStream([track]); };
        globalThis.video = video;
        true";
    assert_eq!(viewer.value(player).await, true);
    let offer = viewer.value("offer()").await;
    let sends = Options { tracks: vec![Track::Send(codec)], ..Options::default() };
    let (mut sink, answer) = driver.answer(offer.as_str().unwrap(), sends).await.unwrap();
    assert_eq!(call(&mut viewer, "accept", &answer).await, true);
    let outgoing = event(&mut sink, "a track", opened).await;

    let incoming = event(&mut source, "a first packet", opened).await;
    let (to, from) = (sink.handle().clone(), source.handle().clone());
    let forwarding = tokio::spawn(async move {
        while let Some(event) = source.next().await {
            if let Event::Rtp { packet, .. } = event {
                to.send_rtp(outgoing, vec![packet]).unwrap();
            }
        }
    });
    within("decoded pictures", async {
        loop {
            let decoded = viewer.value("video.getVideoPlaybackQuality().totalVideoFrames").await;
            if decoded.as_u64().is_some_and(|decoded| decoded >= 25) {
                return;
            }
            if let Ok(Some(Event::KeyFrameWanted(_))) =
                tokio::time::timeout(std::time::Duration::from_millis(100), sink.next()).await
            {
                from.request_key_frame(incoming);
            }
        }
    })
    .await;
    assert_eq!(viewer.value("[video.videoWidth, video.videoHeight].join('x')").await, "320x240");
    forwarding.abort();
}

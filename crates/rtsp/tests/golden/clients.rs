//! Clients of ours and servers that we push to, as they were recorded, and edited to what encoders and players say.

use std::net::SocketAddr;
use std::sync::Arc;

use sluicegate_hub::{Hub, Publish, StreamName, Viewer};
use sluicegate_media::Kind;
use sluicegate_net::shutdown::Shutdown;
use sluicegate_net::tls::ClientTls;
use sluicegate_rtsp::{Ask, Config, Error, Gate, Limits, Listener, Output, Service, pull, push};
use sluicegate_testbed::{PATIENCE, soon, until};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::script::{Item, Script, Server, ask, header, keep, packets};
use crate::{Seen, seen_while, trust};

const PUBLISHER: &str = "ffmpeg_publishes_to_gstreamer";
const CAMERA: &str = "ffmpeg_plays_from_gstreamer";

struct Anybody;

impl Gate for Anybody {
    fn admits(&self, _: &Ask<'_>) -> bool {
        true
    }
}

/// Our port.
struct Port {
    hub: Hub,
    address: SocketAddr,
    shutdown: Shutdown,
}

impl Drop for Port {
    fn drop(&mut self) {
        self.shutdown.begin();
    }
}

impl Port {
    async fn open() -> Self {
        let hub = Hub::new(sluicegate_hub::Config::default()).unwrap();
        let (output, shutdown) = (Output::new(&hub), Shutdown::new());
        let service = Service::new(hub.clone(), Config::default(), output, Arc::new(Anybody)).unwrap();
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), None, None).await.unwrap();
        let address = listener.local_addr();
        tokio::spawn(service.serve(listener, shutdown.clone()));
        Self { hub, address, shutdown }
    }
}

/// What comes of what a publisher says: the tracks, the frames, and the answers.
async fn published(script: &Script) -> (Vec<&'static str>, Vec<Seen>, Vec<(String, String)>) {
    let port = Port::open().await;
    let (name, looks) = (StreamName::parse("record").unwrap(), Notify::new());
    let viewer = port.hub.subscribe(&name, Viewer::by("test"));
    let mut codecs = Vec::new();
    let talk = async {
        let answered = ask(port.address, &script.client, &looks).await;
        codecs = port.hub.stream(&name).unwrap().tracks.iter().map(|track| track.codec).collect();
        answered
    };
    let (frames, answered) = seen_while(talk, viewer, &looks).await;
    (codecs, frames, answered)
}

fn statuses(answered: &[(String, String)]) -> Vec<(&str, &str)> {
    answered.iter().map(|(method, head)| (method.as_str(), head.split(' ').nth(1).unwrap())).collect()
}

#[tokio::test]
async fn ffmpeg_publishes() {
    let (codecs, frames, answered) = published(&Script::load(PUBLISHER)).await;
    assert_eq!(codecs, ["h264", "aac"]);
    let methods = ["OPTIONS", "ANNOUNCE", "SETUP", "SETUP", "RECORD", "TEARDOWN"];
    assert_eq!(statuses(&answered), methods.map(|method| (method, "200")));
    let of = |kind| frames.iter().filter(|frame| frame.0 == kind).collect::<Vec<_>>();
    let times: Vec<_> = of(Kind::Video).iter().map(|frame| frame.1).collect();
    // Sound began 64 ms before the pictures, which its first report tells when some pictures are through.
    let steps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).filter(|step| *step != 100).collect();
    assert!(times.len() == 20 && steps == [164], "{times:?}");
    assert_eq!(of(Kind::Video).iter().filter(|frame| frame.2).count(), 2);
    let sounds: Vec<_> = of(Kind::Audio).iter().map(|frame| frame.1).collect();
    // Sound travels with the picture that follows it; that behind the last picture may be waiting for one at the end.
    let every_64_ms: Vec<_> = (0..sounds.len()).map(|sound| i64::try_from(sound).unwrap() * 64).collect();
    assert!((29..=33).contains(&sounds.len()) && sounds == every_64_ms, "{sounds:?}");
}

/// What an edit is for, and the edit.
type Quirk = (&'static str, fn(&mut Script));

const QUIRKS: [Quirk; 11] = [
    ("headers in lower case", |script| {
        for name in ["CSeq", "Content-Type", "Content-Length", "Transport", "Session"] {
            script.client_says(&format!("{name}:"), &format!("{}:", name.to_ascii_lowercase()));
        }
    }),
    ("no RTCP", |script| keep(&mut script.client, |channel| channel % 2 == 0)),
    ("RTCP on the channel of RTP", |script| move_reports(script, 0)),
    ("RTCP on the channel of the other's RTCP", |script| move_reports(script, 3)),
    ("no channels asked for", |script| {
        script.client_says(";interleaved=0-1", "");
        script.client_says(";interleaved=2-3", "");
    }),
    ("absolute controls", |script| {
        script.client_says("control:streamid", "control:rtsp://127.0.0.1:18571/record/streamid")
    }),
    ("a description with line feeds only", |script| script.client_says("\r\na=", "\na=")),
    ("a mode in capitals and quotes", |script| script.client_says("mode=record", "mode=\"RECORD\"")),
    ("no type of the description", |script| script.client_says("Content-Type: application/sdp\r\n", "")),
    ("a slash behind the URL", |script| script.client_says("/record RTSP", "/record/ RTSP")),
    ("keep-alives between packets", |script| {
        let head = "GET_PARAMETER rtsp://127.0.0.1:18571/record RTSP/1.0\r\nCSeq: 99\r\nSession: x\r\n\r\n".to_owned();
        script.client.insert(script.client.len() - 10, Item::Text { head, body: String::new() });
    }),
];

fn move_reports(script: &mut Script, to: u8) {
    packets(&mut script.client).filter(|(channel, _)| **channel == 1).for_each(|(channel, _)| *channel = to);
}

#[tokio::test]
async fn quirks_of_publishers_change_nothing() {
    let (_, plain, _) = published(&Script::load(PUBLISHER)).await;
    for (what, edit) in QUIRKS {
        let mut script = Script::load(PUBLISHER);
        edit(&mut script);
        let (codecs, frames, answered) = published(&script).await;
        assert!(statuses(&answered).iter().all(|(_, status)| *status == "200"), "{what}: {answered:?}");
        assert_eq!(codecs, ["h264", "aac"], "{what}");
        // Without reports, the times are those of the packets alone.
        let but_for_times =
            |frames: &[Seen]| frames.iter().map(|(kind, _, key, bytes)| (*kind, *key, bytes.clone())).collect();
        let (seen, expected): (Vec<_>, Vec<_>) = (but_for_times(&frames), but_for_times(&plain));
        assert!(seen == expected, "{what}: {} frames, not {}", frames.len(), plain.len());
    }
}

#[tokio::test]
async fn ffmpeg_and_gstreamer_play() {
    let port = Port::open().await;
    let (camera, name) = (Server::start(&Script::load(CAMERA)).await, StreamName::parse("main").unwrap());
    let url = format!("rtsp://{}/main", camera.address).parse().unwrap();
    // The camera keeps what is behind its first picture: nobody notifies it.
    let limits = Limits { silence: PATIENCE, ..Limits::default() };
    let pulling = pull(&url, trust(), limits, || port.hub.publish(&name, Publish::by("test")));
    tokio::select! {
        end = pulling => unreachable!("{end:?}"),
        () = play(port.address) => {}
    }
}

async fn play(address: SocketAddr) {
    for player in [CAMERA, "gstreamer_plays_from_gstreamer"] {
        let mut script = Script::load(player);
        // They set up what was described to them; our description has other names.
        script.client_says("/stream=", "/trackID=");
        let answered = ask(address, &script.client, &Notify::new()).await;
        assert!(statuses(&answered).iter().all(|(_, status)| *status == "200"), "{player}: {answered:?}");
        let of = |method: &str| {
            let heads = answered.iter().filter(|(asked, _)| asked == method).map(|(_, head)| head);
            heads.collect::<Vec<_>>()
        };
        assert_eq!(header(of("DESCRIBE")[0], "content-type").as_deref(), Some("application/sdp"), "{player}");
        for (place, head) in of("SETUP").into_iter().enumerate() {
            let channels = format!("interleaved={}-{}", 2 * place, 2 * place + 1);
            assert!(header(head, "transport").unwrap().contains(&channels), "{player}: {head}");
        }
        let info = header(of("PLAY")[0], "rtp-info").unwrap();
        assert_eq!(info.matches("rtptime=").count(), 2, "{player}: {info}");
    }
}

/// Pushes a stream to a server that follows the script, until it has got packets; or why not.
async fn pushed(script: &Script) -> Result<Vec<Item>, Error> {
    let (server, camera) = (Server::start(script).await, Server::start(&Script::load(CAMERA)).await);
    let hub = Hub::new(sluicegate_hub::Config::default()).unwrap();
    let (output, name, stop) = (Output::new(&hub), StreamName::parse("cams/door").unwrap(), CancellationToken::new());
    let subscriber = hub.subscribe(&name, Viewer::by("relay"));
    camera.looks.notify_one();
    let source = format!("rtsp://{}/main", camera.address).parse().unwrap();
    let target = format!("rtsp://{}/record", server.address).parse().unwrap();
    let feeding = pull(&source, trust(), Limits::default(), || hub.publish(&name, Publish::by("test")));
    let tls = ClientTls::insecure().unwrap();
    let pushing = push(&target, &tls, subscriber, &output, stop.clone(), || {});
    let got = || async {
        let heard = server.heard.lock().unwrap();
        heard.iter().any(|item| matches!(item, Item::Packet { .. })).then_some(())
    };
    let ending = async {
        feeding.await.unwrap();
        until("packets", got).await;
        stop.cancel();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        end = soon("the end of the push", pushing) => end.map(drop)?,
        () = ending => unreachable!("it waits"),
    }
    let heard = server.heard.lock().unwrap().clone();
    Ok(heard)
}

#[tokio::test]
async fn gstreamer_takes_a_push() {
    let quirks: [Quirk; 6] = [
        ("as it was recorded", |_| {}),
        ("headers in lower case", |script| {
            for name in ["CSeq", "Transport", "Session", "Public"] {
                script.server_says(&format!("{name}:"), &format!("{}:", name.to_ascii_lowercase()));
            }
        }),
        ("a session time of a second", |script| script.server_says("\r\nDate:", ";timeout=1\r\nDate:")),
        ("a session time with spaces", |script| script.server_says("\r\nDate:", " ; timeout = 60\r\nDate:")),
        ("a session time that is none", |script| script.server_says("\r\nDate:", ";timeout=\r\nDate:")),
        ("no channels", |script| {
            script.server_says(";interleaved=0-1", "");
            script.server_says(";interleaved=2-3", "");
        }),
    ];
    for (what, edit) in quirks {
        let mut script = Script::load(PUBLISHER);
        edit(&mut script);
        let heard = pushed(&script).await.unwrap_or_else(|error| panic!("{what}: {error}"));
        let methods: Vec<_> = heard
            .iter()
            .filter_map(|item| match item {
                Item::Text { head, .. } => head.split(' ').next(),
                Item::Packet { .. } => None,
            })
            .collect();
        assert_eq!(methods[..5], ["OPTIONS", "ANNOUNCE", "SETUP", "SETUP", "RECORD"], "{what}");
    }
}

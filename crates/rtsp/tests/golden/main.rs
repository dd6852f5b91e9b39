//! Sessions of ffmpeg and GStreamer, recorded (see `README.md` in this folder), replayed into ours: as they were, and
//! edited to what cameras, players and encoders are known to do.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod cameras;
mod clients;
mod passwords;
mod script;

use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use sluicegate_hub::{Batch, Hub, Publish, StreamName, Subscriber, Viewer};
use sluicegate_media::Kind;
use sluicegate_net::tls::ClientTls;
use sluicegate_rtsp::{Error, Limits, pull};
use sluicegate_testbed::soon;
use tokio::sync::Notify;

use script::{Script, Server};

/// A frame: its kind, milliseconds since the first of its kind, whether it is a key frame, its bytes.
type Seen = (Kind, i64, bool, Bytes);

/// What comes of a pull: codecs with their sizes, frames, and how it ended.
#[derive(Debug)]
struct Pulled {
    tracks: Vec<(&'static str, (u32, u32))>,
    frames: Vec<Seen>,
    end: Result<(), Error>,
}

impl Pulled {
    fn of(&self, kind: Kind) -> Vec<&Seen> {
        self.frames.iter().filter(|frame| frame.0 == kind).collect()
    }
}

/// Nothing here is by TLS.
fn trust() -> &'static ClientTls {
    static TRUST: LazyLock<ClientTls> = LazyLock::new(|| ClientTls::insecure().unwrap());
    &TRUST
}

/// Pulls from a server that follows the script.
async fn pulled(script: &Script) -> Pulled {
    let server = Server::start(script).await;
    let hub = Hub::new(sluicegate_hub::Config::default()).unwrap();
    let name = StreamName::parse("cams/door").unwrap();
    let viewer = hub.subscribe(&name, Viewer::by("test"));
    let url = format!("rtsp://{}/main", server.address).parse().unwrap();
    let limits = Limits { answer: Duration::from_secs(10), silence: Duration::from_secs(3) };
    let pulling = async {
        let end = pull(&url, trust(), limits, || hub.publish(&name, Publish::by("test"))).await;
        (end, hub.stream(&name).map(|status| status.tracks).unwrap_or_default())
    };
    let (frames, (end, status)) = seen_while(pulling, viewer, &server.looks).await;
    let tracks = status.iter().map(|track| (track.codec, (track.width, track.height))).collect();
    Pulled { tracks, frames, end }
}

/// What a viewer sees until something ends, and how that ended.
async fn seen_while<T>(doing: impl Future<Output = T>, mut viewer: Subscriber, looks: &Notify) -> (Vec<Seen>, T) {
    let (mut frames, mut first) = (Vec::new(), [None; 2]);
    let mut note = |batch: &Batch| {
        for frame in &batch.frames {
            let first = first[usize::from(frame.kind() == Kind::Audio)].get_or_insert(frame.dts.millis());
            frames.push((frame.kind(), frame.dts.millis() - *first, frame.key, frame.payload.clone()));
        }
    };
    let end = {
        let looking = async {
            while let Ok(batch) = viewer.next().await {
                looks.notify_one();
                note(&batch);
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            end = soon("the end", doing) => end,
            () = looking => unreachable!("it waits"),
        }
    };
    // What was published last.
    while let Ok(Ok(batch)) = tokio::time::timeout(Duration::ZERO, viewer.next()).await {
        note(&batch);
    }
    (frames, end)
}

//! Nodes far from each other, and over links that lose packets.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sluicegate_net::shutdown::Shutdown;
use sluicegate_netsim::Profile;
use sluicegate_p2p::chunk::Key;
use sluicegate_p2p::node::Node;

use crate::stage::{Shelf, Stage, bytes, connected, within};
use crate::wire::{End, Wire, announced, join};

const A: &str = "aaaaaaaa-1111-1111-1111-aaaaaaaaaaaa";
const B: &str = "bbbbbbbb-2222-2222-2222-bbbbbbbbbbbb";
const ID: &str = "testvideo01:134";

/// How long a peer may take to say that it has a segment: a lost message may cost SCTP some seconds.
const FOUND: Duration = Duration::from_secs(10);

struct Far {
    _stage: Stage,
    _server: (Node, Shutdown),
    node: Node,
    _stop: Shutdown,
    _wire: Wire,
}

/// Two nodes with a link between them; each test has ends of its own.
async fn far(profile: Profile, ends: [u8; 2], segments: &[(&str, u64, usize)]) -> Far {
    let stage = Stage::new().await;
    let config = |uid, end| {
        let mut config = stage.config(uid);
        config.rtc.public_ips = vec![announced(end)];
        config
    };
    let server = stage.start(config(A, ends[0]), Arc::new(Shelf::with(segments)));
    let one = End::new(server.0.addresses()[0]);
    stage.holds(1).await;
    let (node, stop) = stage.start(config(B, ends[1]), Arc::new(Shelf::default()));
    let other = End::new(node.addresses()[0]);
    let wire = join(profile, &one, &other);
    connected(&node, 1).await;
    connected(&server.0, 1).await;
    Far { _stage: stage, _server: server, node, _stop: stop, _wire: wire }
}

async fn fetched(far: &Far, index: u64, length: usize) -> Duration {
    let key = Key::new(ID, index);
    let start = Instant::now();
    let got = within("a segment", far.node.fetch(key.clone(), FOUND)).await;
    assert!(got == Some(bytes(&key, length)), "segment {index}");
    start.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_far_link_is_filled() {
    let profile = Profile { rate: Some(100_000_000), queue_bytes: 4 << 20, ..Profile::CLEAN };
    let profile = profile.with_delay(Duration::from_millis(25));
    let far = far(profile, [1, 2], &[(ID, 0, 1_000_000), (ID, 1, 16_000_000)]).await;
    fetched(&far, 0, 1_000_000).await;
    let time = fetched(&far, 1, 16_000_000).await;
    let mbit = 128.0 / time.as_secs_f64();
    // Slow start among it; a busy host emulates the link less well.
    assert!(mbit > 20.0, "{mbit} Mbit/s of 100");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lossy_link_delivers_every_byte() {
    let profile = Profile::CLEAN.with_delay(Duration::from_millis(5)).with_loss_ppm(50_000);
    // Nearly every message loses a packet; SCTP's waits of a second and more are what takes the time.
    let segments: Vec<(&str, u64, usize)> = (0..3).map(|index| (ID, index, 100_000)).collect();
    let far = far(profile, [3, 4], &segments).await;
    for index in 0..3 {
        fetched(&far, index, 100_000).await;
    }
}

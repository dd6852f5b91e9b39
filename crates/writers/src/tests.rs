//! Writers under a protocol that says nothing of its own.

use std::num::NonZeroUsize;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use sluicegate_hub::{Batch, Config, Expects, Format, Hub, Publish, Publisher, Reason, StreamName};
use sluicegate_media::{Codec, Frame, Timestamp, TrackId, Tracks};
use tokio::io::{AsyncRead, AsyncReadExt, DuplexStream, ReadBuf};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::{Backlog, Conversion, Fate, Feed, Lost, Protocol, Viewer, Writers};

const STALL: Duration = Duration::from_secs(5);
/// More than any of these tests waits for, on the virtual clock.
const LONG: Duration = Duration::from_secs(60);

/// The payloads, after `head;`.
struct Payloads;

impl Format for Payloads {
    fn name(&self) -> &'static str {
        "payloads"
    }

    fn head(&self, _: &Tracks, _: bool, _: Timestamp) -> Bytes {
        Bytes::from_static(b"head;")
    }

    fn body(&self, batch: &Batch) -> Bytes {
        batch.frames.iter().flat_map(|frame| frame.payload.iter().copied()).collect()
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Why {
    Left,
    Lost,
    Stalled,
    Ended(Reason),
    Shutdown,
}

struct Plain {
    socket: DuplexStream,
    conversion: Conversion,
    over: Option<Reason>,
    left: mpsc::UnboundedSender<(Why, Backlog)>,
}

impl Protocol for Plain {
    type Socket = DuplexStream;
    type Outcome = Why;

    fn socket(&mut self) -> &mut DuplexStream {
        &mut self.socket
    }

    fn stall(&self) -> Duration {
        STALL
    }

    fn is_ending(&self) -> bool {
        self.over.is_some()
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, scratch: &mut [u8], feed: &mut Feed, _: Instant) -> Poll<Fate<Why>> {
        let mut buffer = ReadBuf::new(scratch);
        Pin::new(&mut self.socket).poll_read(cx, &mut buffer).map(|read| {
            if read.is_err() || buffer.filled().is_empty() {
                return Fate::Break(Why::Left);
            }
            // Says what it has heard.
            feed.push(Bytes::copy_from_slice(buffer.filled()));
            Fate::Continue(())
        })
    }

    fn handle_batch(&mut self, batch: &Batch, feed: &mut Feed, _: Instant) -> Fate<Why> {
        self.conversion.put(batch, feed);
        Fate::Continue(())
    }

    fn handle_end(&mut self, reason: Reason, feed: &mut Feed, _: Instant) -> Fate<Why> {
        feed.push(Bytes::from_static(b"end"));
        self.over = Some(reason);
        Fate::Continue(())
    }

    fn handle_shutdown(&mut self, _: &mut Feed, _: Instant) -> Fate<Why> {
        Fate::Break(Why::Shutdown)
    }

    fn handle_settled(&mut self, _: &mut Context<'_>) -> Fate<Why> {
        self.over.map_or(Fate::Continue(()), |reason| Fate::Break(Why::Ended(reason)))
    }

    fn lost(&mut self, lost: Lost) -> Why {
        if matches!(lost, Lost::Stalled(STALL)) { Why::Stalled } else { Why::Lost }
    }

    fn leave(self, feed: Feed, outcome: Why) {
        let _ = self.left.send((outcome, feed.into_backlog()));
    }
}

/// A hub, its writers, and the viewers that have left them.
struct Stage {
    hub: Hub,
    output: sluicegate_hub::Output,
    writers: Writers<Plain>,
    shutdown: CancellationToken,
    sender: mpsc::UnboundedSender<(Why, Backlog)>,
    left: mpsc::UnboundedReceiver<(Why, Backlog)>,
}

impl Stage {
    fn new() -> Self {
        let hub = Hub::new(Config::default()).unwrap();
        let output = hub.output(Payloads);
        let (sender, left) = mpsc::unbounded_channel();
        let writers = Writers::new(NonZeroUsize::new(2).unwrap());
        Self { hub, output, writers, shutdown: CancellationToken::new(), sender, left }
    }

    fn publish(&self) -> Publisher {
        self.hub.publish(&name(), Publish::by("test").expecting(Expects::VIDEO)).unwrap()
    }

    /// The far end of a viewer whose socket holds so many bytes.
    fn watch(&self, holds: usize) -> DuplexStream {
        let (socket, far) = tokio::io::duplex(holds);
        let subscriber = self.hub.subscribe(&name(), sluicegate_hub::Viewer::by("test"));
        let conversion = Conversion::new(self.output.clone());
        let plain = Plain { socket, conversion, over: None, left: self.sender.clone() };
        self.writers.add(Viewer::new(Feed::new(subscriber), plain), self.shutdown.clone().cancelled_owned());
        far
    }

    async fn left(&mut self) -> (Why, Backlog) {
        timeout(LONG, self.left.recv()).await.unwrap().unwrap()
    }
}

fn name() -> StreamName {
    StreamName::parse("a/b").unwrap()
}

fn push(publisher: &Publisher, millis: i64, payload: &str) {
    let (dts, payload) = (Timestamp::from_millis(millis), Bytes::copy_from_slice(payload.as_bytes()));
    publisher.push(Frame::media(TrackId::VIDEO, Codec::Vp8, dts, payload).with_key(millis == 0)).unwrap();
}

async fn reads(far: &mut DuplexStream, wanted: &str) {
    let mut got = vec![0; wanted.len()];
    timeout(LONG, far.read_exact(&mut got)).await.unwrap().unwrap();
    assert_eq!(String::from_utf8(got).unwrap(), wanted);
}

#[tokio::test(start_paused = true)]
async fn all_viewers_get_bytes_that_are_made_once() {
    let stage = Stage::new();
    let publisher = stage.publish();
    let mut viewers: Vec<_> = (0..200).map(|_| stage.watch(1 << 10)).collect();
    push(&publisher, 0, "one;");
    push(&publisher, 40, "two;");
    for viewer in &mut viewers {
        reads(viewer, "head;one;two;").await;
    }
    assert_eq!(stage.output.conversions(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_a_viewer_says_is_heard_between_batches() {
    use tokio::io::AsyncWriteExt;
    let stage = Stage::new();
    let publisher = stage.publish();
    let mut viewer = stage.watch(1 << 10);
    push(&publisher, 0, "one;");
    reads(&mut viewer, "head;one;").await;
    viewer.write_all(b"hello;").await.unwrap();
    reads(&mut viewer, "hello;").await;
    push(&publisher, 40, "two;");
    reads(&mut viewer, "two;").await;
}

#[tokio::test(start_paused = true)]
async fn a_viewer_that_takes_nothing_is_given_up_and_others_go_on() {
    let mut stage = Stage::new();
    let publisher = stage.publish();
    let (_stalled, mut well) = (stage.watch(3), stage.watch(1 << 10));
    push(&publisher, 0, "one;");
    let since = Instant::now();
    let (why, backlog) = stage.left().await;
    assert_eq!((why, backlog.bytes()), (Why::Stalled, "head;one;".len() - 3));
    assert!((STALL..STALL * 2).contains(&since.elapsed()));
    push(&publisher, 40, "two;");
    reads(&mut well, "head;one;two;").await;
}

#[tokio::test(start_paused = true)]
async fn the_last_bytes_are_written_before_a_viewer_leaves() {
    let mut stage = Stage::new();
    let publisher = stage.publish();
    let mut viewer = stage.watch(4);
    push(&publisher, 0, "one;");
    reads(&mut viewer, "he").await;
    publisher.finish();
    reads(&mut viewer, "ad;one;end").await;
    let (why, backlog) = stage.left().await;
    assert!(why == Why::Ended(Reason::Finished) && backlog.is_empty());
    drop(viewer);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_server_is_told_to_all_and_to_those_who_come_then() {
    let mut stage = Stage::new();
    let publisher = stage.publish();
    let mut viewer = stage.watch(1 << 10);
    push(&publisher, 0, "one;");
    reads(&mut viewer, "head;one;").await;
    stage.shutdown.cancel();
    assert_eq!(stage.left().await.0, Why::Shutdown);
    let _late = stage.watch(1 << 10);
    assert_eq!(stage.left().await.0, Why::Shutdown);
}

#[tokio::test(start_paused = true)]
async fn a_writer_goes_on_with_a_stream_that_was_forgotten_and_came_again() {
    let mut stage = Stage::new();
    stage.writers = Writers::new(NonZeroUsize::MIN);
    let publisher = stage.publish();
    push(&publisher, 0, "one;");
    // One turn of viewers who stay, and some of the next who leave: when the last goes, the writer has places to look at.
    let mut viewers: Vec<_> = (0..70).map(|_| stage.watch(1 << 10)).collect();
    for viewer in &mut viewers {
        reads(viewer, "head;one;").await;
    }
    for viewer in viewers.drain(64..) {
        drop(viewer);
        assert_eq!(stage.left().await.0, Why::Left);
    }
    publisher.finish();
    for _ in 0..64 {
        assert_eq!(stage.left().await.0, Why::Ended(Reason::Finished));
    }
    let publisher = stage.publish();
    push(&publisher, 0, "new;");
    // It is blocked before its writer waits for the new stream.
    let mut new = stage.watch(2);
    reads(&mut new, "head;new;").await;
    push(&publisher, 40, "two;");
    reads(&mut new, "two;").await;
}

#[tokio::test(start_paused = true)]
async fn a_viewer_that_hangs_up_leaves() {
    let mut stage = Stage::new();
    let publisher = stage.publish();
    let viewer = stage.watch(1 << 10);
    push(&publisher, 0, "one;");
    drop(viewer);
    assert_eq!(stage.left().await.0, Why::Left);
    assert!(stage.hub.stream(&name()).is_some_and(|stream| stream.viewers.is_empty()));
}

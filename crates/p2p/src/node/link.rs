//! The task of one peer: its connection, what it asks for, and the pace of what it gets.

mod chunks;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use sluicegate_rtc_driver as rtc;
use sluicegate_rtc_driver::{ChannelId, CloseReason, Connection, Event, State};
use tokio::sync::mpsc;

use super::state::{Link, Shared, lock};
use super::strand::{Carrier, Made, Name, Strands};
use super::swarm::{News, Notice, writer};
use super::wire;
use crate::chunk::{Code, Key, Message};
use crate::pacer::{Kind, Pacer, Share};
use crate::peer::{Output, Progress, Session};
use crate::probe::{Probe, Verdict};

/// How long a segment, or the answer to a question about one, may take.
const SOURCE: Duration = Duration::from_secs(20);
/// How long a peer may leave no room for a text message.
const SEND: Duration = Duration::from_secs(10);
/// How often the round trip is looked up; it is measured once a second.
const MEASURE: Duration = Duration::from_secs(1);
/// Work under way for a peer, beyond which nothing is loaded ahead.
const AHEAD: usize = 8;

/// What others want of a peer's task.
#[derive(Debug)]
pub(super) enum Command {
    /// The peer's answer to our offer.
    Accept(String),
    /// A later offer of it.
    Renew(String),
    /// An address of it.
    Candidate(String),
    /// See whether it is there, and tell.
    Ping,
    /// Tell it this.
    Say(Message),
    /// A further connection was made, or could not be.
    Strand(Name, Option<Made>),
}

/// What came of work for the peer.
enum Done {
    Looked(Key, Option<u64>),
    Loaded(Key, Result<Bytes, Code>),
    Ahead,
}

struct Channel {
    carrier: Carrier,
    session: Session,
    probe: Probe,
    /// The upload to this peer.
    share: Share,
    /// The next chunk's turn among all peers and by this share.
    slot: Option<Instant>,
}

pub(super) struct Runner {
    shared: Arc<Shared>,
    link: Arc<Link>,
    connection: Connection,
    commands: mpsc::Receiver<Command>,
    tell: mpsc::Sender<Notice>,
    outgoing: mpsc::Sender<String>,
    channel: Option<Channel>,
    strands: Strands,
    work: FuturesUnordered<BoxFuture<'static, Done>>,
    probing: bool,
}

impl Runner {
    pub(super) fn new(
        shared: Arc<Shared>,
        link: Arc<Link>,
        connection: Connection,
        commands: mpsc::Receiver<Command>,
        tell: mpsc::Sender<Notice>,
        outgoing: mpsc::Sender<String>,
    ) -> Self {
        let strands = Strands::new(shared.config.strands.clone());
        let work = FuturesUnordered::new();
        Self { shared, link, connection, commands, tell, outgoing, channel: None, strands, work, probing: false }
    }

    pub(super) async fn run(mut self) {
        let why = self.live().await;
        let orderly = matches!(why, Some(CloseReason::Peer | CloseReason::Local));
        let reason = why.map_or("stopped", CloseReason::name);
        tracing::debug!(peer = self.link.uid, reason, "peer gone");
        self.shared.tell_gone(&self.link.uid);
        self.notify(News::Closed { orderly }).await;
    }

    async fn notify(&mut self, news: News) {
        let notice = Notice { uid: self.link.uid.clone(), number: self.link.number, news };
        // Nobody is there to tell when the node ends.
        let _ = self.tell.send(notice).await;
    }

    /// Returns why the connection has ended.
    async fn live(&mut self) -> Option<CloseReason> {
        let mut measure = tokio::time::interval(MEASURE);
        loop {
            self.act().await?;
            let turn = self.send_chunks().await;
            let probe = self.probe().await;
            tokio::select! {
                event = self.connection.next() => {
                    if let Some(reason) = self.event(event?).await {
                        return Some(reason);
                    }
                }
                command = self.commands.recv() => self.command(command?).await,
                Some(done) = self.work.next(), if !self.work.is_empty() => self.done(done),
                Some((name, came)) = self.strands.next() => self.strand(name, came),
                () = turn.comes() => {}
                () = tokio::time::sleep_until(probe.unwrap_or_else(Instant::now).into()), if probe.is_some() => {}
                _ = measure.tick() => self.measure().await,
            }
        }
    }

    /// Sends a ping where one is due, and tells when the next may be.
    async fn probe(&mut self) -> Option<Instant> {
        let round_trip = lock(&self.link.live).round_trip;
        let channel = self.channel.as_mut()?;
        if channel.session.next_length().is_some() {
            // What follows reports as well.
            return None;
        }
        let buffered = channel.carrier.handle.buffered();
        match channel.probe.verdict(Instant::now(), buffered, round_trip) {
            Verdict::Idle => None,
            Verdict::At(at) => Some(at),
            Verdict::Ping => {
                self.send(&Message::Ping).await;
                Some(Instant::now())
            }
        }
    }

    async fn event(&mut self, event: Event) -> Option<CloseReason> {
        match event {
            Event::State(State::Closed(reason)) => return Some(reason),
            Event::State(state) => {
                lock(&self.link.live).state = match state {
                    State::Connected => "connected",
                    State::Disconnected => "disconnected",
                    _ => "connecting",
                };
            }
            Event::Candidate(candidate) => {
                let text = wire::candidate(&self.shared.config.uid, &self.link.uid, &candidate);
                // While the server is away nobody hears it.
                let _ = self.outgoing.try_send(text);
            }
            Event::ChannelOpen { channel, label, .. } => self.opened(channel, label).await,
            Event::ChannelClosed(id) if self.channel.as_ref().is_some_and(|channel| channel.carrier.channel == id) => {
                self.channel = None;
                self.link.open.store(false, Ordering::Relaxed);
                // A connection without a channel serves nobody.
                self.connection.handle().close();
            }
            Event::Message { channel, message } => self.message(channel, message).await,
            _ => {}
        }
        None
    }

    async fn opened(&mut self, id: ChannelId, label: String) {
        if let Some(old) = self.channel.take() {
            // The peer has chosen another; existing nodes close the earlier one too.
            self.connection.handle().close_channel(old.carrier.channel);
        }
        let kind = {
            let mut live = lock(&self.link.live);
            live.label = Some(label);
            live.kind
        };
        let config = &self.shared.config;
        let now = Instant::now();
        let session = Session::new(now, config.session.clone(), self.shared.window, config.strands.each);
        let pacer = Pacer::new(config.pacing.clone(), kind);
        let carrier = Carrier { handle: self.connection.handle().clone(), channel: id, pacer, used: now };
        let share = Share::new(config.pacing.peer_rate);
        self.channel = Some(Channel { carrier, session, probe: Probe::default(), share, slot: None });
        self.link.open.store(true, Ordering::Relaxed);
        tracing::debug!(peer = self.link.uid, "channel open");
        self.measure().await;
        self.notify(News::Open).await;
    }

    async fn message(&mut self, id: ChannelId, message: rtc::Message) {
        if std::mem::take(&mut self.probing) {
            self.notify(News::Talk).await;
        }
        self.link.received.fetch_add(message.len() as u64, Ordering::Relaxed);
        metrics::counter!("sluicegate_p2p_received_bytes_total").increment(message.len() as u64);
        let Some(channel) = self.channel.as_mut().filter(|channel| channel.carrier.channel == id) else { return };
        match message {
            rtc::Message::Text(text) => channel.session.handle_text(Instant::now(), &text),
            rtc::Message::Binary(bytes) => channel.session.handle_binary(&bytes),
        }
    }

    async fn command(&mut self, command: Command) {
        let handle = self.connection.handle().clone();
        let uid = self.link.uid.clone();
        let failed = match command {
            Command::Accept(answer) => {
                lock(&self.link.live).kind = writer(&answer);
                handle.accept_answer(answer).await.err()
            }
            Command::Candidate(candidate) => handle.add_candidate(candidate).await.err(),
            Command::Renew(offer) => match handle.accept_offer(offer).await {
                Ok(answer) => {
                    let text = wire::description("answer", &self.shared.config.uid, &uid, &answer);
                    let _ = self.outgoing.try_send(text);
                    None
                }
                Err(error) => Some(error),
            },
            Command::Ping => {
                self.probing = true;
                self.say(&Message::Ping).await;
                None
            }
            Command::Say(message) => {
                self.say(&message).await;
                None
            }
            Command::Strand(name, made) => {
                self.made(name, made).await;
                None
            }
        };
        if let Some(error) = failed {
            tracing::debug!(peer = uid, %error, "signalling refused");
        }
    }

    async fn say(&mut self, message: &Message) {
        // A lost pong hurts nobody, and pings behind pongs would never end.
        let matters = !matches!(message, Message::Ping | Message::Pong);
        if let Some(channel) = self.channel.as_mut().filter(|_| matters) {
            channel.probe.handle_sent(Instant::now());
        }
        self.send(message).await;
    }

    /// Sends a text message. A peer that leaves no room for it loses its connection.
    async fn send(&mut self, message: &Message) {
        let Some(channel) = &self.channel else { return };
        let text = message.encode();
        self.link.sent.fetch_add(text.len() as u64, Ordering::Relaxed);
        let handle = self.connection.handle();
        let sent = tokio::time::timeout(SEND, handle.send(channel.carrier.channel, rtc::Message::Text(text))).await;
        if !matches!(sent, Ok(Ok(()))) {
            handle.close();
        }
    }

    fn done(&mut self, done: Done) {
        let Some(channel) = &mut self.channel else { return };
        match done {
            Done::Looked(key, length) => channel.session.handle_looked(key, length),
            Done::Loaded(key, segment) => channel.session.handle_loaded(&key, segment),
            Done::Ahead => {}
        }
    }

    /// Does what the session wants. The loop goes on unless the node ends.
    async fn act(&mut self) -> Option<()> {
        while let Some(output) = self.channel.as_mut().and_then(|channel| channel.session.poll_output()) {
            match output {
                Output::Say(message) => {
                    if let Message::Found(key) = &message {
                        self.ahead(key.clone());
                    }
                    self.say(&message).await;
                }
                Output::Look { key, cached } => self.look(key, cached),
                Output::Load(key) => self.load(key),
                Output::Found(key) => {
                    let ours = self.link.ours.load(Ordering::Relaxed);
                    self.shared.tell(&key, &self.link.uid, &Progress::Found { ours });
                }
                Output::Refused(key, code) => {
                    tracing::debug!(peer = self.link.uid, %key, code = code.name(), "a peer cannot send");
                    self.shared.tell(&key, &self.link.uid, &Progress::Gone);
                }
                Output::Chunk(header, payload) => {
                    let key = header.key.clone();
                    if !self.shared.tell(&key, &self.link.uid, &Progress::Chunk(header, payload)) {
                        metrics::counter!("sluicegate_p2p_dropped_messages_total", "why" => "unwanted").increment(1);
                    }
                }
                Output::Failed(key, code) => {
                    tracing::debug!(peer = self.link.uid, %key, code = code.name(), "a segment cannot be sent");
                    metrics::counter!("sluicegate_p2p_failed_segments_total", "code" => code.name()).increment(1);
                }
                Output::Hello { window, strands } => self.hello(window, strands),
                Output::Offered(number, sdp) => self.offered(number, sdp).await,
                Output::Answered(number, sdp) => self.answered(number, sdp).await,
                Output::Dropped(why) => {
                    metrics::counter!("sluicegate_p2p_dropped_messages_total", "why" => why).increment(1);
                }
            }
        }
        Some(())
    }

    fn hello(&mut self, window: Option<u32>, strands: usize) {
        self.link.ours.store(true, Ordering::Relaxed);
        self.strands.allow(strands);
        if let (Some(channel), Some(window)) = (&mut self.channel, window) {
            let kind = Kind::Node { window };
            channel.carrier.pacer.set_kind(kind);
            lock(&self.link.live).kind = kind;
        }
    }

    fn look(&self, key: Key, cached: bool) {
        if cached && !self.shared.segments.cached(&key) {
            self.work.push(Box::pin(std::future::ready(Done::Looked(key, None))));
            return;
        }
        let length = self.shared.segments.length(key.clone());
        self.work.push(Box::pin(async move {
            let length = tokio::time::timeout(SOURCE, length).await;
            Done::Looked(key, length.unwrap_or_default())
        }));
    }

    fn load(&self, key: Key) {
        let segment = self.shared.segments.segment(key.clone());
        self.work.push(Box::pin(async move {
            let segment = tokio::time::timeout(SOURCE, segment).await;
            Done::Loaded(key, segment.unwrap_or(Err(Code::Source)))
        }));
    }

    /// Loads a segment that the peer will probably want.
    fn ahead(&self, key: Key) {
        if self.shared.config.prefetch && self.work.len() < AHEAD {
            let segment = self.shared.segments.segment(key);
            self.work.push(Box::pin(async move {
                // Whoever wants it later is told what was wrong.
                let _ = tokio::time::timeout(SOURCE, segment).await;
                Done::Ahead
            }));
        }
    }
}

//! One loop: commands, datagrams and deadlines in; then each session that something happened to runs once, and what
//! came of it goes out.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::ports::{Port, Ports};
use super::streams::Streams;
use super::turn::Turn;
use super::{Command, Reply, Request};
use crate::connection::{MAX_NEWS, Shared};
use crate::endpoint::{Counters, Datagram};
use crate::media::Options;
use crate::metrics;
use crate::socket::{Full, Outbox, Reader, Socket, Sockets};
use crate::{CloseReason, Config, Connection, Endpoint, Error, Event, SessionId, State};

/// Commands taken in one turn of the loop, so that datagrams and deadlines are not kept waiting.
const MAX_COMMANDS: usize = 256;

/// Bytes that are sent before more is encrypted; an `Outlet` has room for them. Much less wakes receivers on the same host for each picture, much more
/// does not stay in the processor's cache.
const FLUSH_AT: usize = 1024 * 1024;

/// Where a session's events go.
struct Owner {
    events: mpsc::UnboundedSender<Event>,
    shared: Arc<Shared>,
    /// Bytes of messages for which room was taken and not given back.
    accepted: usize,
    /// The session's own sockets.
    ports: Vec<Port>,
}

/// The driver's task.
pub(super) struct Task {
    config: Arc<Config>,
    endpoint: Endpoint,
    sockets: Sockets,
    /// The shared sockets. Those of single sessions have a task each, so that none is looked at in vain.
    readers: Vec<Reader>,
    ports: Ports,
    /// Peers by TCP.
    streams: Streams,
    turn: Turn,
    inbox: mpsc::UnboundedReceiver<Command>,
    /// For new handles; weak, so that the task ends when all handles are gone.
    commands: mpsc::WeakUnboundedSender<Command>,
    owners: HashMap<SessionId, Owner>,
    outbox: Outbox,
    arrived: Vec<Datagram>,
    shown: Counters,
}

impl Task {
    pub(super) fn new(
        config: Arc<Config>,
        endpoint: Endpoint,
        sockets: Vec<Arc<Socket>>,
        listeners: Vec<(usize, TcpListener)>,
        inbox: mpsc::UnboundedReceiver<Command>,
        commands: mpsc::WeakUnboundedSender<Command>,
    ) -> Self {
        let outbox = Outbox::new(config.backlog);
        let shown = Counters::default();
        let (owners, arrived) = (HashMap::new(), Vec::new());
        let read = |(number, socket): (usize, &Arc<Socket>)| Reader::new(number, Arc::clone(socket), usize::MAX);
        let readers = sockets.iter().enumerate().map(read).collect();
        let sockets = sockets.into_iter().enumerate().collect();
        let ports = Ports::default();
        let streams = Streams::start(listeners, config.max_sessions, ports.inlet());
        let turn = Turn::new(commands.clone());
        Self {
            config,
            endpoint,
            sockets,
            readers,
            ports,
            streams,
            turn,
            inbox,
            commands,
            owners,
            outbox,
            arrived,
            shown,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            match self.turn().await {
                None => {}
                Some(done) => {
                    self.close_all();
                    drop(self);
                    if let Some(done) = done {
                        // Nobody may wait any more.
                        let _ = done.send(());
                    }
                    return;
                }
            }
        }
    }

    /// Waits for something to do and does it. `Some` is the wish to stop.
    async fn turn(&mut self) -> Option<Option<tokio::sync::oneshot::Sender<()>>> {
        let deadline = self.endpoint.poll_timeout();
        let sleep = async {
            match deadline {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        let blocked = self.outbox.blocked_on();
        let mut command = None;
        tokio::select! {
            taken = self.inbox.recv(), if blocked.is_none() => command = Some(taken.unwrap_or(Command::Stop(None))),
            () = exchange(&mut self.readers, blocked, &mut self.arrived) => {}
            batch = self.ports.receive() => self.arrived.extend(batch),
            () = sleep => {}
        }
        let now = Instant::now();
        for _ in 0..MAX_COMMANDS {
            match command.take() {
                None => break,
                Some(Command::Stop(done)) => return Some(done),
                Some(other) => self.handle(now, other),
            }
            command = self.inbox.try_recv().ok();
        }
        if let Some(left) = command {
            match left {
                Command::Stop(done) => return Some(done),
                other => self.handle(now, other),
            }
        }
        for datagram in std::mem::take(&mut self.arrived) {
            self.endpoint.handle_datagram(now, datagram);
        }
        self.endpoint.handle_timeout(now);
        self.settle(now);
        None
    }

    /// Runs the touched sessions and carries out what they want.
    fn settle(&mut self, now: Instant) {
        while let Some(news) = self.endpoint.poll_relay(now) {
            self.turn.tell(news);
        }
        loop {
            let ran = self.endpoint.flush(now);
            for id in &ran {
                self.release_room(*id);
            }
            while let Some((id, event)) = self.endpoint.poll_event() {
                self.deliver(now, id, event);
            }
            for id in &ran {
                if let Some(owner) = self.owners.get(id)
                    && owner.shared.pause()
                {
                    self.endpoint.set_reading(*id, false);
                }
            }
            if ran.is_empty() {
                break;
            }
        }
        self.collect();
        self.outbox.flush(&self.sockets);
        if self.outbox.blocked_on().is_none() {
            for port in self.ports.retired() {
                self.sockets.remove(&port);
                self.endpoint.remove_socket(port);
            }
        }
        let counters = self.endpoint.counters();
        let changing = |counters: Counters| (counters.strays, counters.panics, counters.unrelayed);
        if changing(counters) != changing(self.shown) {
            self.shown = counters;
            metrics::endpoint(counters);
        }
    }

    /// Takes what is to leave.
    fn collect(&mut self) {
        let mut lost = 0;
        while let Some(outgoing) = self.endpoint.poll_transmit() {
            let by_stream = self.streams.send(&outgoing).or_else(|| self.turn.send(&outgoing));
            let sent = by_stream.unwrap_or_else(|| self.outbox.push(outgoing));
            lost += u64::from(!sent);
        }
        if lost > 0 {
            metrics::lost(lost);
        }
    }

    fn release_room(&mut self, id: SessionId) {
        if let Some(owner) = self.owners.get_mut(&id) {
            let buffered = self.endpoint.buffered(id);
            let released = owner.accepted.saturating_sub(buffered);
            owner.accepted -= released;
            if released > 0 {
                owner.shared.room.add_permits(released);
                owner.shared.released.notify_waiters();
            }
        }
    }

    fn deliver(&mut self, now: Instant, id: SessionId, event: Event) {
        let Some(owner) = self.owners.get(&id) else { return };
        let closed = match &event {
            Event::State(State::Closed(reason)) => Some(*reason),
            _ => None,
        };
        if matches!(event, Event::Rtp { .. }) && owner.shared.behind() {
            metrics::dropped_packet();
            return;
        }
        let waiting = owner.shared.enqueued(&event);
        // An owner that is gone has asked for the session's end.
        let _ = owner.events.send(event);
        if let Some(reason) = closed {
            owner.shared.room.close();
            owner.shared.released.notify_waiters();
            // The goodbye is still to leave by the session's own sockets.
            let ports = self.owners.remove(&id).map(|owner| owner.ports).unwrap_or_default();
            self.ports.retire(ports);
            metrics::session_ended(reason.name());
            tracing::debug!(session = %id, reason = reason.name(), "session ended");
        } else if waiting > MAX_NEWS {
            self.endpoint.end(now, id, CloseReason::Overrun);
        }
    }

    fn handle(&mut self, now: Instant, command: Command) {
        match command {
            Command::Offer(options, reply) => {
                let (made, ports) = self.offer(now, &options);
                self.connect(made, ports, reply);
            }
            Command::Answer(offer, options, reply) => {
                let made = self.endpoint.answer(now, &offer, &options);
                self.connect(made, Vec::new(), reply);
            }
            Command::Session(id, request) => self.request(now, id, request),
            Command::StunServer(server) => self.endpoint.set_stun_server(now, server),
            Command::TurnServer(server) => {
                let opened = self.turn.open(&self.config, &self.ports, server, &mut self.endpoint, &mut self.sockets);
                self.ports.retire(opened.into_iter().collect());
            }
            Command::TurnEnded(ended) => self.turn.ended(now, ended, &mut self.endpoint),
            Command::Count(reply) => answer(reply, self.endpoint.counters()),
            Command::Stop(_) => {}
        }
    }

    fn offer(&mut self, now: Instant, options: &Options) -> (Result<(SessionId, String), Error>, Vec<Port>) {
        if !options.own_port {
            return (self.endpoint.offer(now, options), Vec::new());
        }
        let opened = self.ports.open(&self.config, &mut self.endpoint, &mut self.sockets);
        let (failed, ports) = opened;
        if let Some(error) = failed {
            self.ports.retire(ports);
            return (Err(error), Vec::new());
        }
        let numbers: Vec<usize> = ports.iter().map(|port| port.number).collect();
        let made = self.endpoint.offer_from(now, &numbers, options);
        if made.is_ok() {
            return (made, ports);
        }
        self.ports.retire(ports);
        (made, Vec::new())
    }

    fn connect(
        &mut self,
        made: Result<(SessionId, String), Error>,
        ports: Vec<Port>,
        reply: Reply<(Connection, String)>,
    ) {
        let connected = made.and_then(|(id, description)| {
            let commands = self.commands.upgrade().ok_or(Error::Stopped)?;
            let shared = Arc::new(Shared::new(Arc::clone(&self.config)));
            let (events, receiver) = mpsc::unbounded_channel();
            self.owners.insert(id, Owner { events, shared: Arc::clone(&shared), accepted: 0, ports });
            metrics::session_began();
            tracing::debug!(session = %id, "session began");
            Ok((Connection::new(id, commands, shared, receiver), description))
        });
        answer(reply, connected);
    }

    fn request(&mut self, now: Instant, id: SessionId, request: Request) {
        let endpoint = &mut self.endpoint;
        match request {
            Request::AcceptAnswer(sdp, reply) => answer(reply, endpoint.accept_answer(now, id, &sdp)),
            Request::AcceptOffer(sdp, reply) => answer(reply, endpoint.accept_offer(now, id, &sdp)),
            Request::RenewOffer(restart, reply) => answer(reply, endpoint.renew_offer(now, id, restart)),
            Request::AddCandidate(candidate, reply) => answer(reply, endpoint.add_candidate(now, id, &candidate)),
            Request::OpenChannel(label, options, reply) => {
                answer(reply, endpoint.open_channel(now, id, &label, &options));
            }
            Request::CloseChannel(channel) => endpoint.close_channel(now, id, channel),
            Request::Send(channel, message, reply) => {
                // The handle has taken room for it; a refused message gives it back when the session has run.
                if let Some(owner) = self.owners.get_mut(&id) {
                    owner.accepted += message.len();
                }
                answer(reply, endpoint.send(now, id, channel, message));
            }
            Request::SendRtp(track, packets, add) => {
                // Packets that do not go out are lost, as on any network: the track may not be agreed yet.
                let _ = endpoint.send_rtp(now, id, track, &packets, add);
                if let Some(owner) = self.owners.get(&id) {
                    owner.shared.packets_left(packets.len());
                }
                self.collect();
                if self.outbox.queued() >= FLUSH_AT {
                    self.outbox.flush(&self.sockets);
                }
            }
            Request::KeyFrame(track) => {
                // A track without a packet yet starts with a key frame.
                let _ = endpoint.request_key_frame(now, id, track);
            }
            // A session that is not up yet makes its reports later, of what it sends.
            Request::Clock(at, timestamps) => drop(endpoint.tell_clock(now, id, at, &timestamps)),
            Request::Status(reply) => answer(reply, endpoint.status(id)),
            Request::Resume => endpoint.set_reading(id, true),
            Request::Close => endpoint.close(now, id),
        }
    }

    fn close_all(&mut self) {
        let now = Instant::now();
        for id in self.owners.keys().copied().collect::<Vec<_>>() {
            self.endpoint.close(now, id);
        }
        self.settle(now);
        self.endpoint.close_relay(now);
        self.collect();
        self.outbox.flush(&self.sockets);
    }
}

/// Replies to a caller, who may have gone.
fn answer<T>(reply: tokio::sync::oneshot::Sender<T>, value: T) {
    let _ = reply.send(value);
}

/// Waits until datagrams have come, or the socket that is full takes more.
async fn exchange(readers: &mut [Reader], blocked: Option<&Full>, into: &mut Vec<Datagram>) {
    poll_fn(|context| {
        let mut ready = false;
        for reader in readers.iter_mut() {
            match reader.poll_receive(context, into) {
                Poll::Ready(Err(error)) => {
                    // The host reports what became of earlier sends this way; the socket itself goes on.
                    tracing::debug!(%error, "receiving failed");
                    ready = true;
                }
                Poll::Ready(Ok(())) => ready = true,
                Poll::Pending => {}
            }
        }
        ready |= blocked.is_some_and(|full| full.poll_writable(context).is_ready());
        if ready { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

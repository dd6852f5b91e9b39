//! The task that keeps the table of peers and does what it decides.

use std::sync::Arc;
use std::time::Instant;

use sluicegate_net::shutdown::Shutdown;
use sluicegate_rtc_driver::{ChannelOptions, Connection, Driver, Options};
use tokio::sync::mpsc;

use super::link::{Command, Runner};
use super::state::{Link, Shared, lock};
use super::strand::{Made, Name};
use super::table::{Action, Table};
use super::wire::{self, Heard};
use crate::pacer::Kind;

/// The label of a channel that existing nodes open.
const LABEL: &str = "dc";
/// Commands that wait for one peer.
const COMMANDS: usize = 256;
/// What peers' tasks tell, and waits for the table.
const NOTICES: usize = 1_024;

/// What a peer's task tells.
#[derive(Debug)]
pub(super) struct Notice {
    pub(super) uid: String,
    pub(super) number: u64,
    pub(super) news: News,
}

#[derive(Debug)]
pub(super) enum News {
    /// Its channel is open.
    Open,
    /// It has said something after a ping.
    Talk,
    /// Its connection has ended.
    Closed { orderly: bool },
    /// It is to have a further connection: for its own offer, or for one of ours.
    Strand(Name, Option<String>),
}

pub(super) struct Swarm {
    shared: Arc<Shared>,
    driver: Driver,
    table: Table,
    outgoing: mpsc::Sender<String>,
    incoming: mpsc::Receiver<String>,
    tell: mpsc::Sender<Notice>,
    told: mpsc::Receiver<Notice>,
    last: u64,
}

/// A description's writer is a browser, or somebody who cannot be told from one. Browsers name loopback in the origin
/// (libwebrtc) or themselves (Firefox); server stacks name `0.0.0.0` and no user.
pub(super) fn writer(sdp: &str) -> Kind {
    let origin = sdp.lines().find_map(|line| line.strip_prefix("o=")).unwrap_or_default();
    let fields: Vec<&str> = origin.split_whitespace().collect();
    match fields.as_slice() {
        ["-", _, _, _, _, "0.0.0.0"] => Kind::Stack,
        _ => Kind::Browser,
    }
}

impl Swarm {
    pub(super) fn new(
        shared: Arc<Shared>,
        driver: Driver,
        outgoing: mpsc::Sender<String>,
        incoming: mpsc::Receiver<String>,
    ) -> Self {
        let table = Table::new(shared.config.uid.clone(), shared.config.peers);
        let (tell, told) = mpsc::channel(NOTICES);
        Self { shared, driver, table, outgoing, incoming, tell, told, last: 0 }
    }

    pub(super) async fn run(mut self, shutdown: Shutdown) {
        let guard = shutdown.guard();
        loop {
            while let Some(action) = self.table.poll_action() {
                self.act(action).await;
            }
            metrics::gauge!("sluicegate_p2p_peers").set(self.table.len() as f64);
            let deadline = self.table.poll_timeout();
            let due = async {
                match deadline {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = shutdown.begun() => break,
                text = self.incoming.recv() => match text {
                    Some(text) => self.hear(&text),
                    None => break,
                },
                Some(notice) = self.told.recv() => self.note(notice).await,
                () = due => self.table.handle_timeout(Instant::now()),
            }
        }
        for link in lock(&self.shared.links).drain().map(|(_, link)| link) {
            if let Some(abort) = lock(&link.abort).take() {
                abort.abort();
            }
        }
        self.driver.shutdown().await;
        drop(guard);
    }

    fn hear(&mut self, text: &str) {
        let Some(heard) = Heard::decode(text, &self.shared.config.uid) else { return };
        if !self.table.handle_heard(Instant::now(), heard) {
            metrics::counter!("sluicegate_p2p_refused_peers_total").increment(1);
            tracing::debug!(limit = self.shared.config.peers, "no room for a peer");
        }
    }

    async fn note(&mut self, notice: Notice) {
        let Notice { uid, number, news } = notice;
        // What an earlier connection still tells changes nothing.
        if lock(&self.shared.links).get(&uid).is_none_or(|link| link.number != number) {
            return;
        }
        match news {
            News::Open => self.table.handle_open(&uid),
            News::Talk => self.table.handle_talk(&uid),
            News::Closed { orderly } => {
                lock(&self.shared.links).remove(&uid);
                self.table.handle_closed(Instant::now(), &uid, orderly);
            }
            News::Strand(name, offer) => {
                let made = self.strand(offer).await;
                self.command(&uid, Command::Strand(name, made));
            }
        }
    }

    /// Makes a further connection, where there is a place for it.
    async fn strand(&self, offer: Option<String>) -> Option<Made> {
        let permit = Arc::clone(&self.shared.strands).try_acquire_owned().ok()?;
        let made = match offer {
            Some(offer) => self.driver.answer(offer, Options::default()).await,
            None => {
                // Chunks may come in any order: none waits for what another has lost.
                let unordered = ChannelOptions { ordered: false, ..ChannelOptions::default() };
                let channels = vec![(LABEL.to_owned(), unordered)];
                // Two connections between the same two ports cannot be told apart.
                self.driver.offer(Options { channels, own_port: true, ..Options::default() }).await
            }
        };
        let (connection, sdp) = made.inspect_err(|error| tracing::debug!(%error, "no further connection")).ok()?;
        Some(Made { connection, sdp, permit })
    }

    fn command(&self, uid: &str, command: Command) {
        if let Some(link) = lock(&self.shared.links).get(uid) {
            // Whoever lets 256 commands wait loses the next; its deadlines end it.
            let _ = link.commands.try_send(command);
        }
    }

    async fn act(&mut self, action: Action) {
        match action {
            Action::Offer(uid) => {
                let options =
                    Options { channels: vec![(LABEL.to_owned(), ChannelOptions::default())], ..Options::default() };
                match self.driver.offer(options).await {
                    Ok((connection, sdp)) => self.connect("offer", uid, connection, &sdp, Kind::Browser),
                    Err(error) => self.failed(&uid, &error),
                }
            }
            Action::Answer(uid, offer) => {
                let kind = writer(&offer);
                match self.driver.answer(offer, Options::default()).await {
                    Ok((connection, sdp)) => self.connect("answer", uid, connection, &sdp, kind),
                    Err(error) => self.failed(&uid, &error),
                }
            }
            Action::Renew(uid, offer) => self.command(&uid, Command::Renew(offer)),
            Action::Accept(uid, answer) => self.command(&uid, Command::Accept(answer)),
            Action::Candidate(uid, candidate) => self.command(&uid, Command::Candidate(candidate)),
            Action::Ping(uid) => self.command(&uid, Command::Ping),
            Action::Drop(uid, why) => {
                let link = lock(&self.shared.links).remove(&uid);
                if let Some(link) = link {
                    tracing::debug!(peer = uid, why, "peer dropped");
                    self.shared.tell_gone(&uid);
                    // With the task goes its connection, and the other end is told.
                    if let Some(abort) = lock(&link.abort).take() {
                        abort.abort();
                    }
                }
            }
        }
    }

    fn failed(&mut self, uid: &str, error: &sluicegate_rtc_driver::Error) {
        tracing::debug!(peer = uid, %error, "no session");
        metrics::counter!("sluicegate_p2p_refused_peers_total").increment(1);
        self.table.handle_closed(Instant::now(), uid, false);
    }

    /// Sends the description, then lets the peer's task send candidates.
    fn connect(&mut self, event: &str, uid: String, connection: Connection, sdp: &str, kind: Kind) {
        metrics::counter!("sluicegate_p2p_sessions_total", "role" => if event == "offer" { "caller" } else { "called" })
            .increment(1);
        self.last += 1;
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let link = Arc::new(Link::new(uid.clone(), self.last, commands));
        lock(&link.live).kind = kind;
        // While the server is away nobody hears it; the deadlines of both ends let them try again.
        let _ = self.outgoing.try_send(wire::description(event, &self.shared.config.uid, &uid, sdp));
        let runner = Runner::new(
            Arc::clone(&self.shared),
            Arc::clone(&link),
            connection,
            inbox,
            self.tell.clone(),
            self.outgoing.clone(),
        );
        let task = tokio::spawn(runner.run());
        *lock(&link.abort) = Some(task.abort_handle());
        lock(&self.shared.links).insert(uid, link);
    }
}

//! Who is connected, who is called and who calls: messages and instants in, actions out.
//!
//! *Input*: [`Table::handle_heard`], [`Table::handle_open`], [`Table::handle_talk`], [`Table::handle_closed`],
//! [`Table::handle_timeout`]. *Output*: [`Table::poll_action`] until it is empty, then [`Table::poll_timeout`].

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use super::wire::Heard;

/// How long a peer that is said to have come again may take to answer a ping before it is called anew. A browser waits
/// 5 s.
const PROBE: Duration = Duration::from_secs(2);
/// How long a connection may take until its channel is open: the driver's own deadlines end most sooner.
const OPEN: Duration = Duration::from_secs(40);
/// How soon a peer that has called may call anew; each call costs a session. What comes sooner is not heard.
const CALLS: Duration = Duration::from_millis(200);
/// Waits before a peer is called again whose connection failed.
const RETRIES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(4), Duration::from_secs(15)];
/// Uids of others that are remembered as online.
const MAX_ONLINE: usize = 10_000;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Call this peer.
    Offer(String),
    /// Take this peer's call.
    Answer(String, String),
    /// Give this peer's later offer to its connection.
    Renew(String, String),
    /// Give this peer's answer to its connection.
    Accept(String, String),
    /// Give an address of this peer to its connection.
    Candidate(String, String),
    /// See whether this peer is still there.
    Ping(String),
    /// End the connection, and why.
    Drop(String, &'static str),
}

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// We have called.
    Offered,
    /// Both descriptions are there.
    Connecting,
    /// The channel is open.
    Open,
}

#[derive(Debug)]
struct Peer {
    stage: Stage,
    /// We have called, not the peer.
    called: bool,
    /// The session that the peer's description names; a later offer of the same one belongs to the same connection.
    origin: Option<String>,
    /// When it began.
    began: Instant,
    /// When it ends unless something is heard.
    deadline: Option<Instant>,
}

/// The peers of a node.
#[derive(Debug)]
pub struct Table {
    own: String,
    limit: usize,
    online: HashSet<String>,
    peers: HashMap<String, Peer>,
    /// Who is to be called again, and when.
    retries: BTreeMap<String, Instant>,
    /// How often that has been.
    tries: HashMap<String, usize>,
    actions: VecDeque<Action>,
}

/// The session that a description names (RFC 8866 section 5.2): the second field of its `o=` line, which stays the same
/// for the life of a connection (RFC 8829 section 5.2.1).
fn origin(sdp: &str) -> Option<String> {
    let line = sdp.lines().find_map(|line| line.strip_prefix("o="))?;
    line.split_whitespace().nth(1).map(str::to_owned)
}

impl Table {
    /// A node of this uid without peers, which takes `limit` of them.
    #[must_use]
    pub fn new(own: String, limit: usize) -> Self {
        Self {
            own,
            limit,
            online: HashSet::new(),
            peers: HashMap::new(),
            retries: BTreeMap::new(),
            tries: HashMap::new(),
            actions: VecDeque::new(),
        }
    }

    /// Takes what came through the signalling server. Tells whether there was room for it.
    pub fn handle_heard(&mut self, now: Instant, heard: Heard) -> bool {
        match heard {
            Heard::Init(ids) => {
                self.online = ids.into_iter().take(MAX_ONLINE).collect();
                // Those who were there before us call. Those whom we know may have gone while we were away.
                for id in &self.online {
                    if let Some(peer) = self.peers.get_mut(id).filter(|peer| peer.stage == Stage::Open) {
                        peer.deadline = Some(now + PROBE);
                        self.actions.push_back(Action::Ping(id.clone()));
                    }
                }
                true
            }
            Heard::Online(id) => {
                if self.online.len() < MAX_ONLINE {
                    self.online.insert(id.clone());
                }
                self.forget_tries(&id);
                self.appeared(now, id)
            }
            Heard::Offline(id) => {
                self.online.remove(&id);
                self.forget_tries(&id);
                true
            }
            Heard::Offer { from, sdp, ours } => self.called(now, from, sdp, ours),
            Heard::Answer { from, sdp } => {
                if let Some(peer) = self.peers.get_mut(&from).filter(|peer| peer.stage == Stage::Offered) {
                    (peer.stage, peer.origin) = (Stage::Connecting, origin(&sdp));
                    self.actions.push_back(Action::Accept(from, sdp));
                }
                true
            }
            Heard::Candidate { from, candidate } => {
                if self.peers.contains_key(&from) {
                    self.actions.push_back(Action::Candidate(from, candidate));
                }
                true
            }
        }
    }

    fn forget_tries(&mut self, id: &str) {
        self.retries.remove(id);
        self.tries.remove(id);
    }

    fn enter(&mut self, now: Instant, id: String, stage: Stage, called: bool, origin: Option<String>) {
        self.retries.remove(&id);
        self.peers.insert(id, Peer { stage, called, origin, began: now, deadline: Some(now + OPEN) });
    }

    fn call(&mut self, now: Instant, id: String) -> bool {
        if self.peers.len() >= self.limit {
            return false;
        }
        self.enter(now, id.clone(), Stage::Offered, true, None);
        self.actions.push_back(Action::Offer(id));
        true
    }

    fn drop_peer(&mut self, id: &str, why: &'static str) {
        if self.peers.remove(id).is_some() {
            self.actions.push_back(Action::Drop(id.to_owned(), why));
        }
    }

    /// Somebody has a new socket. One that we know may have only reconnected, or be another program with the same uid.
    fn appeared(&mut self, now: Instant, id: String) -> bool {
        match self.peers.get_mut(&id) {
            Some(peer) if peer.stage == Stage::Open => {
                peer.deadline = Some(now + PROBE);
                self.actions.push_back(Action::Ping(id));
                true
            }
            known => {
                // What was on its way to the old socket is lost.
                if known.is_some() {
                    self.drop_peer(&id, "it came again");
                }
                self.call(now, id)
            }
        }
    }

    fn called(&mut self, now: Instant, from: String, sdp: String, ours: bool) -> bool {
        let named = origin(&sdp);
        if let Some(peer) = self.peers.get(&from) {
            if peer.stage != Stage::Offered && named.is_some() && peer.origin == named {
                self.actions.push_back(Action::Renew(from, sdp));
                return true;
            }
            if !peer.called && now < peer.began + CALLS {
                return true;
            }
            // Two nodes of ours have called each other: the call of the smaller uid counts, for both. An existing node
            // has no rule for it and waits for our answer.
            if peer.stage == Stage::Offered && ours && self.own < from {
                return true;
            }
            self.drop_peer(&from, "it calls anew");
        }
        if self.peers.len() >= self.limit {
            return false;
        }
        self.enter(now, from.clone(), Stage::Connecting, false, named);
        self.actions.push_back(Action::Answer(from, sdp));
        true
    }

    /// A peer's channel is open.
    pub fn handle_open(&mut self, id: &str) {
        if let Some(peer) = self.peers.get_mut(id) {
            (peer.stage, peer.deadline) = (Stage::Open, None);
            self.tries.remove(id);
        }
    }

    /// Something came over a peer's channel.
    pub fn handle_talk(&mut self, id: &str) {
        if let Some(peer) = self.peers.get_mut(id).filter(|peer| peer.stage == Stage::Open) {
            peer.deadline = None;
        }
    }

    /// A peer's connection has ended. One that we had called is called again while it is online; `orderly` is an end
    /// that the peer wanted.
    pub fn handle_closed(&mut self, now: Instant, id: &str, orderly: bool) {
        let Some(peer) = self.peers.remove(id) else { return };
        if !orderly && peer.called {
            self.retry(now, id);
        }
    }

    fn retry(&mut self, now: Instant, id: &str) {
        if !self.online.contains(id) {
            return;
        }
        let tries = self.tries.entry(id.to_owned()).or_default();
        if let Some(wait) = RETRIES.get(*tries) {
            *tries += 1;
            self.retries.insert(id.to_owned(), now + *wait);
        } else {
            self.tries.remove(id);
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let due = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        let late: Vec<String> =
            self.peers.iter().filter(|(_, peer)| due(peer.deadline)).map(|(id, _)| id.clone()).collect();
        for id in late {
            let (probed, called) =
                self.peers.get(&id).map_or((false, false), |peer| (peer.stage == Stage::Open, peer.called));
            self.drop_peer(&id, if probed { "it is silent" } else { "no channel opened" });
            if probed {
                // It has come again, and we were there before: the call is ours.
                self.call(now, id);
            } else if called {
                self.retry(now, &id);
            }
        }
        let due: Vec<String> = self.retries.iter().filter(|(_, at)| **at <= now).map(|(id, _)| id.clone()).collect();
        for id in due {
            self.retries.remove(&id);
            if !self.peers.contains_key(&id) {
                self.call(now, id);
            }
        }
    }

    /// When [`Self::handle_timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let deadlines = self.peers.values().filter_map(|peer| peer.deadline);
        deadlines.chain(self.retries.values().copied()).min()
    }

    /// What is to be done.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Peers, connected or not yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.peers.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "mmmmmmmm-0000-0000-0000-mmmmmmmmmmmm";
    const SMALL: &str = "aaaaaaaa-0000-0000-0000-aaaaaaaaaaaa";
    const GREAT: &str = "zzzzzzzz-0000-0000-0000-zzzzzzzzzzzz";
    const FIRST: &str = "v=0\r\no=- 111 2 IN IP4 0.0.0.0\r\n";
    const SECOND: &str = "v=0\r\no=- 222 2 IN IP4 0.0.0.0\r\n";

    fn table() -> (Table, Instant) {
        (Table::new(OWN.to_owned(), 2), Instant::now())
    }

    fn actions(table: &mut Table) -> Vec<Action> {
        std::iter::from_fn(|| table.poll_action()).collect()
    }

    fn hear(table: &mut Table, now: Instant, heard: Heard) -> Vec<Action> {
        table.handle_heard(now, heard);
        actions(table)
    }

    fn online(id: &str) -> Heard {
        Heard::Online(id.to_owned())
    }

    fn offer(from: &str, sdp: &str, ours: bool) -> Heard {
        Heard::Offer { from: from.to_owned(), sdp: sdp.to_owned(), ours }
    }

    fn dropped(id: &str, why: &'static str) -> Action {
        Action::Drop(id.to_owned(), why)
    }

    fn due(table: &mut Table) -> (Instant, Vec<Action>) {
        let now = table.poll_timeout().unwrap();
        table.handle_timeout(now);
        (now, actions(table))
    }

    #[test]
    fn who_is_there_calls_the_newcomer() {
        let (mut table, now) = table();
        assert_eq!(hear(&mut table, now, Heard::Init(vec![SMALL.to_owned()])), []);
        let call = Action::Answer(SMALL.to_owned(), FIRST.to_owned());
        assert_eq!(hear(&mut table, now, offer(SMALL, FIRST, false)), [call]);
        assert_eq!(hear(&mut table, now, online(GREAT)), [Action::Offer(GREAT.to_owned())]);
        let answer = Heard::Answer { from: GREAT.to_owned(), sdp: SECOND.to_owned() };
        let taken = Action::Accept(GREAT.to_owned(), SECOND.to_owned());
        assert_eq!(hear(&mut table, now, answer.clone()), [taken]);
        // A second answer, and what comes of strangers, is nothing.
        assert_eq!(hear(&mut table, now, answer), []);
        let stray = Heard::Candidate { from: OWN.to_owned(), candidate: String::new() };
        assert_eq!(hear(&mut table, now, stray), []);
        // There is room for two.
        assert!(!table.handle_heard(now, online(OWN)) && !table.handle_heard(now, offer(OWN, FIRST, false)));
    }

    #[test]
    fn a_peer_that_comes_again_is_kept_while_it_talks() {
        let (mut table, now) = table();
        hear(&mut table, now, online(SMALL));
        table.handle_open(SMALL);
        let ping = [Action::Ping(SMALL.to_owned())];
        assert_eq!(hear(&mut table, now, online(SMALL)), ping);
        table.handle_talk(SMALL);
        assert_eq!(table.poll_timeout(), None);
        assert_eq!(hear(&mut table, now, Heard::Init(vec![SMALL.to_owned()])), ping);
        // It says nothing, so it is another program with the same uid, which waits for our call.
        let (_, came) = due(&mut table);
        assert_eq!(came, [dropped(SMALL, "it is silent"), Action::Offer(SMALL.to_owned())]);
        // A call to a socket that is gone is repeated to the new one.
        assert_eq!(
            hear(&mut table, now, online(SMALL)),
            [dropped(SMALL, "it came again"), Action::Offer(SMALL.to_owned())]
        );
    }

    #[test]
    fn a_later_offer_is_told_from_a_new_connection() {
        let (mut table, now) = table();
        hear(&mut table, now, offer(SMALL, FIRST, false));
        table.handle_open(SMALL);
        let later = Action::Renew(SMALL.to_owned(), FIRST.to_owned());
        assert_eq!(hear(&mut table, now, offer(SMALL, FIRST, false)), [later]);
        assert_eq!(hear(&mut table, now, offer(SMALL, SECOND, false)), []);
        let now = now + CALLS;
        let anew = [dropped(SMALL, "it calls anew"), Action::Answer(SMALL.to_owned(), SECOND.to_owned())];
        assert_eq!(hear(&mut table, now, offer(SMALL, SECOND, false)), anew);
    }

    #[test]
    fn when_two_call_each_other_one_call_counts() {
        let (mut table, now) = table();
        for id in [SMALL, GREAT] {
            hear(&mut table, now, online(id));
        }
        assert_eq!(hear(&mut table, now, offer(GREAT, FIRST, true)), []);
        let gives_way = |id: &str| [dropped(id, "it calls anew"), Action::Answer(id.to_owned(), FIRST.to_owned())];
        assert_eq!(hear(&mut table, now, offer(SMALL, FIRST, true)), gives_way(SMALL));
        // An existing node knows no such rule.
        assert_eq!(hear(&mut table, now, offer(GREAT, FIRST, false)), gives_way(GREAT));
    }

    #[test]
    fn a_failed_call_is_repeated_some_times_while_the_peer_is_online() {
        let (mut table, mut now) = table();
        hear(&mut table, now, online(SMALL));
        for wait in RETRIES {
            table.handle_closed(now, SMALL, false);
            let (at, came) = due(&mut table);
            assert_eq!((at - now, came), (wait, vec![Action::Offer(SMALL.to_owned())]));
            now = at;
        }
        table.handle_closed(now, SMALL, false);
        assert_eq!(table.poll_timeout(), None);
        for gone in [true, false] {
            hear(&mut table, now, online(SMALL));
            if gone {
                hear(&mut table, now, Heard::Offline(SMALL.to_owned()));
            }
            table.handle_closed(now, SMALL, !gone);
            assert_eq!((table.poll_timeout(), table.is_empty()), (None, true));
        }
    }

    #[test]
    fn a_connection_whose_channel_never_opens_is_ended() {
        let (mut table, now) = table();
        hear(&mut table, now, offer(SMALL, FIRST, false));
        let (at, came) = due(&mut table);
        assert_eq!((at - now, came), (OPEN, vec![dropped(SMALL, "no channel opened")]));
        assert!(table.is_empty());
    }
}

//! A client and a server of ours; what the client says beside what was recorded; deadlines.

use std::time::Duration;

use super::*;
use crate::info;
use crate::recorded::{TRACES, frames};
use crate::server;

const SECOND: Duration = Duration::from_secs(1);

fn wish(role: Role) -> Wish {
    Wish { role, name: "door".into(), media_session_id: "ours".into(), app_key: "defaultApp".into() }
}

/// Two sessions with nothing between them.
struct Pair {
    now: Instant,
    client: Session,
    server: server::Session,
    /// What the client has said.
    said: Vec<Value>,
    client_did: Vec<Action>,
    server_did: Vec<server::Action>,
}

impl Pair {
    fn new(role: Role) -> Self {
        let now = Instant::now();
        let (client, server) = (Config::default(), server::Config::default());
        Self {
            now,
            client: Session::new(client, wish(role), now),
            server: server::Session::new(server, "token".into(), now),
            said: Vec::new(),
            client_did: Vec::new(),
            server_did: Vec::new(),
        }
    }

    /// Carries texts until both have said all.
    fn carry(&mut self) {
        loop {
            let (up, down) = (self.client.poll_text(), self.server.poll_text());
            if up.is_none() && down.is_none() {
                break;
            }
            if let Some(text) = up {
                self.said.push(serde_json::from_str(&text).unwrap());
                self.server.handle_text(self.now, &text).unwrap();
            }
            if let Some(text) = down {
                self.client.handle_text(self.now, &text).unwrap();
            }
        }
        self.client_did.extend(std::iter::from_fn(|| self.client.poll_action()));
        self.server_did.extend(std::iter::from_fn(|| self.server.poll_action()));
    }

    /// Up to a stream that is up.
    fn up(role: Role) -> Self {
        let mut pair = Self::new(role);
        pair.carry();
        assert_eq!(std::mem::take(&mut pair.client_did), [Action::Offer]);
        pair.client.handle_offer(pair.now, "offer".into(), Media { video: true, audio: role == Role::Play });
        pair.carry();
        let answer = server::Action::Answer {
            id: "ours".into(),
            role,
            name: "door".into(),
            offer: "offer".into(),
            custom: None,
        };
        assert_eq!(std::mem::take(&mut pair.server_did), [answer]);
        pair.server.handle_answer(pair.now, "ours", "answer".into());
        pair.server.handle_connected("ours");
        pair.carry();
        assert_eq!(std::mem::take(&mut pair.client_did), [Action::Accept("answer".into()), Action::Up]);
        pair
    }

    /// Lets time pass for both, from deadline to deadline.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let due = [self.client.poll_timeout(), self.server.poll_timeout()].into_iter().flatten().min();
            let Some(due) = due.filter(|due| *due <= end) else { break };
            self.now = due;
            self.client.handle_timeout(due);
            self.server.handle_timeout(due);
            self.carry();
        }
        self.now = end;
    }
}

#[test]
fn streams_are_published_and_played_and_stopped() {
    for role in [Role::Publish, Role::Play] {
        let mut pair = Pair::up(role);
        pair.pass(200 * SECOND);
        assert_eq!(pair.client_did, [], "pings keep it alive");
        pair.client.stop(pair.now);
        pair.carry();
        pair.server.handle_end(pair.now, "ours", &server::End { in_order: true, info: info::STOPPED_BY_USER });
        pair.carry();
        assert_eq!(pair.client_did, [Action::Ended(Ended::Stopped)]);
        assert!(matches!(&pair.server_did[..], [server::Action::Release { id, .. }] if id == "ours"));
    }
}

/// The names of an object's fields.
fn keys(value: &Value) -> Vec<String> {
    let optional = ["constraints", "clientInfo"];
    let keys = value.as_object().into_iter().flat_map(|fields| fields.keys());
    keys.filter(|key| !optional.contains(&key.as_str())).cloned().collect()
}

#[test]
fn the_client_speaks_as_the_recorded_ones_do() {
    let mut pairs = [Pair::up(Role::Publish), Pair::up(Role::Play)];
    for pair in &mut pairs {
        pair.pass(6 * SECOND);
        pair.client.stop(pair.now);
        pair.carry();
    }
    let names: Vec<_> = pairs[0].said.iter().map(|message| message["message"].as_str().unwrap()).collect();
    assert_eq!(names, ["connection", "publishStream", "pong", "unPublishStream"]);
    let ours: Vec<&Value> = pairs.iter().flat_map(|pair| &pair.said).collect();
    let mut compared = 0;
    for (file, trace) in TRACES {
        for frame in frames(trace).iter().filter(|frame| frame.from_client) {
            for same in ours.iter().filter(|message| message["message"] == frame.json["message"]) {
                let (said, recorded) = (&same["data"], &frame.json["data"]);
                assert_eq!(said.as_array().unwrap().len(), recorded.as_array().unwrap().len());
                assert_eq!(keys(&said[0]), keys(&recorded[0]), "{file}: {}", frame.name());
                for key in ["status", "published", "mediaProvider", "appKey", "msePacketizationVersion", "width"] {
                    assert_eq!(said[0][key], recorded[0][key], "{file}: {}", frame.name());
                }
                compared += 1;
            }
        }
    }
    assert!(compared > 40, "{compared}");
}

#[test]
fn a_refusal_is_told_in_the_servers_words() {
    let mut pair = Pair::new(Role::Play);
    pair.carry();
    pair.client.handle_offer(pair.now, "offer".into(), Media { video: true, audio: true });
    pair.carry();
    pair.server.handle_end(pair.now, "ours", &server::End { in_order: false, info: info::STREAM_NOT_FOUND });
    pair.carry();
    let ended = Ended::Server { status: Status::Failed, info: Some("Stream not found".into()) };
    assert_eq!(ended.to_string(), "the server says FAILED: Stream not found");
    assert_eq!(pair.client_did.last(), Some(&Action::Ended(ended)));
    assert_eq!(pair.client.poll_timeout(), None);
}

#[test]
fn a_stream_that_ends_there_ends_here() {
    let mut pair = Pair::up(Role::Play);
    pair.server.handle_publisher_end(pair.now, "door", info::STOPPED_BY_PUBLISHER, false);
    pair.carry();
    let info = Some(info::STOPPED_BY_PUBLISHER.to_owned());
    assert_eq!(pair.client_did, [Action::Ended(Ended::Server { status: Status::Stopped, info })]);
}

#[test]
fn a_status_before_the_answer_is_borne() {
    let now = Instant::now();
    let mut client = Session::new(Config::default(), wish(Role::Publish), now);
    client.handle_text(now, r#"{"message":"getUserData","data":[{}]}"#).unwrap();
    client.handle_offer(now, "offer".into(), Media { video: true, audio: true });
    let up = r#"{"message":"notifyStreamStatusEvent","data":[{"mediaSessionId":"ours","status":"PUBLISHING"}]}"#;
    client.handle_text(now, up).unwrap();
    client.handle_text(now, r#"{"message":"setRemoteSDP","data":["another","x"]}"#).unwrap();
    client.handle_text(now, r#"{"message":"setRemoteSDP","data":["ours","answer"]}"#).unwrap();
    let did: Vec<_> = std::iter::from_fn(|| client.poll_action()).collect();
    assert_eq!(did, [Action::Offer, Action::Up, Action::Accept("answer".into())]);
}

#[test]
fn each_step_has_its_deadline() {
    let now = Instant::now();
    let ended = |client: &mut Session| {
        let due = client.poll_timeout().unwrap();
        client.handle_timeout(due - Duration::from_millis(1));
        assert!(!matches!(client.poll_action(), Some(Action::Ended(_))));
        client.handle_timeout(due);
        let Some(Action::Ended(why)) = std::iter::from_fn(|| client.poll_action()).last() else { panic!() };
        assert_eq!(client.poll_timeout(), None);
        (due - now, why)
    };
    let media = Media { video: true, audio: true };
    let fresh = || Session::new(Config::default(), wish(Role::Publish), now);
    let welcomed = || {
        let mut client = fresh();
        client.handle_text(now, r#"{"message":"getUserData","data":[{}]}"#).unwrap();
        client
    };
    let asking = || {
        let mut client = welcomed();
        client.handle_offer(now, "offer".into(), media);
        client
    };
    let answered = || {
        let mut client = asking();
        client.handle_text(now, r#"{"message":"setRemoteSDP","data":["ours","answer"]}"#).unwrap();
        client
    };
    assert_eq!(ended(&mut fresh()), (15 * SECOND, Ended::Timeout { what: "connection" }));
    assert_eq!(ended(&mut welcomed()), (15 * SECOND, Ended::Media(info::FAILED)));
    assert_eq!(ended(&mut asking()), (15 * SECOND, Ended::Timeout { what: "publishStream" }));
    assert_eq!(ended(&mut answered()), (25 * SECOND, Ended::Timeout { what: "publishStream" }));
    let mut leaving = asking();
    leaving.stop(now);
    assert_eq!(ended(&mut leaving), (SECOND, Ended::Stopped));
    let mut up = answered();
    let status = r#"{"message":"notifyStreamStatusEvent","data":[{"mediaSessionId":"ours","status":"PUBLISHING"}]}"#;
    up.handle_text(now, status).unwrap();
    assert_eq!(ended(&mut up), (50 * SECOND, Ended::Silence));
}

#[test]
fn what_publishers_tell_goes_through() {
    let event = |kind: &str| server::Action::Tell { name: "door".into(), kind: kind.into(), payload: None };
    let mut push = Pair::up(Role::Publish);
    push.client.handle_event(push.now, "audioMuted", None);
    push.client.handle_event(push.now, "data", Some("x".repeat(70_000).into()));
    push.carry();
    assert_eq!(push.server_did, [event("audioMuted")], "what is too long for the server stays here");
    (0..200).for_each(|_| push.client.handle_event(push.now, "data", None));
    push.carry();
    assert_eq!(push.server_did.len(), 100, "so does what would be too much for it");

    let mut pull = Pair::up(Role::Play);
    for kind in ["videoMuted", "resize"] {
        pull.server.handle_event("door", kind, None);
    }
    pull.client.handle_event(pull.now, "audioMuted", None);
    pull.carry();
    assert_eq!(pull.client_did, [Action::Tell { kind: "videoMuted".into(), payload: None }], "the rest is our own");
    assert_eq!(pull.server_did, []);
}

#[test]
fn what_is_muted_already_comes_with_the_status() {
    let now = Instant::now();
    let mut client = Session::new(Config::default(), wish(Role::Play), now);
    client.handle_text(now, r#"{"message":"getUserData","data":[{}]}"#).unwrap();
    client.handle_offer(now, "offer".into(), Media { video: true, audio: true });
    let up = r#"{"message":"notifyStreamStatusEvent","data":[{"mediaSessionId":"ours","status":"PLAYING",
        "audioState":{"muted":true},"videoState":"odd"}]}"#;
    client.handle_text(now, up).unwrap();
    let did: Vec<_> = std::iter::from_fn(|| client.poll_action()).collect();
    assert_eq!(did, [Action::Offer, Action::Up, Action::Tell { kind: "audioMuted".into(), payload: None }]);
}

//! The recorded exchanges, deadlines, and what clients get wrong.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::Muted;
use crate::recorded::{TRACES, frames};

const SECOND: Duration = Duration::from_secs(1);

pub(super) fn established(config: Config, now: Instant) -> Session {
    let mut session = Session::new(config, "/1.2.3.4:5/6".into(), now);
    session.handle_text(now, r#"{"message":"connection","data":[{"appKey":"defaultApp"}]}"#).unwrap();
    assert!(session.poll_text().unwrap().contains("getUserData"));
    session
}

pub(super) fn ask(session: &mut Session, now: Instant, message: &str, id: &str, name: &str) {
    let argument = json!({ "mediaSessionId": id, "name": name, "sdp": "offer", "hasVideo": true });
    session.handle_text(now, &json!({ "message": message, "data": [argument] }).to_string()).unwrap();
}

/// The statuses and reasons that the client is told.
pub(super) fn told(session: &mut Session) -> Vec<(String, String)> {
    let texts = std::iter::from_fn(|| session.poll_text());
    let messages = texts.map(|text| serde_json::from_str::<Value>(&text).unwrap());
    let statuses = messages.filter(|message| message["message"] == "notifyStreamStatusEvent");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    statuses.map(|message| (text(&message["data"][0]["status"]), text(&message["data"][0]["info"]))).collect()
}

pub(super) fn pair(status: &str, info: &str) -> (String, String) {
    (status.to_owned(), info.to_owned())
}

/// Plays the part of the media engine and of the other sessions as the recording wants it.
fn prompt(session: &mut Session, now: Instant, expected: &Value) {
    let argument = &expected["data"][0];
    let id = argument["mediaSessionId"].as_str().unwrap_or_default();
    match expected["message"].as_str().unwrap() {
        "setRemoteSDP" => {
            session.handle_answer(now, argument.as_str().unwrap(), expected["data"][1].as_str().unwrap().to_owned());
        }
        "availableStream" => session.handle_availability(argument["id"].as_str().unwrap().to_owned(), true),
        "notifyStreamEvent" => {
            let name = session.streams[id].name.clone();
            session.handle_event(&name, argument["type"].as_str().unwrap(), argument.get("payload"));
        }
        "notifyStreamStatusEvent" => match (argument["status"].as_str().unwrap(), argument["info"].as_str()) {
            ("PUBLISHING" | "PLAYING", _) => session.handle_connected(id),
            ("FAILED", _) => session.handle_end(now, id, &End { in_order: false, info: info::STREAM_NOT_FOUND }),
            ("STOPPED", Some(info::STOPPED_BY_PUBLISHER)) => {
                let name = argument["name"].as_str().unwrap();
                session.handle_publisher_end(now, name, info::STOPPED_BY_PUBLISHER, false);
            }
            ("UNPUBLISHED", _) => {
                assert_eq!(session.poll_text(), None, "the media ends first");
                session.handle_end(now, id, &End { in_order: true, info: info::STOPPED_BY_USER });
            }
            _ => {}
        },
        _ => {}
    }
}

#[test]
fn recorded_clients_hear_what_they_heard() {
    let now = Instant::now();
    for (file, trace) in TRACES {
        let mut sessions = HashMap::new();
        for frame in frames(trace) {
            let fresh = || Session::new(Config { ping: 9 * SECOND, ..Config::default() }, "token".into(), now);
            let session = sessions.entry(frame.peer.clone()).or_insert_with(fresh);
            if frame.from_client {
                session.handle_text(now, &frame.json.to_string()).unwrap();
                continue;
            }
            if frame.name() == "ping" {
                continue;
            }
            prompt(session, now, &frame.json);
            let mut expected = frame.json.clone();
            if frame.name() == "getUserData" {
                expected["data"][0]["authToken"] = "token".into();
            }
            let said =
                session.poll_text().unwrap_or_else(|| panic!("{file}: {} has nothing for {expected}", frame.peer));
            assert_eq!(serde_json::from_str::<Value>(&said).unwrap(), expected, "{file}");
        }
        sessions.values_mut().for_each(|session| assert_eq!(session.poll_text(), None, "{file}"));
    }
}

#[test]
fn a_client_that_says_nothing_is_left() {
    let now = Instant::now();
    let mut session = Session::new(Config::default(), String::new(), now);
    assert_eq!(session.poll_timeout(), Some(now + 10 * SECOND));
    session.handle_timeout(now + 10 * SECOND);
    assert!(matches!(session.poll_action(), Some(Action::Close(_))));
    assert_eq!(session.poll_timeout(), None);
}

#[test]
fn pings_are_sent_and_missed_ones_counted() {
    let now = Instant::now();
    let mut session = established(Config::default(), now);
    ask(&mut session, now, "publishStream", "p", "door");
    session.handle_answer(now, "p", "answer".into());
    session.handle_connected("p");
    while session.poll_text().is_some() || session.poll_action().is_some() {}
    let mut time = now;
    let mut pings = 0;
    while let Some(due) = session.poll_timeout() {
        assert_eq!(due, time + 5 * SECOND);
        time = due;
        session.handle_timeout(time);
        pings += u32::from(session.poll_text().is_some_and(|text| text.contains("\"ping\"")));
        if pings == 3 {
            session.handle_text(time, r#"{"message":"pong","data":[null]}"#).unwrap();
        }
    }
    assert_eq!(pings, 13);
    let released = session.poll_action();
    assert!(matches!(&released, Some(Action::Release { id, info: info::STOPPED_BY_SESSION, .. }) if id == "p"));
    assert_eq!(session.poll_action(), Some(Action::Close(info::KEEP_ALIVE)));
}

#[test]
fn nothing_stays_pending() {
    let now = Instant::now();
    let mut session = established(Config::default(), now);
    ask(&mut session, now, "publishStream", "never-answered", "a");
    ask(&mut session, now, "playStream", "never-connected", "b");
    session.handle_answer(now, "never-connected", "answer".into());
    for seconds in (5..=25).step_by(5) {
        session.handle_text(now, r#"{"message":"pong"}"#).unwrap();
        session.handle_timeout(now + seconds * SECOND);
    }
    // The publisher's media does not end, so that it is told a second later.
    session.handle_timeout(now + 26 * SECOND);
    assert_eq!(told(&mut session), [pair("FAILED", "Failed by error"), pair("FAILED", "Failed by ICE timeout")]);
    let released =
        std::iter::from_fn(|| session.poll_action()).filter(|action| matches!(action, Action::Release { .. }));
    assert_eq!(released.count(), 2);
    assert_eq!(session.streams().count(), 0);
    // An answer that comes too late starts nothing.
    session.handle_answer(now, "never-answered", "late".into());
    session.handle_connected("never-answered");
    assert_eq!(session.poll_text(), None);
}

#[test]
fn requests_that_cannot_be_are_refused() {
    let now = Instant::now();
    let mut session = Session::new(Config { streams: 1, ..Config::default() }, String::new(), now);
    ask(&mut session, now, "playStream", "early", "a");
    assert_eq!(told(&mut session), [pair("FAILED", info::SESSION_NOT_READY)]);
    session.handle_text(now, r#"{"message":"connection","data":[{}]}"#).unwrap();
    ask(&mut session, now, "playStream", "", "a");
    ask(&mut session, now, "playStream", "one", "a");
    ask(&mut session, now, "playStream", "one", "b");
    ask(&mut session, now, "publishStream", "two", "b");
    assert_eq!(told(&mut session), [pair("FAILED", info::NO_SESSION_ID), pair("FAILED", info::FAILED)]);
    let asked = std::iter::from_fn(|| session.poll_action()).filter(|action| matches!(action, Action::Answer { .. }));
    assert_eq!(asked.count(), 1);
}

#[test]
fn the_end_of_a_stream_is_told_once_and_asked_for_often() {
    let now = Instant::now();
    let mut session = established(Config::default(), now);
    ask(&mut session, now, "publishStream", "p", "door");
    session.handle_answer(now, "p", "answer".into());
    session.handle_connected("p");
    session.handle_connected("p");
    assert_eq!(told(&mut session), [pair("PUBLISHING", "")]);
    session.handle_termination(now, "p");
    session.handle_termination(now, "p");
    ask(&mut session, now, "unPublishStream", "p", "door");
    assert_eq!((told(&mut session), session.streams().count()), (vec![], 0), "its media ends first");
    session.handle_end(now, "p", &End { in_order: true, info: info::STOPPED_BY_USER });
    session.handle_end(now, "p", &End { in_order: true, info: info::STOPPED_BY_USER });
    assert_eq!(told(&mut session), [pair("UNPUBLISHED", info::STOPPED_BY_REST)]);
    let released =
        std::iter::from_fn(|| session.poll_action()).filter(|action| matches!(action, Action::Release { .. }));
    assert_eq!(released.count(), 1);
    // The page does not know yet, and waits for an answer.
    ask(&mut session, now, "unPublishStream", "p", "door");
    assert_eq!(told(&mut session), [pair("UNPUBLISHED", "")]);
    session.handle_closed();
    assert_eq!(session.poll_timeout(), None);
}

#[test]
fn a_client_that_sends_too_much_is_left() {
    let now = Instant::now();
    let mut session = established(Config { burst: 10, rate: 1, ..Config::default() }, now);
    for _ in 0..20 {
        session.handle_text(now, r#"{"message":"ping","data":[]}"#).unwrap();
    }
    assert_eq!(session.poll_action(), Some(Action::Close("it sends too much")));
}

#[test]
fn events_and_data_get_their_answers() {
    let now = Instant::now();
    let mut session = established(Config::default(), now);
    ask(&mut session, now, "playStream", "p", "door");
    let event = r#"{"message":"sendStreamEvent","data":[{"mediaSessionId":"p","type":"audioMuted"}]}"#;
    session.handle_text(now, event).unwrap();
    assert!(matches!(session.poll_action(), Some(Action::Answer { .. })));
    assert_eq!(session.poll_action(), None, "a player has no players");
    session.handle_text(now, r#"{"message":"sendData","data":[{"operationId":"7","payload":{}}]}"#).unwrap();
    let data = Action::Data { operation_id: "7".into(), payload: Some(json!({})) };
    assert_eq!(session.poll_action(), Some(data));
    session.handle_data("7".into(), true);
    let answer: Value = serde_json::from_str(&session.poll_text().unwrap()).unwrap();
    assert_eq!(answer, json!({"message":"DataStatusEvent","data":[{"operationId":"7","status":"ACCEPTED"}]}));
    ask(&mut session, now, "availableStream", "q", "nobody");
    assert_eq!(session.poll_action(), Some(Action::Find { id: "q".into(), name: "nobody".into() }));
    session.handle_availability("q".into(), false);
    let answer: Value = serde_json::from_str(&session.poll_text().unwrap()).unwrap();
    assert_eq!(answer["data"][0], json!({"id":"q","status":"false","info":"Stream not found"}));
}

#[test]
fn an_application_lets_clients_in() {
    let now = Instant::now();
    let config = Config { reports: true, ..Config::default() };
    let asking = || {
        let mut session = Session::new(config.clone(), "/a/b".into(), now);
        session.handle_text(now, r#"{"message":"connection","data":[{"appKey":"app","custom":1}]}"#).unwrap();
        assert!(matches!(session.poll_action(), Some(Action::Admit { fields }) if fields["custom"] == 1));
        // Not yet.
        ask(&mut session, now, "publishStream", "early", "door");
        assert!(session.poll_text().unwrap().contains("Session not ready"));
        assert!(matches!(session.poll_action(), Some(Action::Report(status)) if status.media_session_id == "early"));
        session
    };
    let mut taken = asking();
    taken.handle_admission(now, json!({ "custom": 2 }).as_object().cloned());
    let answer: Value = serde_json::from_str(&taken.poll_text().unwrap()).unwrap();
    assert_eq!((&answer["data"][0]["custom"], &answer["data"][0]["status"]), (&json!(2), &json!("ESTABLISHED")));
    assert_eq!(taken.client().get("custom"), None);
    let mut refused = asking();
    refused.handle_admission(now, None);
    assert_eq!(refused.poll_action(), Some(Action::Close("the application refuses it")));
    let mut late = asking();
    late.handle_timeout(now + config.answer);
    assert_eq!(late.poll_action(), Some(Action::Close("the application does not answer")));
}

/// What the players of names are told, as the session wants it.
fn tells(session: &mut Session) -> Vec<(String, String)> {
    let actions = std::iter::from_fn(|| session.poll_action());
    let tells = actions.filter_map(|action| match action {
        Action::Tell { name, kind, .. } => Some((name, kind)),
        _ => None,
    });
    tells.collect()
}

fn event(session: &mut Session, now: Instant, id: &str, kind: &str) {
    let event = json!({ "message": "sendStreamEvent", "data": [{ "mediaSessionId": id, "type": kind }] });
    session.handle_text(now, &event.to_string()).unwrap();
}

#[test]
fn a_publisher_speaks_for_a_name_that_is_its_own() {
    let now = Instant::now();
    let mut session = established(Config::default(), now);
    // Somebody else may have the name.
    ask(&mut session, now, "publishStream", "p", "door");
    event(&mut session, now, "p", "data");
    event(&mut session, now, "p", "audioMuted");
    assert_eq!(tells(&mut session), []);
    let mut refused = established(Config::default(), now);
    ask(&mut refused, now, "publishStream", "p", "door");
    event(&mut refused, now, "p", "audioMuted");
    ask(&mut refused, now, "unPublishStream", "p", "door");
    let released = std::iter::from_fn(|| refused.poll_action()).last();
    assert!(matches!(released, Some(Action::Release { players: Players::None, .. })), "its players are another's");
    // A page mutes before its connection is there.
    session.handle_answer(now, "p", "answer".into());
    assert_eq!(tells(&mut session), [pair("door", "audioMuted")]);
    session.handle_connected("p");
    event(&mut session, now, "p", "videoMuted");
    assert_eq!(tells(&mut session), [pair("door", "videoMuted")]);
    session.handle_closed();
    assert!(matches!(session.poll_action(), Some(Action::Release { players: Players::All(_), .. })));
}

#[test]
fn players_that_come_late_hear_what_is_muted() {
    let now = Instant::now();
    let mut session = established(Config { keep: SECOND, ..Config::default() }, now);
    ask(&mut session, now, "playStream", "v", "door");
    session.handle_answer(now, "v", "answer".into());
    session.handle_muted("v", Muted { audio: true, video: false });
    session.handle_connected("v");
    let states = |session: &mut Session| {
        let text = std::iter::from_fn(|| session.poll_text()).last().unwrap();
        let status = serde_json::from_str::<Value>(&text).unwrap()["data"][0].take();
        [status["audioState"].clone(), status["videoState"].clone()]
    };
    assert_eq!(states(&mut session), [json!({ "muted": true }), Value::Null]);
    // Who comes back hears what was told meanwhile.
    for kind in ["audioUnmuted", "videoMuted", "data"] {
        session.handle_event("door", kind, None);
    }
    session.handle_return(now, Map::new());
    assert_eq!(states(&mut session), [Value::Null, json!({ "muted": true })]);
}

#[test]
fn a_stream_is_republished_when_it_is_up() {
    let now = Instant::now();
    let mut session = established(Config::default(), now);
    for (id, message, url) in [
        ("a", "publishStream", json!("rtmp://host/live")),
        ("b", "publishStream", json!("")),
        ("c", "publishStream", json!(7)),
        ("d", "playStream", json!("rtmp://host/live")),
    ] {
        let argument = json!({ "mediaSessionId": id, "name": id, "sdp": "offer", "rtmpUrl": url });
        session.handle_text(now, &json!({ "message": message, "data": [argument] }).to_string()).unwrap();
        session.handle_answer(now, id, "answer".into());
        assert!(matches!(session.poll_action(), Some(Action::Answer { .. })));
        assert_eq!(session.poll_action(), None);
        session.handle_connected(id);
        let wanted = (id == "a").then(|| Action::Republish { name: "a".into(), url: "rtmp://host/live".into() });
        assert_eq!(session.poll_action(), wanted, "{id}");
    }
}

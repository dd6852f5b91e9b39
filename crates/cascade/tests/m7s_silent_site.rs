//! A site that is silent: about requests that fail, for a while, or for ever.
#![expect(clippy::disallowed_methods, reason = "a virtual clock starts somewhere")]
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sluicegate_cascade::m7s::Request;
use sluicegate_cascade::m7s::upstream::{Asker, Event, Full, MAX_UNANSWERED, STALL, Session, WINDOW};

const DEADLINE: Duration = Duration::from_secs(10);

/// An upstream's session, and a site made from the protocol page: it knows JSON and shares no code with the session.
struct Stage {
    session: Session,
    /// What was sent and not worked on: number and path.
    inbox: VecDeque<(i64, String)>,
    sent: usize,
    now: Instant,
    events: Vec<Event>,
}

impl Stage {
    fn new() -> Self {
        let (session, now) = (Session::new(), Instant::now());
        Self { session, inbox: VecDeque::new(), sent: 0, now, events: Vec::new() }
    }

    fn ask(&mut self, asker: Asker, path: &str) -> Result<(), Full> {
        let request = Request { url: path.into(), header: BTreeMap::new(), method: "GET".into(), body: None };
        self.session.ask(asker, request, self.now, DEADLINE)
    }

    /// The session's texts reach the site, its events the test.
    fn deliver(&mut self) {
        while let Some(text) = self.session.poll_text() {
            let message: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(message["type"], 1, "{text}");
            let pad: Value =
                serde_json::from_slice(&STANDARD.decode(message["pad"].as_str().unwrap()).unwrap()).unwrap();
            self.inbox.push_back((message["sn"].as_i64().unwrap(), pad["url"].as_str().unwrap().to_owned()));
            self.sent += 1;
        }
        self.events.extend(std::iter::from_fn(|| self.session.poll_event()));
    }

    fn answer(&mut self, sn: i64, body: &str) {
        let text = json!({"sn": sn, "type": 2, "pad": STANDARD.encode(body)}).to_string();
        self.session.handle_text(text.as_bytes());
        self.deliver();
    }

    /// The site works on all that it has, in order; it is silent about paths that fail.
    fn work(&mut self) {
        self.deliver();
        while let Some((sn, path)) = self.inbox.pop_front() {
            if !path.starts_with("/fail") {
                self.answer(sn, &path);
            }
        }
    }

    /// Time jumps to the next timer; `false` when there is none.
    fn jump(&mut self) -> bool {
        self.deliver();
        let Some(at) = self.session.poll_timeout() else { return false };
        self.now = self.now.max(at);
        self.session.handle_timeout(self.now);
        self.deliver();
        true
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.session.poll_timeout().is_some_and(|at| at <= end) {
            self.jump();
        }
        self.now = end;
        self.session.handle_timeout(end);
        self.deliver();
    }

    fn answers(&self) -> Vec<Asker> {
        self.events
            .iter()
            .filter_map(|event| if let Event::Answer(asker, _) = event { Some(*asker) } else { None })
            .collect()
    }

    fn expired(&self) -> Vec<Asker> {
        self.events
            .iter()
            .filter_map(|event| if let Event::Expired(asker) = event { Some(*asker) } else { None })
            .collect()
    }
}

#[test]
fn requests_that_fail_do_not_hold_up_those_behind_them() {
    let mut stage = Stage::new();
    let failing = MAX_UNANSWERED as u64 - 1;
    for asker in 0..failing {
        stage.ask(asker, "/fail").unwrap();
    }
    for asker in failing..40 {
        stage.ask(asker, "/good").unwrap();
    }
    let begun = stage.now;
    stage.work();
    while stage.answers().is_empty() {
        assert!(stage.jump() && stage.expired().is_empty(), "{:?}", stage.events);
        stage.work();
    }
    // Each request beyond the window waits for one stall; after the first answer nothing waits any more.
    assert_eq!(stage.now - begun, STALL * u32::try_from(MAX_UNANSWERED - WINDOW).unwrap());
    assert_eq!(stage.answers(), (failing..40).collect::<Vec<_>>());
    stage.pass(DEADLINE);
    assert_eq!(stage.expired(), (0..failing).collect::<Vec<_>>());
    assert_eq!(stage.session.poll_timeout(), None);
}

#[test]
fn an_answer_shows_that_the_site_is_past_what_came_before() {
    let mut stage = Stage::new();
    for asker in 0..WINDOW as u64 - 1 {
        stage.ask(asker, "/fail").unwrap();
    }
    for asker in 10..30 {
        stage.ask(asker, "/good").unwrap();
    }
    stage.work();
    // No time has passed: three that failed silently leave the window once the fourth is answered.
    assert_eq!(stage.answers(), (10..30).collect::<Vec<_>>());
}

#[test]
fn a_site_that_hangs_is_sent_no_more_than_the_limit() {
    let mut stage = Stage::new();
    for asker in 0..64 {
        stage.ask(asker, "/").unwrap();
    }
    stage.deliver();
    assert_eq!(stage.sent, WINDOW);
    stage.pass(STALL - Duration::from_millis(1));
    assert_eq!(stage.sent, WINDOW);
    stage.pass(Duration::from_millis(1));
    assert_eq!(stage.sent, WINDOW + 1);
    let limit = STALL * u32::try_from(MAX_UNANSWERED - WINDOW - 1).unwrap();
    stage.pass(limit);
    assert_eq!(stage.sent, MAX_UNANSWERED);
    // Nothing is left to be done before the deadline, so nobody is woken for it.
    assert_eq!(stage.session.poll_timeout(), Some(stage.now + (DEADLINE - STALL - limit)));
    stage.pass(DEADLINE - STALL - limit - Duration::from_millis(1));
    assert_eq!((stage.sent, stage.expired().len()), (MAX_UNANSWERED, 0));
    stage.pass(Duration::from_millis(1));
    assert_eq!((stage.sent, stage.expired().len()), (MAX_UNANSWERED, 64));
    // The site wakes up: what it answers now is nobody's, and the next asker gets only its own answer.
    stage.ask(100, "/mine").unwrap();
    stage.work();
    let late = stage.events.iter().filter(|event| **event == Event::Late).count();
    assert_eq!((late, stage.answers()), (MAX_UNANSWERED, vec![100]));
    assert!(stage.events.contains(&Event::Answer(100, b"/mine".to_vec())));
}

#[test]
fn askers_that_leave_do_not_make_a_busy_site_work_for_nobody() {
    let mut stage = Stage::new();
    for asker in 0..500 {
        stage.ask(asker, "/abandoned").unwrap();
        stage.deliver();
        stage.session.cancel(asker);
    }
    assert_eq!(stage.sent, WINDOW);
    stage.ask(1_000, "/mine").unwrap();
    stage.work();
    assert_eq!((stage.answers(), stage.sent), (vec![1_000], WINDOW + 1));
    assert_eq!(stage.session.poll_timeout(), None);
}

#[test]
fn what_is_no_message_is_told_and_changes_nothing() {
    let mut stage = Stage::new();
    stage.ask(1, "/a").unwrap();
    stage.deliver();
    let sn = stage.inbox[0].0;
    for text in
        ["", "{", r#"{"sn":1,"type":2,"pad":"*"}"#, r#"{"sn":1,"type":7,"pad":""}"#, r#"{"sn":1,"type":1,"pad":""}"#]
    {
        stage.session.handle_text(text.as_bytes());
        stage.deliver();
        assert_eq!(stage.events.pop(), Some(Event::Ignored), "{text}");
    }
    // A number that was never given moves nothing.
    stage.answer(sn + 1_000, "forged");
    stage.answer(0, "forged");
    assert_eq!(stage.events.split_off(0), [Event::Late, Event::Late]);
    stage.answer(sn, "mine");
    assert_eq!(stage.events, [Event::Answer(1, b"mine".to_vec())]);
}

#[test]
fn a_forged_number_does_not_open_the_window() {
    let mut stage = Stage::new();
    for sn in [i64::MAX, 1_000, 0, -1, i64::MIN] {
        stage.answer(sn, "forged");
    }
    for asker in 0..64 {
        stage.ask(asker, "/").unwrap();
    }
    stage.deliver();
    assert_eq!(stage.sent, WINDOW);
    stage.answer(i64::MAX, "forged");
    stage.answer(1_000, "forged");
    assert_eq!(stage.sent, WINDOW);
}

#[test]
fn a_long_name_is_cut() {
    let mut stage = Stage::new();
    let info = json!({"cid": "c", "name": "é".repeat(5_000), "serial": "s"}).to_string();
    let text = json!({"sn": 1, "type": 0, "pad": STANDARD.encode(info)}).to_string();
    stage.session.handle_text(text.as_bytes());
    stage.deliver();
    let Event::Info(info) = &stage.events[0] else { panic!("{:?}", stage.events) };
    assert_eq!((info.cid.as_str(), info.name.len(), info.serial.as_str()), ("c", 256, "s"));
}

//! Whatever a site does and whoever leaves: each asker gets one end, its own answer or its deadline.
#![expect(clippy::disallowed_methods, reason = "a virtual clock starts somewhere")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use sluicegate_cascade::m7s::upstream::{Event, MAX_UNANSWERED, Session};
use sluicegate_cascade::m7s::{Content, Info, Message, Request, downstream};

const DEADLINE: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
enum Step {
    Ask,
    /// Cancels one that was asked.
    Cancel(usize),
    /// Answers one that the site has been sent, at whatever place, perhaps again.
    Answer(usize),
    /// The site forgets one.
    Fail(usize),
    Pass(u64),
    Noise(Vec<u8>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Ask),
        1 => any::<usize>().prop_map(Step::Cancel),
        3 => any::<usize>().prop_map(Step::Answer),
        1 => any::<usize>().prop_map(Step::Fail),
        2 => (1u64..6_000).prop_map(Step::Pass),
        1 => prop::collection::vec(any::<u8>(), 0..20).prop_map(Step::Noise),
    ];
    prop::collection::vec(step, 0..200)
}

fn request(url: String) -> Request {
    Request { url, header: BTreeMap::new(), method: "GET".into(), body: None }
}

struct Run {
    session: Session,
    now: Instant,
    /// Numbers that the site has, with their paths, answered ones too.
    sent: Vec<(i64, String)>,
    /// The deadline of each number that was sent and not answered since.
    unanswered: BTreeMap<i64, Instant>,
    /// The deadline of each asker.
    deadlines: Vec<Instant>,
    waiting: BTreeSet<u64>,
    answered: i64,
    asked: u64,
}

impl Run {
    fn settle(&mut self) {
        while let Some(text) = self.session.poll_text() {
            let Some(Message { sn, content: Content::Request(request) }) = Message::decode(text.as_bytes()) else {
                panic!("{text}")
            };
            assert!(self.sent.iter().all(|(other, _)| *other != sn), "a number is used twice");
            let asker: usize = request.url[1..].parse().unwrap();
            self.unanswered.insert(sn, self.deadlines[asker]);
            self.sent.push((sn, request.url));
        }
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Answer(asker, body) => {
                    assert!(self.waiting.remove(&asker), "{asker} does not wait");
                    assert_eq!(body, format!("/{asker}").into_bytes(), "another one's answer");
                }
                Event::Expired(asker) => assert!(self.waiting.remove(&asker), "{asker} does not wait"),
                Event::Late | Event::Ignored | Event::Info(_) => {}
                other => panic!("{other:?}"),
            }
        }
        let (now, answered) = (self.now, self.answered);
        let under_way = |(sn, deadline): &(&i64, &Instant)| **sn > answered && now < **deadline;
        assert!(self.unanswered.iter().filter(under_way).count() <= MAX_UNANSWERED);
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.session.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.session.handle_timeout(self.now);
            self.settle();
        }
        self.now = end;
        self.session.handle_timeout(end);
        self.settle();
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Ask => {
                if self.session.ask(self.asked, request(format!("/{}", self.asked)), self.now, DEADLINE).is_ok() {
                    self.waiting.insert(self.asked);
                }
                self.deadlines.push(self.now + DEADLINE);
                self.asked += 1;
            }
            Step::Cancel(at) => {
                let asker = at as u64 % (self.asked + 1);
                self.session.cancel(asker);
                self.waiting.remove(&asker);
            }
            Step::Answer(at) if !self.sent.is_empty() => {
                let (sn, url) = self.sent[at % self.sent.len()].clone();
                self.unanswered.remove(&sn);
                self.answered = self.answered.max(sn);
                let answer = Message { sn, content: Content::Response(url.into_bytes()) };
                self.session.handle_text(answer.encode().as_bytes());
            }
            Step::Fail(at) if !self.sent.is_empty() => drop(self.sent.remove(at % self.sent.len())),
            Step::Answer(_) | Step::Fail(_) => {}
            Step::Pass(millis) => self.pass(Duration::from_millis(millis)),
            Step::Noise(bytes) => self.session.handle_text(&bytes),
        }
        self.settle();
    }
}

proptest! {
    #[test]
    fn each_asker_gets_its_own_end(steps in steps()) {
        let mut run = Run {
            session: Session::new(),
            now: Instant::now(),
            sent: Vec::new(),
            unanswered: BTreeMap::new(),
            deadlines: Vec::new(),
            waiting: BTreeSet::new(),
            answered: 0,
            asked: 0,
        };
        steps.into_iter().for_each(|step| run.step(step));
        run.pass(DEADLINE);
        prop_assert!(run.waiting.is_empty(), "{:?} wait for ever", run.waiting);
        prop_assert_eq!(run.session.poll_timeout(), None);
    }

    #[test]
    fn the_site_answers_each_request_once(numbers in prop::collection::vec(0i64..80, 0..150), bad in 0usize..5) {
        let mut site = downstream::Session::new(Info::default());
        site.poll_text();
        let mut asked = BTreeSet::new();
        let mut answered = BTreeMap::<i64, usize>::new();
        for (at, sn) in numbers.into_iter().enumerate() {
            if !asked.insert(sn) {
                continue;
            }
            if at % 5 == bad {
                site.handle_text(format!(r#"{{"sn":{sn},"type":1,"pad":"!"}}"#).as_bytes());
            } else {
                site.handle_text(Message { sn, content: Content::Request(request("/".into())) }.encode().as_bytes());
            }
        }
        let open: Vec<_> = std::iter::from_fn(|| site.poll_request()).map(|(sn, _)| sn).collect();
        for sn in open {
            site.handle_answer(sn, b"a");
            site.handle_answer(sn, b"b");
        }
        while let Some(text) = site.poll_text() {
            let message = Message::decode(text.as_bytes()).map(|message| message.sn);
            *answered.entry(message.unwrap_or(-1)).or_default() += 1;
        }
        prop_assert_eq!(answered, asked.into_iter().map(|sn| (sn, 1)).collect::<BTreeMap<_, _>>());
    }
}

//! Both ends of the register protocol against each other, on a virtual clock.
#![expect(clippy::disallowed_methods, reason = "a virtual clock starts somewhere")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sluicegate_cascade::m7s::{Content, Info, Message, Request, downstream, upstream};
use upstream::Event;

const DEADLINE: Duration = Duration::from_secs(10);

fn request(url: &str) -> Request {
    Request { url: url.into(), header: BTreeMap::new(), method: "GET".into(), body: None }
}

struct Pair {
    upstream: upstream::Session,
    site: downstream::Session,
    now: Instant,
}

impl Pair {
    fn new() -> Self {
        let info = Info { cid: "c".into(), name: "n".into(), serial: String::new() };
        Self { upstream: upstream::Session::new(), site: downstream::Session::new(info), now: Instant::now() }
    }

    fn ask(&mut self, asker: u64, url: &str) -> Result<(), upstream::Full> {
        self.upstream.ask(asker, request(url), self.now, DEADLINE)
    }

    /// What is under way arrives; returns what the site has been asked.
    fn exchange(&mut self) -> Vec<(i64, String)> {
        let mut asked = Vec::new();
        loop {
            let to_site: Vec<_> = std::iter::from_fn(|| self.upstream.poll_text()).collect();
            to_site.iter().for_each(|text| self.site.handle_text(text.as_bytes()));
            asked.extend(std::iter::from_fn(|| self.site.poll_request()).map(|(sn, request)| (sn, request.url)));
            let back: Vec<_> = std::iter::from_fn(|| self.site.poll_text()).collect();
            back.iter().for_each(|text| self.upstream.handle_text(text.as_bytes()));
            if to_site.is_empty() && back.is_empty() {
                return asked;
            }
        }
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.upstream.poll_event()).collect()
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.upstream.handle_timeout(self.now);
    }
}

#[test]
fn each_gets_its_own_answer_in_whatever_order() {
    let mut pair = Pair::new();
    for asker in 0..20 {
        pair.ask(asker, &format!("/{asker}")).unwrap();
    }
    let mut answered = BTreeMap::new();
    let mut asked = pair.exchange();
    while !asked.is_empty() {
        // No more are under way than the window holds, whatever waits.
        assert!(asked.len() <= upstream::WINDOW);
        asked.reverse();
        for (sn, url) in asked {
            pair.site.handle_answer(sn, format!("answer to {url}").as_bytes());
            pair.site.handle_answer(sn, b"a second answer");
        }
        asked = pair.exchange();
        for event in pair.events() {
            match event {
                Event::Answer(asker, body) => drop(answered.insert(asker, String::from_utf8(body).unwrap())),
                Event::Info(info) => assert_eq!(info.cid, "c"),
                other => panic!("{other:?}"),
            }
        }
    }
    let all: BTreeMap<_, _> = (0..20).map(|asker| (asker, format!("answer to /{asker}"))).collect();
    assert_eq!(answered, all);
}

#[test]
fn a_late_answer_is_given_to_nobody() {
    let mut pair = Pair::new();
    pair.ask(1, "/slow").unwrap();
    let slow = pair.exchange().remove(0).0;
    pair.events();
    assert_eq!(pair.upstream.poll_timeout(), Some(pair.now + DEADLINE));
    pair.pass(DEADLINE);
    assert_eq!(pair.events(), [Event::Expired(1)]);
    pair.ask(2, "/quick").unwrap();
    let quick = pair.exchange().remove(0).0;
    pair.site.handle_answer(slow, b"slow");
    pair.site.handle_answer(quick, b"quick");
    pair.exchange();
    assert_eq!(pair.events(), [Event::Late, Event::Answer(2, b"quick".to_vec())]);
}

#[test]
fn a_site_that_never_answers_costs_deadlines_and_no_more() {
    let mut pair = Pair::new();
    for asker in 0..upstream::MAX_WAITING as u64 {
        pair.ask(asker, "/").unwrap();
    }
    assert_eq!(pair.ask(99, "/"), Err(upstream::Full));
    assert_eq!(pair.exchange().len(), upstream::WINDOW);
    pair.upstream.cancel(5);
    pair.pass(DEADLINE);
    let expired = pair.events().into_iter().filter(|event| matches!(event, Event::Expired(_))).count();
    assert_eq!(expired, upstream::MAX_WAITING - 1);
    assert_eq!(pair.upstream.poll_timeout(), None);
    pair.ask(100, "/").unwrap();
}

#[test]
fn the_site_answers_also_what_is_too_much() {
    let mut site = downstream::Session::new(Info::default());
    site.poll_text().unwrap();
    for sn in 1..=downstream::MAX_OPEN as i64 + 1 {
        site.handle_text(Message { sn, content: Content::Request(request("/")) }.encode().as_bytes());
    }
    let taken: Vec<_> = std::iter::from_fn(|| site.poll_request()).map(|(sn, _)| sn).collect();
    assert_eq!(taken, (1..=downstream::MAX_OPEN as i64).collect::<Vec<_>>());
    assert_eq!(refusal(&mut site).0, downstream::MAX_OPEN as i64 + 1);
    // A place is free again once one is answered.
    site.handle_answer(1, b"done");
    assert_eq!(refusal(&mut site), (1, "done".to_owned()));
    site.handle_text(Message { sn: 99, content: Content::Request(request("/")) }.encode().as_bytes());
    assert_eq!(site.poll_request().unwrap().0, 99);
}

#[test]
fn the_site_answers_what_it_cannot_read_and_what_is_too_large() {
    let mut site = downstream::Session::new(Info::default());
    site.poll_text().unwrap();
    for (text, sn) in [
        (r#"{"sn":7,"type":1,"pad":"e30="}"#, 7),
        (r#"{"sn":8,"type":1,"pad":"*"}"#, 8),
        (r#"{"sn":9,"type":1,"pad":null}"#, 9),
        (r#"{"sn":10,"type":1}"#, 10),
    ] {
        site.handle_text(text.as_bytes());
        assert_eq!(refusal(&mut site), (sn, "the request cannot be read".to_owned()), "{text}");
    }
    site.handle_text(Message { sn: 11, content: Content::Request(request("/")) }.encode().as_bytes());
    site.poll_request().unwrap();
    site.handle_answer(11, &vec![0; downstream::MAX_ANSWER_BYTES + 1]);
    let (sn, why) = refusal(&mut site);
    assert!(sn == 11 && why.contains("limit"), "{sn} {why}");
    for nothing in ["", "{}", r#"{"sn":1,"type":2,"pad":""}"#, r#"{"sn":1,"type":9,"pad":""}"#] {
        site.handle_text(nothing.as_bytes());
        assert_eq!((site.poll_text(), site.poll_request()), (None, None), "{nothing}");
    }
}

fn refusal(site: &mut downstream::Session) -> (i64, String) {
    let message = Message::decode(site.poll_text().unwrap().as_bytes()).unwrap();
    let Content::Response(body) = message.content else { panic!("no answer: {message:?}") };
    (message.sn, String::from_utf8(body).unwrap())
}

//! Both sessions on a virtual clock, with messages that are lost: a push lives while somebody watches, and never
//! longer than a lease beyond.

#![expect(clippy::disallowed_methods, reason = "the virtual clock starts at some instant")]

use std::time::{Duration, Instant};

use sluicegate_cascade::{Hello, LeaseId, Message, Offers, StreamOffer, downstream, upstream};

/// Both ends and the instant.
struct Pair {
    now: Instant,
    upstream: upstream::Session,
    site: downstream::Session,
    lose: fn(&Message) -> bool,
    pushing: Option<LeaseId>,
    leases: u8,
    events: Vec<upstream::Event>,
}

fn offers(always: bool) -> Offers {
    Offers { services: Vec::new(), streams: vec![StreamOffer { name: "cam".into(), always }] }
}

impl Pair {
    fn new(always: bool, lose: fn(&Message) -> bool) -> Self {
        let mut site = downstream::Session::new(Hello::default(), offers(always));
        site.handle_opened();
        let upstream = upstream::Session::new();
        let mut pair = Self { now: Instant::now(), upstream, site, lose, pushing: None, leases: 0, events: Vec::new() };
        pair.exchange();
        pair
    }

    fn exchange(&mut self) {
        loop {
            let up = self.site.poll_message();
            let down = self.upstream.poll_message();
            if up.is_none() && down.is_none() {
                break;
            }
            if let Some(message) = up.filter(|message| !(self.lose)(message)) {
                self.upstream.handle_message(message);
            }
            if let Some(message) = down.filter(|message| !(self.lose)(message)) {
                self.site.handle_message(message, self.now);
            }
        }
        self.events.extend(std::iter::from_fn(|| self.upstream.poll_event()));
        while let Some(event) = self.site.poll_event() {
            self.pushing = match event {
                downstream::Event::Push(_, lease) => Some(lease),
                _ => None,
            };
        }
    }

    fn viewers(&mut self, count: usize) {
        self.leases += 1;
        let id = LeaseId([self.leases; 16]);
        self.upstream.handle_viewers("cam", count, self.now, || id);
        self.exchange();
    }

    /// Jumps from timer to timer.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.upstream.poll_timeout().into_iter().chain(self.site.poll_timeout()).min() {
            if next > end {
                break;
            }
            self.now = next;
            self.upstream.handle_timeout(next);
            self.site.handle_timeout(next);
            self.exchange();
        }
        self.now = end;
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_push_lives_from_the_first_viewer_to_five_seconds_after_the_last() {
    let mut pair = Pair::new(false, |_| false);
    assert_eq!(pair.pushing, None);
    pair.viewers(1);
    assert!(pair.pushing.is_some());
    pair.pass(100 * SECOND);
    assert!(pair.pushing.is_some());
    pair.viewers(0);
    pair.pass(4 * SECOND);
    assert!(pair.pushing.is_some());
    pair.pass(2 * SECOND);
    assert_eq!(pair.pushing, None);
}

#[test]
fn a_viewer_who_returns_in_time_keeps_the_push() {
    let mut pair = Pair::new(false, |_| false);
    pair.viewers(1);
    let lease = pair.pushing;
    pair.viewers(0);
    pair.pass(4 * SECOND);
    pair.viewers(1);
    pair.pass(30 * SECOND);
    assert_eq!(pair.pushing, lease);
}

#[test]
fn without_any_release_the_push_ends_within_sixteen_seconds() {
    let mut pair = Pair::new(false, |message| matches!(message, Message::PushRelease { .. }));
    pair.viewers(1);
    pair.pass(20 * SECOND);
    pair.viewers(0);
    pair.pass(16 * SECOND);
    assert_eq!(pair.pushing, None);
}

#[test]
fn without_any_renewal_the_push_ends_with_its_lease() {
    let mut pair = Pair::new(false, |message| matches!(message, Message::PushRenew { .. }));
    pair.viewers(1);
    pair.pass(9 * SECOND);
    assert!(pair.pushing.is_some());
    pair.pass(2 * SECOND);
    assert_eq!(pair.pushing, None);
}

#[test]
fn always_means_without_viewers() {
    let mut pair = Pair::new(true, |_| false);
    pair.viewers(0);
    pair.pass(60 * SECOND);
    assert!(pair.pushing.is_some());
}

#[test]
fn a_push_goes_on_over_a_new_control_stream_and_takes_the_new_lease() {
    let mut pair = Pair::new(false, |_| false);
    pair.viewers(1);
    let first = pair.pushing.unwrap();
    pair.upstream = upstream::Session::new();
    pair.site.handle_opened();
    pair.exchange();
    pair.pass(5 * SECOND);
    assert_eq!(pair.pushing, Some(first), "the lease outlives its control stream");
    pair.viewers(1);
    pair.pass(60 * SECOND);
    assert_eq!(pair.pushing, Some(LeaseId([2; 16])));
}

#[test]
fn the_site_decides_what_is_pushed() {
    let mut pair = Pair::new(false, |_| false);
    let lease = LeaseId([9; 16]);
    let start = Message::PushStart { lease, stream: "secret".into(), expires_ms: 10_000 };
    pair.site.handle_message(start, pair.now);
    assert!(matches!(pair.site.poll_message(), Some(Message::PushFailed { lease: LeaseId([9, ..]), .. })));
    assert_eq!(pair.site.poll_event(), None);
}

#[test]
fn what_is_no_longer_offered_is_released_and_stopped() {
    let mut pair = Pair::new(false, |_| false);
    pair.viewers(1);
    pair.site.handle_offers(Offers::default());
    pair.exchange();
    assert_eq!(pair.pushing, None);
    assert!(matches!(pair.events.as_slice(), [.., upstream::Event::Released(..), upstream::Event::Offers(_)]));
    pair.viewers(1);
    assert_eq!(pair.upstream.poll_timeout(), None, "viewers of what is not offered lease nothing");
}

#[test]
fn a_site_that_lies_is_bounded() {
    let mut upstream = upstream::Session::new();
    let streams = (0..5_000).map(|number| StreamOffer { name: format!("s{number}"), always: true }).collect();
    upstream.handle_message(Message::Offers(Offers { services: Vec::new(), streams }));
    let event = upstream.poll_event();
    assert!(matches!(event, Some(upstream::Event::Offers(offers)) if offers.streams.len() == upstream::MAX_STREAMS));
    upstream.handle_message(Message::PushFailed { lease: LeaseId([1; 16]), reason: "made up".into() });
    assert_eq!(upstream.poll_event(), None, "a failure of a lease that does not exist is nobody's");
}

#[test]
fn an_absurd_lease_is_cut_to_a_minute() {
    let mut pair = Pair::new(false, |_| false);
    let start = Message::PushStart { lease: LeaseId([1; 16]), stream: "cam".into(), expires_ms: u32::MAX };
    pair.site.handle_message(start, pair.now);
    assert_eq!(pair.site.poll_timeout(), Some(pair.now + 60 * SECOND));
}

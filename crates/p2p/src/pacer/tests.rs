//! The pace to peers on a virtual clock.

use super::*;

/// A peer on a virtual clock: a link of a rate and a round trip, and a sender that always has something.
struct Link {
    rate: f64,
    round_trip: Duration,
    /// When each message is acknowledged.
    under_way: VecDeque<(Instant, usize)>,
    free: Instant,
}

/// Sends for a time; gives bytes sent, the longest queueing time and the most that was unacknowledged.
fn run(pacer: &mut Pacer, link: &mut Link, start: Instant, time: Duration) -> (usize, Duration, usize) {
    let (mut now, mut sent, mut queued, mut most) = (start, 0, Duration::ZERO, 0);
    while now < start + time {
        while link.under_way.front().is_some_and(|(at, _)| *at <= now) {
            link.under_way.pop_front();
        }
        let buffered = link.under_way.iter().map(|(_, length)| length).sum();
        pacer.handle_buffered(now, buffered);
        match pacer.verdict(now, buffered, MESSAGE) {
            Verdict::Send => {
                link.free = link.free.max(now) + Duration::from_secs_f64(MESSAGE as f64 / link.rate);
                queued = queued.max(link.free - now);
                link.under_way.push_back((link.free + link.round_trip, MESSAGE));
                pacer.handle_sent(now, MESSAGE);
                sent += MESSAGE;
                most = most.max(buffered + MESSAGE);
            }
            Verdict::At(at) => now = at,
            Verdict::Below(_) => now = link.under_way.front().unwrap().0,
        }
    }
    (sent, queued, most)
}

fn link(now: Instant, mbit: f64, round_trip: u64) -> Link {
    let round_trip = Duration::from_millis(round_trip);
    Link { rate: mbit * 125_000.0, round_trip, under_way: VecDeque::new(), free: now }
}

fn pacer(kind: Kind, round_trip: u64) -> Pacer {
    let mut pacer = Pacer::new(Limits::default(), kind);
    pacer.handle_round_trip(Duration::from_millis(round_trip));
    pacer
}

fn mbit(bytes: usize, time: Duration) -> f64 {
    bytes as f64 / 125_000.0 / time.as_secs_f64()
}

#[test]
fn a_near_browser_gets_an_even_pace_in_a_small_window() {
    let (now, time) = (Instant::now(), Duration::from_secs(5));
    let mut pacer = pacer(Kind::Browser, 0);
    let (sent, _, most) = run(&mut pacer, &mut link(now, 2_000.0, 0), now, time);
    assert!((140.0..=151.0).contains(&mbit(sent, time)), "{}", mbit(sent, time));
    assert!(most <= 64 << 10, "{most}");
    // After a pause only one message goes at once.
    let later = now + time * 2;
    assert_eq!(pacer.verdict(later, 0, MESSAGE), Verdict::Send);
    pacer.handle_sent(later, MESSAGE);
    assert!(matches!(pacer.verdict(later, 0, MESSAGE), Verdict::At(at) if at > later + Duration::from_millis(1)));
}

#[test]
fn a_near_node_is_not_paced() {
    let (now, time) = (Instant::now(), Duration::from_secs(2));
    let (sent, _, most) = run(&mut pacer(Kind::Node { window: u32::MAX }, 1), &mut link(now, 800.0, 1), now, time);
    assert!(mbit(sent, time) > 750.0 && most <= 2 << 20, "{} {most}", mbit(sent, time));
}

#[test]
fn a_far_peer_fills_its_link_and_its_queue_stays_short() {
    for (rate, round_trip) in [(1.5, 100), (5.0, 300), (20.0, 50), (200.0, 50)] {
        let (now, time) = (Instant::now(), Duration::from_secs(10));
        let mut link = link(now, rate, round_trip);
        let (sent, queued, most) = run(&mut pacer(Kind::Browser, round_trip), &mut link, now, time);
        let reached = mbit(sent, time);
        assert!(reached > rate * 0.75, "{rate} {round_trip}: {reached}");
        assert!(queued < Duration::from_millis(1300), "{rate} {round_trip}: {queued:?}");
        assert!(most <= 2 << 20);
    }
}

#[test]
fn a_link_that_grows_slow_makes_the_window_small() {
    let (now, time) = (Instant::now(), Duration::from_secs(5));
    let mut pacer = pacer(Kind::Browser, 50);
    let mut link = link(now, 20.0, 50);
    run(&mut pacer, &mut link, now, time);
    assert!(pacer.window() > 1 << 20);
    link.rate = 125_000.0;
    let later = now + time * 2;
    run(&mut pacer, &mut link, later, time * 4);
    let (_, queued, _) = run(&mut pacer, &mut link, later + time * 5, time);
    assert!(queued < Duration::from_millis(1500), "{queued:?}");
}

#[test]
fn an_idle_time_is_no_slow_drain() {
    let now = Instant::now();
    let mut pacer = pacer(Kind::Browser, 50);
    run(&mut pacer, &mut link(now, 20.0, 50), now, Duration::from_secs(5));
    let window = pacer.window();
    for second in 5..60 {
        pacer.handle_buffered(now + Duration::from_secs(second), 0);
    }
    assert_eq!(pacer.window(), window);
}

#[test]
fn a_cap_holds() {
    let now = Instant::now();
    let mut share = Share::new(Some(1_000_000));
    let last = (0..100).map(|_| share.reserve(now, MESSAGE)).last().unwrap();
    assert_eq!((last - now).as_millis(), 99 * MESSAGE as u128 / 1000);
    assert_eq!(Share::new(None).reserve(now, MESSAGE), now);
}

#[test]
fn one_of_several_connections_has_little_waiting() {
    let (now, time) = (Instant::now(), Duration::from_secs(5));
    let mut pacer = pacer(Kind::Node { window: u32::MAX }, 50);
    pacer.set_shared(true);
    let (sent, queued, most) = run(&mut pacer, &mut link(now, 2.0, 50), now, time);
    assert!(mbit(sent, time) > 1.8, "{}", mbit(sent, time));
    assert!(queued < Duration::from_millis(500) && most <= 2 * MESSAGE, "{queued:?} {most}");
}

#[test]
fn each_of_several_connections_to_a_browser_has_what_its_socket_holds() {
    let (now, time) = (Instant::now(), Duration::from_secs(5));
    for rate in [2.0, 6.0, 200.0] {
        let mut pacer = pacer(Kind::Browser, 50);
        // What it had alone is no measure.
        run(&mut pacer, &mut link(now, 200.0, 50), now, time);
        pacer.set_shared(true);
        let later = now + time * 2;
        let (sent, _, most) = run(&mut pacer, &mut link(later, rate, 50), later, time);
        assert!(most <= 64 << 10, "{most}");
        // A message in a round trip: 32 of them fill a link of 200 Mbit/s.
        assert!(mbit(sent, time) > 7.5_f64.min(rate * 0.55), "{rate}: {}", mbit(sent, time));
    }
    let bound = pacer(Kind::Browser, 50).bound().unwrap();
    assert!(bound <= 64 << 10 && 32 * bound > 200 * 125_000 / 20);
    assert_eq!(pacer(Kind::Stack, 50).bound(), None);
}

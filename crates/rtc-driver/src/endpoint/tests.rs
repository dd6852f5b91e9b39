//! What only a session or a server of our own making can show.

use super::*;
use crate::media::{RtpPacket, TrackId};
use crate::session::Transmit;
use crate::wire::{Class, Kind, binding_success, classify};
use crate::{ChannelId, ChannelOptions, Message};

/// A session that fails on the first datagram.
struct Fragile;

impl Session for Fragile {
    fn fragment(&self) -> &'static str {
        "fragile"
    }
    fn create_offer(&mut self, _: Instant, _: bool) -> Result<String, Error> {
        Err(Error::Closed)
    }
    fn handle_answer(&mut self, _: Instant, _: &str) -> Result<(), Error> {
        Err(Error::Closed)
    }
    fn handle_offer(&mut self, _: Instant, _: &str) -> Result<String, Error> {
        Err(Error::Closed)
    }
    fn add_remote_candidate(&mut self, _: Instant, _: &str) -> Result<(), Error> {
        Err(Error::Closed)
    }
    fn add_mapped_address(&mut self, _: Instant, _: SocketAddr, _: SocketAddr) -> Result<(), Error> {
        Err(Error::Closed)
    }
    fn open_channel(&mut self, _: Instant, _: &str, _: &ChannelOptions) -> Result<ChannelId, Error> {
        Err(Error::Closed)
    }
    fn close_channel(&mut self, _: Instant, _: ChannelId) {}
    fn send(&mut self, _: Instant, _: ChannelId, _: Message) -> Result<(), Error> {
        Err(Error::Closed)
    }
    fn send_rtp(&mut self, _: Instant, _: TrackId, _: &Arc<[RtpPacket]>, _: u16, _: &mut Outlet) -> Result<(), Error> {
        Err(Error::Closed)
    }
    fn tell_clock(&mut self, _: Instant, _: Instant, _: &[(TrackId, u32)]) -> Result<(), Error> {
        Err(Error::Closed)
    }
    fn request_key_frame(&mut self, _: Instant, _: TrackId) -> Result<(), Error> {
        Err(Error::Closed)
    }
    fn buffered(&mut self) -> usize {
        0
    }
    fn handle_datagram(&mut self, _: Instant, _: SocketAddr, _: SocketAddr, _: BytesMut) {
        panic!("as the stack does on a long SCTP ABORT");
    }
    fn handle_timeout(&mut self, _: Instant) {}
    fn close(&mut self, _: Instant) {}
    fn poll_timeout(&mut self) -> Option<Instant> {
        None
    }
    fn poll_event(&mut self) -> Option<Event> {
        None
    }
    fn poll_message(&mut self) -> Option<(ChannelId, Message)> {
        None
    }
    fn poll_transmit(&mut self) -> Option<Transmit> {
        None
    }
}

const SERVER: &str = "198.51.100.1:3478";

fn endpoint(now: Instant) -> Endpoint {
    let config = Config { stun_server: Some(SERVER.parse().unwrap()), ..Config::default() };
    Endpoint::new(now, Arc::new(config), vec![vec!["192.0.2.1:5000".parse().unwrap()]]).unwrap()
}

/// The stack panics on some messages of an authenticated peer (long SCTP ABORT and ERROR causes, short DCEP messages).
#[test]
fn a_panic_ends_its_own_session_only() {
    let now = Instant::now();
    let mut endpoint = endpoint(now);
    let (other, _) = endpoint.offer(now, &Options::channel("chat")).unwrap();
    let fragile = endpoint.enter(now, &[0], Box::new(Fragile));
    endpoint.flush(now);
    let mut check = crate::wire::binding_request([5; 12]);
    check.extend([0, 6, 0, 9]);
    check.extend(b"fragile:x\0\0\0");
    check[3] = 16;
    let data = BytesMut::from(&check[..]);
    endpoint.handle_datagram(now, Datagram { socket: 0, to: None, from: "192.0.2.9:9".parse().unwrap(), data });
    endpoint.flush(now);
    let ends: Vec<_> = std::iter::from_fn(|| endpoint.poll_event())
        .filter(|(_, event)| matches!(event, Event::State(State::Closed(_))))
        .collect();
    assert_eq!(ends, [(fragile, Event::State(State::Closed(CloseReason::Fault)))]);
    assert_eq!((endpoint.counters().panics, endpoint.len()), (1, 1));
    assert!(matches!(endpoint.add_candidate(now, fragile, ""), Err(Error::Closed)));
    endpoint.add_candidate(now, other, "").unwrap();
}

fn query(endpoint: &mut Endpoint, now: Instant) -> Option<[u8; 12]> {
    endpoint.handle_timeout(now);
    endpoint.flush(now);
    let sent = std::iter::from_fn(|| endpoint.poll_transmit()).find(|sent| sent.to.to_string() == SERVER)?;
    match classify(&sent.data) {
        Kind::Stun(stun) if stun.class == Class::Request => Some(stun.transaction),
        other => panic!("{other:?}"),
    }
}

fn candidates(endpoint: &mut Endpoint) -> Vec<String> {
    let events = std::iter::from_fn(|| endpoint.poll_event());
    let candidate = |(_, event)| if let Event::Candidate(candidate) = event { Some(candidate) } else { None };
    events.filter_map(candidate).filter(|candidate| candidate.contains("srflx")).collect()
}

#[test]
fn a_stun_server_tells_the_public_address() {
    let start = Instant::now();
    let mut endpoint = endpoint(start);
    let (early, _) = endpoint.offer(start, &Options::channel("chat")).unwrap();
    let first = query(&mut endpoint, start).unwrap();
    let now = endpoint.poll_timeout().unwrap();
    assert!(now - start < Duration::from_secs(1), "an unanswered query is repeated soon");
    let second = query(&mut endpoint, now).unwrap();
    assert_ne!(first, second);
    let answer = |from: &str, transaction| Datagram {
        socket: 0,
        to: None,
        from: from.parse().unwrap(),
        data: BytesMut::from(&binding_success(transaction, "203.0.113.7:6000".parse().unwrap())[..]),
    };
    // Neither a stranger's answer nor one to a query that nobody sent.
    endpoint.handle_datagram(now, answer("198.51.100.2:3478", second));
    endpoint.handle_datagram(now, answer(SERVER, [1; 12]));
    endpoint.flush(now);
    assert!(candidates(&mut endpoint).is_empty());
    endpoint.handle_datagram(now, answer(SERVER, second));
    endpoint.flush(now);
    let trickled = candidates(&mut endpoint);
    assert_eq!(trickled.len(), 1, "{trickled:?}");
    assert!(trickled[0].contains("203.0.113.7 6000 typ srflx raddr 192.0.2.1 rport 5000"), "{trickled:?}");
    let (_, offer) = endpoint.offer(now, &Options::channel("chat")).unwrap();
    assert!(offer.contains("203.0.113.7 6000 typ srflx"), "{offer}");
    // The mapping is kept alive, and the same answer again is no news.
    assert!(query(&mut endpoint, now + Duration::from_secs(24)).is_none());
    let third = query(&mut endpoint, now + Duration::from_secs(25)).unwrap();
    endpoint.handle_datagram(now + Duration::from_secs(25), answer(SERVER, third));
    endpoint.close(now, early);
    endpoint.flush(now + Duration::from_secs(25));
    // The second session was told by its own candidates when it was made.
    assert!(candidates(&mut endpoint).iter().all(|candidate| candidate.contains("203.0.113.7 6000")));
}

/// Sessions that come and go, connected or not, leave nothing in the tables.
#[test]
fn nothing_is_left_of_ended_sessions() {
    let mut now = Instant::now();
    let addresses: [SocketAddr; 2] = ["192.0.2.1:5000".parse().unwrap(), "192.0.2.2:5000".parse().unwrap()];
    let make = |own| Endpoint::new(now, Arc::new(Config::default()), vec![vec![own]]).unwrap();
    let mut ends = addresses.map(make);
    for round in 0..100 {
        let (first, offer) = ends[0].offer(now, &Options::channel("chat")).unwrap();
        let (second, answer) = ends[1].answer(now, &offer, &Options::default()).unwrap();
        ends[0].accept_answer(now, first, &answer).unwrap();
        // Some are ended before they are connected.
        for _ in 0..(if round % 3 == 0 { 3 } else { 40 }) {
            now += Duration::from_millis(1);
            for (own, other) in [(0, 1), (1, 0)] {
                ends[own].handle_timeout(now);
                ends[own].flush(now);
                while let Some(Outgoing { data, .. }) = ends[own].poll_transmit() {
                    let datagram = Datagram { socket: 0, to: None, from: addresses[own], data };
                    ends[other].handle_datagram(now, datagram);
                }
            }
        }
        if round % 3 != 0 {
            let status = ends[0].status(first).unwrap();
            assert_eq!(status.remote, Some(addresses[1]), "round {round}");
            assert!(status.round_trip.is_some_and(|time| time <= Duration::from_millis(5)), "{status:?}");
            assert!(status.sent > 1000 && status.received > 1000, "{status:?}");
        }
        ends[0].close(now, first);
        ends[1].close(now, second);
        for end in &mut ends {
            end.flush(now);
            let counts = (end.len(), end.table.len(), end.timers.len(), end.dirty.len());
            assert_eq!(counts, (0, 0, 0, 0), "round {round}");
            while end.poll_transmit().is_some() || end.poll_event().is_some() {}
        }
    }
}

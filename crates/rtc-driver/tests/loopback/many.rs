//! Many sessions on one port.

use sluicegate_rtc_driver::{CloseReason, Event, Message, Options, State};

use crate::peer::{Peer, config, driver, echo, event, within};

/// Each of 50 peers of the `webrtc` crate gets its own words back through the one port.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_sessions_share_a_port() {
    let driver = driver();
    let port = driver.addresses()[0].port();
    let mut tasks = Vec::new();
    for number in 0..50_u32 {
        let mut peer = Peer::new().await;
        let (mut connection, offer) = driver.offer(Options::channel("many")).await.unwrap();
        assert!(offer.contains(&format!(" 127.0.0.1 {port} typ host")));
        tasks.push(tokio::spawn(async move {
            let answer = peer.answer(&offer).await;
            connection.handle().accept_answer(answer).await.unwrap();
            let channel = event(&mut connection, "an open channel", |event| match event {
                Event::ChannelOpen { channel, .. } => Some(*channel),
                _ => None,
            })
            .await;
            let echoing = echo(peer.channel().await);
            for turn in 0..20_u32 {
                let words = Message::Text(format!("{number} {turn}"));
                connection.handle().send(channel, words.clone()).await.unwrap();
                let back = event(&mut connection, "an echo", |event| match event {
                    Event::Message { message, .. } => Some(message.clone()),
                    _ => None,
                })
                .await;
                assert_eq!(back, words);
            }
            echoing.abort();
            (connection, peer)
        }));
    }
    let mut alive = Vec::new();
    for task in tasks {
        alive.push(within("a session", task).await.unwrap());
    }
    let counters = driver.counters().await.unwrap();
    assert_eq!((counters.sessions, counters.panics), (50, 0));
    drop(alive);
    driver.shutdown().await;
}

/// IPv4 and IPv6 on the same port, each announced and each usable.
#[tokio::test]
async fn both_families_work() {
    let both = |ipv4_first: bool| {
        let mut listen = vec!["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()];
        if !ipv4_first {
            listen.reverse();
        }
        sluicegate_rtc_driver::Config { listen, ..config() }
    };
    let first = sluicegate_rtc_driver::Driver::bind(both(true)).unwrap();
    assert_eq!(first.addresses()[0].port(), first.addresses()[1].port());
    for only in ["127.0.0.1", "::1"] {
        let second = sluicegate_rtc_driver::Driver::bind(sluicegate_rtc_driver::Config {
            listen: vec![std::net::SocketAddr::new(only.parse().unwrap(), 0)],
            ..config()
        })
        .unwrap();
        let (mut offerer, offer) = first.offer(Options::channel("six")).await.unwrap();
        let (_answerer, answer) = second.answer(offer, Options::default()).await.unwrap();
        offerer.handle().accept_answer(answer).await.unwrap();
        event(&mut offerer, "an open channel", |event| matches!(event, Event::ChannelOpen { .. }).then_some(())).await;
    }
}

/// Several sessions between the same two drivers, as relays of several streams need them: each has a port of its own at
/// the end that offers, and gives it back.
#[tokio::test]
async fn sessions_with_ports_of_their_own_share_a_peer() {
    let (first, second) = (driver(), driver());
    let mut pairs = Vec::new();
    for number in 0..5 {
        let options = Options { own_port: true, ..Options::channel(format!("relay {number}")) };
        let (mut offerer, offer) = first.offer(options).await.unwrap();
        let (answerer, answer) = second.answer(offer.as_str(), Options::default()).await.unwrap();
        offerer.handle().accept_answer(answer).await.unwrap();
        let open = |event: &Event| match event {
            Event::ChannelOpen { channel, .. } => Some(*channel),
            _ => None,
        };
        let channel = event(&mut offerer, "an open channel", open).await;
        let candidate = offer.lines().find(|line| line.starts_with("a=candidate:")).unwrap();
        let port: u16 = candidate.split(' ').nth(5).unwrap().parse().unwrap();
        assert_ne!(port, first.addresses()[0].port());
        pairs.push((offerer, channel, answerer, port));
    }
    for (number, (offerer, channel, answerer, port)) in pairs.iter_mut().enumerate() {
        let words = Message::Text(format!("to {number}"));
        offerer.handle().send(*channel, words.clone()).await.unwrap();
        let arrived = event(answerer, "a message", |event| match event {
            Event::Message { message, .. } => Some(message.clone()),
            _ => None,
        })
        .await;
        assert_eq!(arrived, words);
        assert_eq!(answerer.handle().status().await.unwrap().remote.unwrap().port(), *port);
    }
    let ports: Vec<u16> = pairs.iter().map(|(.., port)| *port).collect();
    for (offerer, _, answerer, _) in &mut pairs {
        offerer.handle().close();
        event(answerer, "the end", |event| {
            matches!(event, Event::State(State::Closed(CloseReason::Peer))).then_some(())
        })
        .await;
    }
    for port in ports {
        within("a free port", async {
            while std::net::UdpSocket::bind(("127.0.0.1", port)).is_err() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

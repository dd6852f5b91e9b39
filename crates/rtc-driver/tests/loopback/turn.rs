//! Relays on a real TURN server (coturn).

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use sluicegate_rtc_driver::{
    Config, Connection, Driver, Event, Message, Options, TurnCredential, TurnServer, TurnTransport,
};
use sluicegate_testbed::peer::{Peer, find};
use sluicegate_testbed::turn::{TurnServer as Coturn, USER};
use tokio::process::Command;

use crate::peer::{config, driver, event, within};

fn named() -> (String, TurnCredential) {
    (USER.0.to_owned(), TurnCredential::Password(USER.1.to_owned()))
}

fn by(transport: TurnTransport, server: SocketAddr, (username, credential): (String, TurnCredential)) -> Driver {
    let turn = Some(TurnServer { server: server.to_string(), transport, tls: None, ipv6: false, username, credential });
    // A session that is never answered hears of relays.
    let answer_timeout = Duration::from_secs(300);
    Driver::bind(Config { turn, relay_only: true, answer_timeout, ..config() }).unwrap()
}

fn relayed(server: SocketAddr, named: (String, TurnCredential)) -> Driver {
    by(TurnTransport::Udp, server, named)
}

#[tokio::test]
async fn a_relay_is_of_ipv6_where_there_is_no_other() {
    let Some(coturn) = find(Peer::Coturn) else { return };
    let server = Coturn::start_at(Command::new(coturn), IpAddr::V6(Ipv6Addr::LOCALHOST)).await;
    let site = relayed(server.address, named());
    let viewer = Driver::bind(Config { listen: vec!["[::1]:0".parse().unwrap()], ..config() }).unwrap();
    let (mut early, _) = site.offer(Options::channel("early")).await.unwrap();
    let told = relay(&mut early).await;
    assert!(told.contains(" ::1 ") && told.contains(" raddr :: "), "{told}");
    let _kept = call(&site, &viewer).await;
}

/// The next relay that a session announces, as it stands in a candidate.
async fn relay(session: &mut Connection) -> String {
    let told = |event: &Event| match event {
        Event::Candidate(line) if line.contains(" typ relay ") => Some(line.clone()),
        _ => None,
    };
    event(session, "a relay", told).await
}

/// Opens a channel from a relayed driver to a plain one, and sends through it and back.
async fn call(from: &Driver, to: &Driver) -> (Connection, Connection) {
    let (mut first, offer) = within("an offer", from.offer(Options::channel("chat"))).await.unwrap();
    let candidates: Vec<&str> = offer.lines().filter(|line| line.starts_with("a=candidate:")).collect();
    assert!(candidates.len() == 1 && candidates[0].contains(" typ relay raddr "), "{offer}");
    let (mut second, answer) = within("an answer", to.answer(offer, Options::default())).await.unwrap();
    first.handle().accept_answer(answer).await.unwrap();
    let opened = |event: &Event| if let Event::ChannelOpen { channel, .. } = event { Some(*channel) } else { None };
    let here = event(&mut first, "an open channel", opened).await;
    let there = event(&mut second, "an open channel", opened).await;
    for length in [5, 100_000] {
        let message = Message::Binary(vec![7; length].into());
        first.handle().send(here, message.clone()).await.unwrap();
        let got = |event: &Event| if let Event::Message { message, .. } = event { Some(message.clone()) } else { None };
        let arrived = event(&mut second, "a message", got).await;
        assert_eq!(arrived, message);
        second.handle().send(there, arrived).await.unwrap();
        assert_eq!(event(&mut first, "its echo", got).await, message);
    }
    (first, second)
}

#[tokio::test]
async fn calls_share_one_relay() {
    let Some(coturn) = find(Peer::Coturn) else { return };
    let server = Coturn::start(&coturn).await;
    let site = relayed(server.address, named());
    let (mut early, offer) = site.offer(Options::channel("early")).await.unwrap();
    let told = relay(&mut early).await;
    assert!(!offer.contains("a=candidate:"), "{offer}");
    let mut calls = Vec::new();
    for _ in 0..3 {
        // One that had the same port at both ends twice could not be told apart.
        let viewer = driver();
        let (first, second) = call(&site, &viewer).await;
        let remote = second.handle().status().await.unwrap().remote.unwrap();
        assert!(told.contains(&format!(" {} {} typ relay", remote.ip(), remote.port())), "{told} {remote}");
        calls.push((first, second, viewer));
    }
    site.shutdown().await;
}

async fn at(coturn: &Path, own: IpAddr, more: &[&str]) -> Coturn {
    let mut command = Command::new(coturn);
    command.args(more);
    Coturn::start_at(command, own).await
}

#[tokio::test]
async fn a_restarted_server_is_asked_again_and_a_secret_makes_the_name() {
    let Some(coturn) = find(Peer::Coturn) else { return };
    let own = Coturn::own_address();
    let secret = ["--use-auth-secret", "--static-auth-secret", "north"];
    let server = at(&coturn, own, &secret).await;
    let named = ("site".to_owned(), TurnCredential::Secret("north".to_owned()));
    let (site, viewer) = (relayed(server.address, named), driver());
    let (mut early, _) = site.offer(Options::channel("early")).await.unwrap();
    let first = relay(&mut early).await;
    drop(server);
    let _server = at(&coturn, own, &secret).await;
    // The next refresh, 20 s after the one before, is refused; then the relay is asked for again, with pauses.
    let second = tokio::time::timeout(Duration::from_secs(60), async {
        while let Some(event) = early.next().await {
            if let Event::Candidate(line) = event {
                return line;
            }
        }
        panic!("the session has ended");
    });
    assert_ne!(second.await.unwrap(), first);
    call(&site, &viewer).await;
}

#[tokio::test]
async fn a_relay_by_tcp_ends_with_its_connection_and_comes_back() {
    let Some(coturn) = find(Peer::Coturn) else { return };
    let own = Coturn::own_address();
    let server = at(&coturn, own, &[]).await;
    let (site, viewer) = (by(TurnTransport::Tcp, server.address, named()), driver());
    let (mut early, _) = site.offer(Options::channel("early")).await.unwrap();
    relay(&mut early).await;
    let kept = call(&site, &viewer).await;
    drop(server);
    // No refresh is needed to notice: connections are refused until the server is back.
    let mut server = at(&coturn, own, &[]).await;
    relay(&mut early).await;
    drop(kept);
    let _kept = call(&site, &viewer).await;
    site.shutdown().await;
    server.program.says("TCP connection closed by client").await;
}

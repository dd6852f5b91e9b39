//! A STUN server that is named, not numbered.

use std::net::SocketAddr;

use sluicegate_rtc_driver::{Config, Driver, Event, Options};
use tokio::net::UdpSocket;

use crate::peer::{config, event, within};

/// Answers one binding request: the sender is at 203.0.113.9, port 4444 (RFC 8489 sections 5 and 14.2).
async fn answer(socket: &UdpSocket) {
    let mut request = [0; 100];
    let (length, from) = within("a question", socket.recv_from(&mut request)).await.unwrap();
    assert_eq!((length, &request[..8]), (20, &[0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42][..]));
    let mut reply = vec![1, 1, 0, 12];
    reply.extend_from_slice(&request[4..20]);
    reply.extend_from_slice(&[0, 0x20, 0, 8, 0, 1]);
    reply.extend((4444_u16 ^ 0x2112).to_be_bytes());
    reply.extend([203 ^ 0x21, 0x12, 113 ^ 0xA4, 9 ^ 0x42]);
    socket.send_to(&reply, from).await.unwrap();
}

#[tokio::test]
async fn its_name_is_resolved_and_its_answer_announced() {
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let name = format!("localhost:{}", server.local_addr().unwrap().port());
    let any: Vec<SocketAddr> = vec!["127.0.0.1:0".parse().unwrap()];
    let driver = Driver::bind(Config { stun_name: Some(name), tcp_listen: any, ..config() }).unwrap();
    let (mut early, _) = driver.offer(Options::channel("early")).await.unwrap();
    answer(&server).await;
    let public = " 203.0.113.9 4444 typ srflx";
    let told = |event: &Event| matches!(event, Event::Candidate(line) if line.contains(public)).then_some(());
    event(&mut early, "the public address", told).await;
    // Later sessions have it in their descriptions, and the port for TCP at the same address.
    let (_late, offer) = driver.offer(Options::channel("late")).await.unwrap();
    assert!(offer.contains(public), "{offer}");
    let tcp = format!(" 203.0.113.9 {} typ srflx raddr 127.0.0.1 ", driver.tcp_addresses()[0].port());
    let line = offer.lines().find(|line| line.contains(&tcp)).unwrap_or_else(|| panic!("{offer}"));
    assert!(line.contains(" tcptype passive"), "{line}");
}

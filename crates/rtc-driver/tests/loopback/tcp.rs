//! Peers that reach the driver by TCP alone. A scripted bridge stands for the peer's end: it frames the datagrams of a peer
//! that knows UDP only.

use std::net::SocketAddr;

use sluicegate_rtc_driver::{CloseReason, Config, Driver, Event, Message, Options, State};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::AbortHandle;

use crate::peer::{config, driver, event, within};

fn with_tcp() -> Driver {
    Driver::bind(Config { tcp_listen: vec!["127.0.0.1:0".parse().unwrap()], ..config() }).unwrap()
}

/// Carries datagrams from a UDP port to a connection and back, by RFC 4571.
async fn bridge(to: SocketAddr) -> (u16, AbortHandle) {
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = udp.local_addr().unwrap().port();
    let carry = async move {
        let mut datagram = [0; 2048];
        let (mut length, peer) = udp.recv_from(&mut datagram).await.unwrap();
        udp.connect(peer).await.unwrap();
        let (mut from_driver, mut to_driver) = TcpStream::connect(to).await.unwrap().into_split();
        let up = async {
            loop {
                to_driver.write_u16(length.try_into().unwrap()).await.unwrap();
                // In pieces, as a path cuts them.
                for piece in datagram[..length].chunks(100) {
                    to_driver.write_all(piece).await.unwrap();
                }
                length = udp.recv(&mut datagram).await.unwrap();
            }
        };
        let down = async {
            while let Ok(length) = from_driver.read_u16().await {
                let mut frame = vec![0; length.into()];
                from_driver.read_exact(&mut frame).await.unwrap();
                // The peer may be gone.
                let _ = udp.send(&frame).await;
            }
        };
        tokio::select! { () = up => {}, () = down => {} }
    };
    (port, tokio::spawn(carry).abort_handle())
}

/// A description in which the one candidate is the passive one, as a UDP address of the bridge.
fn through(description: &str, tcp: SocketAddr, bridge: u16) -> String {
    let mut passive = 0;
    let mut lines = Vec::new();
    for line in description.lines() {
        if line.starts_with("a=candidate:") {
            if line.ends_with(&format!(" 127.0.0.1 {} typ host tcptype passive", tcp.port())) {
                assert!(line.contains(" 1 tcp "), "{line}");
                lines.push(format!("a=candidate:1 1 udp 2130706431 127.0.0.1 {bridge} typ host"));
                passive += 1;
            }
        } else {
            lines.push(line.to_owned());
        }
    }
    assert_eq!(passive, 1, "{description}");
    lines.join("\r\n") + "\r\n"
}

fn without_candidates(description: &str) -> String {
    let lines = description.lines().filter(|line| !line.starts_with("a=candidate:"));
    lines.map(|line| format!("{line}\r\n")).collect()
}

/// Three peers at one listener, each end offering: words go both ways, long ones too, and the goodbye arrives.
#[tokio::test]
async fn sessions_share_a_listener() {
    let (here, there) = (with_tcp(), driver());
    let tcp = here.tcp_addresses()[0];
    let mut alive = Vec::new();
    for number in 0..3 {
        let (port, bridging) = bridge(tcp).await;
        let (ours, theirs) = if number == 0 {
            let (ours, offer) = here.offer(Options::channel("tcp")).await.unwrap();
            let (theirs, answer) = there.answer(through(&offer, tcp, port), Options::default()).await.unwrap();
            ours.handle().accept_answer(without_candidates(&answer)).await.unwrap();
            (ours, theirs)
        } else {
            let (theirs, offer) = there.offer(Options::channel("tcp")).await.unwrap();
            let (ours, answer) = here.answer(without_candidates(&offer), Options::default()).await.unwrap();
            theirs.handle().accept_answer(through(&answer, tcp, port)).await.unwrap();
            (ours, theirs)
        };
        alive.push((ours, theirs, bridging));
    }
    let open = |event: &Event| match event {
        Event::ChannelOpen { channel, .. } => Some(*channel),
        _ => None,
    };
    let message = |event: &Event| match event {
        Event::Message { message, .. } => Some(message.clone()),
        _ => None,
    };
    for (number, (ours, theirs, _)) in alive.iter_mut().enumerate() {
        let (here, there) = (event(ours, "our channel", open).await, event(theirs, "their channel", open).await);
        let words = Message::Binary(vec![u8::try_from(number).unwrap(); 200_000].into());
        ours.handle().send(here, words.clone()).await.unwrap();
        assert_eq!(event(theirs, "our words", message).await, words);
        theirs.handle().send(there, words.clone()).await.unwrap();
        assert_eq!(event(ours, "their words", message).await, words);
    }
    for (ours, mut theirs, bridging) in alive {
        ours.handle().close();
        let closed = |event: &Event| matches!(event, Event::State(State::Closed(CloseReason::Peer))).then_some(());
        event(&mut theirs, "the goodbye", closed).await;
        bridging.abort();
    }
}

/// What is no frame of a peer ends its connection at once.
#[tokio::test]
async fn what_is_not_ice_is_cut_off() {
    let driver = with_tcp();
    let head = |length: u16| length.to_be_bytes().to_vec();
    for bytes in [
        head(0),
        head(u16::MAX),
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        [head(20), vec![22; 20]].concat(),
        // A request that names nobody.
        [head(20), vec![0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42], vec![7; 12]].concat(),
    ] {
        let mut stream = TcpStream::connect(driver.tcp_addresses()[0]).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        // An end or a reset, but no word.
        assert_eq!(within("the end", stream.read(&mut [0; 10])).await.unwrap_or(0), 0, "{bytes:?}");
    }
}

/// One address cannot take all places by connections that say nothing.
#[tokio::test]
async fn silent_connections_of_an_address_are_few() {
    let driver = with_tcp();
    let mut streams = Vec::new();
    for _ in 0..64 {
        streams.push(TcpStream::connect(driver.tcp_addresses()[0]).await.unwrap());
    }
    let mut refused = TcpStream::connect(driver.tcp_addresses()[0]).await.unwrap();
    assert_eq!(within("the refusal", refused.read(&mut [0; 10])).await.unwrap_or(0), 0);
    // One that ends makes room.
    let mut cut = streams.pop().unwrap();
    cut.write_all(&[0, 0]).await.unwrap();
    assert_eq!(within("the end", cut.read(&mut [0; 10])).await.unwrap_or(0), 0);
    let mut next = TcpStream::connect(driver.tcp_addresses()[0]).await.unwrap();
    next.write_all(&[0, 9]).await.unwrap();
    let quiet = tokio::time::timeout(std::time::Duration::from_millis(200), next.read(&mut [0; 10])).await;
    assert!(quiet.is_err(), "{quiet:?}");
}

//! A player that takes nothing for a while, and one that pauses.

use std::collections::BTreeSet;

use bytes::Bytes;
use sluicegate_hub::{Expects, Publish, Publisher, StreamName};
use sluicegate_media::{Codec, Frame, Timestamp, TrackId, avc};
use sluicegate_testbed::{soon, until};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::{NAME, Server};

/// x264, `testsrc` 1280x720.
const SPS: &[u8] = &[
    0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05, 0xbb, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00,
    0x03, 0x03, 0x20, 0xf1, 0x83, 0x19, 0x60,
];
const PPS: &[u8] = &[0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0];
/// Pictures, each of so many bytes and 40 ms, with a key frame every second: far more than sockets hold.
const PICTURES: i64 = 2_000;
const BYTES: usize = 20_000;

fn picture(number: i64) -> Frame {
    let key = number % 25 == 0;
    let mut payload = u32::try_from(BYTES).unwrap().to_be_bytes().to_vec();
    payload.push(if key { 0x65 } else { 0x41 });
    payload.resize(BYTES + 4, 0x5a);
    Frame::media(TrackId::VIDEO, Codec::H264, Timestamp::from_millis(number * 40), payload.into()).with_key(key)
}

async fn ask(socket: &mut BufReader<TcpStream>, request: &str) -> String {
    socket.write_all(request.as_bytes()).await.unwrap();
    answer(socket).await
}

/// The head of an answer that says yes; what comes before it is skipped.
async fn answer(socket: &mut BufReader<TcpStream>) -> String {
    while socket.fill_buf().await.unwrap().first() == Some(&b'$') {
        packet(socket).await;
    }
    let (mut head, mut length) = (String::new(), 0);
    socket.read_line(&mut head).await.unwrap();
    assert!(head.starts_with("RTSP/1.0 200 "), "{head}");
    while !head.ends_with("\r\n\r\n") {
        let from = head.len();
        socket.read_line(&mut head).await.unwrap();
        if let Some(value) = head[from..].strip_prefix("Content-Length: ") {
            length = value.trim().parse().unwrap();
        }
    }
    socket.read_exact(&mut vec![0; length]).await.unwrap();
    head
}

/// A packet of the connection with its channel.
async fn packet(socket: &mut BufReader<TcpStream>) -> (u8, Vec<u8>) {
    let mut head = [0; 4];
    socket.read_exact(&mut head).await.unwrap();
    let [dollar, channel, high, low] = head;
    assert_eq!(dollar, b'$');
    let mut packet = vec![0; usize::from(u16::from_be_bytes([high, low]))];
    socket.read_exact(&mut packet).await.unwrap();
    (channel, packet)
}

/// Comes and plays.
async fn play(socket: &mut BufReader<TcpStream>, url: &str) {
    ask(socket, &format!("DESCRIBE {url} RTSP/1.0\r\nCSeq: 1\r\n\r\n")).await;
    let transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n";
    ask(socket, &format!("SETUP {url}/trackID=0 RTSP/1.0\r\nCSeq: 2\r\n{transport}\r\n")).await;
    ask(socket, &format!("PLAY {url} RTSP/1.0\r\nCSeq: 3\r\n\r\n")).await;
}

/// Publishes the first two pictures.
fn published(server: &Server) -> Publisher {
    let name = StreamName::parse(NAME).unwrap();
    let publisher = server.hub.publish(&name, Publish::by("test").expecting(Expects::VIDEO)).unwrap();
    let record = Bytes::from(avc::record(SPS, &[PPS]).unwrap());
    publisher.push(Frame::configuration(TrackId::VIDEO, Codec::H264, Timestamp::ZERO, record)).unwrap();
    publisher.push(picture(0)).unwrap();
    publisher.push(picture(1)).unwrap();
    publisher
}

/// The numbers of the pictures that arrive, and which of them begin with parameter sets.
async fn pictures(socket: &mut BufReader<TcpStream>) -> (BTreeSet<u32>, BTreeSet<u32>) {
    let (mut all, mut keys, mut sequence) = (BTreeSet::new(), BTreeSet::new(), None);
    loop {
        let (channel, packet) = packet(socket).await;
        if channel == 1 {
            continue;
        }
        // Numbers go on over what was skipped: nothing was lost on the way.
        let number = u16::from_be_bytes([packet[2], packet[3]]);
        assert_eq!(sequence.map_or(number, |last: u16| last.wrapping_add(1)), number);
        sequence = Some(number);
        let picture = u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]) / 3_600;
        let kind = packet[12] & 0x1f;
        if all.insert(picture) && (kind == 7 || kind == 24) {
            keys.insert(picture);
        }
        if i64::from(picture) == PICTURES - 1 && packet[1] & 0x80 != 0 {
            return (all, keys);
        }
    }
}

#[tokio::test]
async fn a_player_that_falls_behind_goes_on_at_a_key_frame() {
    let server = Server::start_with(sluicegate_hub::Config { ring_bytes: 1 << 20, ..Default::default() }, None).await;
    let publisher = published(&server);
    let mut socket = BufReader::new(TcpStream::connect(("127.0.0.1", server.port)).await.unwrap());
    soon("PLAY", play(&mut socket, &server.play_url())).await;
    for number in 2..PICTURES {
        publisher.push(picture(number)).unwrap();
        // The player's writer has its turn for each picture.
        tokio::task::yield_now().await;
    }
    let (all, keys) = soon("the last picture", pictures(&mut socket)).await;
    let skips: Vec<u32> = all.iter().zip(all.iter().skip(1)).filter(|(a, b)| *a + 1 != **b).map(|(_, b)| *b).collect();
    assert!(!skips.is_empty() && skips.iter().all(|first| keys.contains(first)), "{skips:?}");
    drop(publisher);
}

#[tokio::test]
async fn a_player_that_pauses_goes_on_where_its_numbers_were() {
    let server = Server::start().await;
    let publisher = published(&server);
    let (url, name) = (server.play_url(), StreamName::parse(NAME).unwrap());
    let viewers = || server.hub.stream(&name).map_or(0, |stream| stream.viewers.values().sum::<usize>());
    let mut socket = BufReader::new(TcpStream::connect(("127.0.0.1", server.port)).await.unwrap());
    let talking = async {
        play(&mut socket, &url).await;
        socket.write_all(format!("PAUSE {url} RTSP/1.0\r\nCSeq: 4\r\n\r\n").as_bytes()).await.unwrap();
        let mut last = 0;
        while socket.fill_buf().await.unwrap().first() == Some(&b'$') {
            let (channel, packet) = packet(&mut socket).await;
            if channel == 0 {
                last = u16::from_be_bytes([packet[2], packet[3]]);
            }
        }
        answer(&mut socket).await;
        until("a stream without viewers", || async { (viewers() == 0).then_some(()) }).await;
        for number in 2..60 {
            publisher.push(picture(number)).unwrap();
        }
        let head = ask(&mut socket, &format!("PLAY {url} RTSP/1.0\r\nCSeq: 5\r\n\r\n")).await;
        let next = last.wrapping_add(1);
        assert!(head.contains(&format!(";seq={next};rtptime={}\r\n", 50 * 3_600)), "{head}, not {next}");
        let (channel, first) = packet(&mut socket).await;
        assert_eq!((channel, u16::from_be_bytes([first[2], first[3]])), (0, next));
        assert_eq!(u32::from_be_bytes([first[4], first[5], first[6], first[7]]), 50 * 3_600);
        ask(&mut socket, &format!("TEARDOWN {url} RTSP/1.0\r\nCSeq: 6\r\n\r\n")).await;
        until("a stream without viewers", || async { (viewers() == 0).then_some(()) }).await;
        // The connection may play anew.
        play(&mut socket, &url).await;
        publisher.finish();
        // What is queued is still written, then the connection ends.
        socket.read_to_end(&mut Vec::new()).await.unwrap();
    };
    soon("PAUSE, PLAY and the end", talking).await;
}

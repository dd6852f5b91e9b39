//! Recorded sessions taken apart, to be edited, and said again by a server or a client of sockets only.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use sluicegate_testbed::recorded::{of, read};
use sluicegate_testbed::soon;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// A request or an answer with its body, or a packet on a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    Text { head: String, body: String },
    Packet { channel: u8, payload: Vec<u8> },
}

/// A recorded session.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    pub(crate) client: Vec<Item>,
    pub(crate) server: Vec<Item>,
}

impl Script {
    pub(crate) fn load(name: &str) -> Self {
        let records = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.bin")));
        Self { client: items(&of(&records, true)), server: items(&of(&records, false)) }
    }

    /// Puts one text in the place of another in all that the server says; it must be there.
    pub(crate) fn server_says(&mut self, old: &str, new: &str) {
        replace(&mut self.server, old, new);
    }

    /// The same in all that the client says.
    pub(crate) fn client_says(&mut self, old: &str, new: &str) {
        replace(&mut self.client, old, new);
    }
}

/// Takes out what does not stay.
pub(crate) fn keep(items: &mut Vec<Item>, stays: impl Fn(u8) -> bool) {
    let before = items.len();
    items.retain(|item| if let Item::Packet { channel, .. } = item { stays(*channel) } else { true });
    assert!(items.len() < before, "there is nothing to take out");
}

/// Changes packets.
pub(crate) fn packets(items: &mut [Item]) -> impl Iterator<Item = (&mut u8, &mut Vec<u8>)> {
    items.iter_mut().filter_map(|item| match item {
        Item::Packet { channel, payload } => Some((channel, payload)),
        Item::Text { .. } => None,
    })
}

fn replace(items: &mut [Item], old: &str, new: &str) {
    let mut done = 0;
    for item in items {
        let Item::Text { head, body } = item else { continue };
        done += head.matches(old).count() + body.matches(old).count();
        (*head, *body) = (head.replace(old, new), body.replace(old, new));
        // The length is that of the body, whatever it has become.
        if let Some(line) = head.lines().find(|line| line.to_ascii_lowercase().starts_with("content-length:")) {
            let name = line.split_once(':').unwrap().0;
            *head = head.replace(line, &format!("{name}: {}", body.len()));
        }
    }
    assert!(done > 0, "{old:?} is not there");
}

fn items(mut bytes: &[u8]) -> Vec<Item> {
    let mut items = Vec::new();
    while let Some((item, used)) = item(bytes) {
        items.push(item);
        bytes = &bytes[used..];
    }
    items
}

/// The first item and its bytes; `None` when it is not whole, as the last of a recording may be.
fn item(bytes: &[u8]) -> Option<(Item, usize)> {
    if let [b'$', channel, high, low, rest @ ..] = bytes {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let payload = rest.get(..length)?.to_vec();
        return Some((Item::Packet { channel: *channel, payload }, 4 + length));
    }
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let length = header(&head, "content-length").map_or(0, |length| length.parse().unwrap());
    let body = String::from_utf8(bytes.get(end..end + length)?.to_vec()).unwrap();
    Some((Item::Text { head, body }, end + length))
}

pub(crate) fn header(head: &str, name: &str) -> Option<String> {
    let pairs = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let mut found = pairs.filter(|(known, _)| known.trim().eq_ignore_ascii_case(name));
    found.next().map(|(_, value)| value.trim().to_owned())
}

fn method(head: &str) -> String {
    head.split(' ').next().unwrap().to_owned()
}

fn bytes_of(item: &Item) -> Vec<u8> {
    match item {
        Item::Text { head, body } => [head.as_bytes(), body.as_bytes()].concat(),
        Item::Packet { channel, payload } => {
            let [high, low] = u16::try_from(payload.len()).unwrap().to_be_bytes();
            [&[b'$', *channel, high, low], payload.as_slice()].concat()
        }
    }
}

/// The header line of this name with another value; its name stays as it is written.
fn with_header(head: &str, name: &str, value: &str) -> String {
    let is_it = |line: &str| line.split_once(':').is_some_and(|(known, _)| known.eq_ignore_ascii_case(name));
    let put = |line: &str| match line.split_once(':') {
        Some((known, _)) if is_it(line) => format!("{known}: {value}\r\n"),
        _ => format!("{line}\r\n"),
    };
    head.lines().map(put).collect()
}

/// A server that says what the recorded one has said.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// What it was asked, and the packets that came.
    pub(crate) heard: Arc<Mutex<Vec<Item>>>,
    /// A viewer has begun to look: it would begin with the newest pictures if all came at once.
    pub(crate) looks: Arc<Notify>,
}

impl Server {
    /// Answers requests by their methods, `SETUP` in the order of the recording. The packets that were recorded follow the
    /// answer to `PLAY`: the first of each channel, the others when somebody looks, then the end of the connection.
    pub(crate) async fn start(script: &Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, heard) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let looks = Arc::new(Notify::new());
        let (script, noted, seen) = (script.clone(), Arc::clone(&heard), Arc::clone(&looks));
        tokio::spawn(async move {
            let (socket, _) = listener.accept().await.unwrap();
            serve(socket, &script, &noted, &seen).await;
        });
        Self { address, heard, looks }
    }
}

/// The recorded answers by method, each with the packets that came before it; and the packets behind the last one.
fn answers(script: &Script) -> (Vec<(String, Vec<Item>)>, Vec<Item>) {
    let mut methods = script.client.iter().filter_map(|item| match item {
        Item::Text { head, .. } => Some(method(head)),
        Item::Packet { .. } => None,
    });
    let (mut answers, mut before) = (Vec::new(), Vec::new());
    for item in &script.server {
        before.push(item.clone());
        if matches!(item, Item::Text { .. })
            && let Some(method) = methods.next()
        {
            // What comes before the answer to TEARDOWN belongs behind that to PLAY.
            if method == "TEARDOWN" {
                before.pop();
                continue;
            }
            answers.push((method, std::mem::take(&mut before)));
        }
    }
    (answers, before)
}

async fn serve(mut socket: TcpStream, script: &Script, heard: &Mutex<Vec<Item>>, looks: &Notify) {
    let (mut answers, packets) = answers(script);
    let mut buffer = Vec::new();
    while let Some(asked) = next(&mut socket, &mut buffer).await {
        heard.lock().unwrap().push(asked.clone());
        let Item::Text { head, .. } = asked else { continue };
        let (cseq, method) = (header(&head, "cseq").unwrap(), method(&head));
        let known = answers.iter().position(|(answered, _)| *answered == method);
        let plain = Item::Text { head: "RTSP/1.0 200 OK\r\nCSeq: 0\r\n\r\n".to_owned(), body: String::new() };
        let said = known.map_or_else(|| vec![plain], |at| answers.remove(at).1);
        for item in said {
            let item = match item {
                Item::Text { head, body } => Item::Text { head: with_header(&head, "cseq", &cseq), body },
                packet @ Item::Packet { .. } => packet,
            };
            socket.write_all(&bytes_of(&item)).await.unwrap();
        }
        if method == "PLAY" {
            let mut begun = BTreeSet::new();
            for packet in &packets {
                // Gone when nobody wants the rest.
                if socket.write_all(&bytes_of(packet)).await.is_err() {
                    return;
                }
                wait_for_looks(packet, &mut begun, looks).await;
            }
            return;
        }
    }
}

/// Waits once, when a picture and a sound are complete: a viewer begins with what is newest when it looks first.
async fn wait_for_looks(item: &Item, begun: &mut BTreeSet<u8>, looks: &Notify) {
    let Item::Packet { channel, payload } = item else { return };
    // Of sound each packet ends something, whatever its marker.
    let ends = channel % 2 == 0 && (*channel > 0 || payload[1] & 0x80 != 0);
    if ends && begun.insert(*channel) && begun.len() == 2 {
        looks.notified().await;
    }
}

pub(crate) async fn next(socket: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Item> {
    loop {
        if let Some((found, used)) = item(buffer) {
            buffer.drain(..used);
            return Some(found);
        }
        let mut piece = [0; 4_096];
        let count = soon("bytes", socket.read(&mut piece)).await.ok().filter(|count| *count > 0)?;
        buffer.extend_from_slice(&piece[..count]);
    }
}

/// Says what a recorded client has said, each request when the one before is answered, with the session that the server
/// gives; packets behind the first of each channel when somebody looks. Gives the methods and the heads of their answers.
pub(crate) async fn ask(address: SocketAddr, client: &[Item], looks: &Notify) -> Vec<(String, String)> {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let (mut answered, mut session, mut buffer) = (Vec::new(), None::<String>, Vec::new());
    let mut begun = BTreeSet::new();
    for item in client {
        let Item::Text { head, body } = item else {
            socket.write_all(&bytes_of(item)).await.unwrap();
            wait_for_looks(item, &mut begun, looks).await;
            continue;
        };
        let head = session.as_ref().map_or_else(|| head.clone(), |id| with_header(head, "session", id));
        let said = Item::Text { head: head.clone(), body: body.clone() };
        socket.write_all(&bytes_of(&said)).await.unwrap();
        let answer = loop {
            if let Item::Text { head, .. } = next(&mut socket, &mut buffer).await.unwrap() {
                break head;
            }
        };
        assert_eq!(header(&answer, "cseq"), header(&head, "cseq"));
        session = header(&answer, "session").map(|id| id.split(';').next().unwrap().to_owned()).or(session);
        answered.push((method(&head), answer));
    }
    answered
}

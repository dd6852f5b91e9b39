//! Servers that ask for a password in the words of cameras: each challenge is answered as RFC 2617 has it, or in no way.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use sluicegate_hub::{Hub, Publish, StreamName, Viewer};
use sluicegate_rtsp::{Limits, Output, pull, push};
use sluicegate_testbed::soon;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::script::{Item, Script, Server, header, next};
use crate::trust;

const USER: &str = "ad min";
const PASSWORD: &str = "p:\"\u{e9}@ss";

/// The challenges of a server, each a header; and how they are to be answered.
const CHALLENGES: [(&[&str], Answer); 9] = [
    (&["Digest realm=\"IP Camera(C1234)\", nonce=\"8b84a3b7\", stale=\"FALSE\""], Answer::Digest("IP Camera(C1234)")),
    (&["Digest realm=\"\", nonce=\"n\""], Answer::Digest("")),
    (&["Digest nonce=\"n\",realm=\"/\",algorithm=MD5"], Answer::Digest("/")),
    (&["digest realm=\"4419b6 3d5e\",nonce=\"n\",qop=\"auth\",opaque=\"o\""], Answer::Digest("4419b6 3d5e")),
    (&["Basic realm=\"a, b=c\""], Answer::Basic),
    (&["Basic realm=\"\""], Answer::Basic),
    // Digest is chosen where there is a choice, as two headers or in one.
    (&["Basic realm=\"a\"", "Digest realm=\"b\", nonce=\"n\""], Answer::Digest("b")),
    (&["Basic realm=\"a\", Digest realm=\"b\", nonce=\"n\""], Answer::Digest("b")),
    (&["Digest realm=IP Camera, nonce=n"], Answer::None),
];

/// How a client shows its password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Basic,
    /// By the realm.
    Digest(&'static str),
    None,
}

/// A server that asks for a password, and refuses whoever shows one. Gives what was shown, with its method.
async fn doorkeeper(challenges: &'static [&'static str]) -> (SocketAddr, Arc<Mutex<Vec<(String, String)>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, shown) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
    let noted = Arc::clone(&shown);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            refuse(socket, challenges, &noted).await;
        }
    });
    (address, shown)
}

async fn refuse(mut socket: TcpStream, challenges: &[&str], shown: &Mutex<Vec<(String, String)>>) {
    let mut buffer = Vec::new();
    while let Some(Item::Text { head, .. }) = next(&mut socket, &mut buffer).await {
        let method = head.split(' ').next().unwrap();
        let cseq = header(&head, "cseq").unwrap();
        let status = match header(&head, "authorization") {
            _ if method == "OPTIONS" => "200 OK\r\n".to_owned(),
            Some(proof) => {
                shown.lock().unwrap().push((format!("{method} {}", head.split(' ').nth(1).unwrap()), proof));
                "403 Forbidden\r\n".to_owned()
            }
            None => {
                let asked = challenges.iter().map(|challenge| format!("WWW-Authenticate: {challenge}\r\n"));
                format!("401 Unauthorized\r\n{}", asked.collect::<String>())
            }
        };
        if socket.write_all(format!("RTSP/1.0 {status}CSeq: {cseq}\r\n\r\n").as_bytes()).await.is_err() {
            return;
        }
    }
}

fn hex(text: &str) -> String {
    Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether this is the answer, by RFC 2617 section 3.2.2.1.
fn is_right(method_and_uri: &str, proof: &str, realm: &str) -> bool {
    let of = |name: &str| {
        let rest = proof.split_once(&format!("{name}="))?.1;
        let end = |rest: &str| rest.split([',', ' ']).next().unwrap().to_owned();
        Some(rest.strip_prefix('"').map_or_else(|| end(rest), |rest| rest.split('"').next().unwrap().to_owned()))
    };
    let (method, _) = method_and_uri.split_once(' ').unwrap();
    let first = hex(&format!("{USER}:{realm}:{PASSWORD}"));
    let second = hex(&format!("{method}:{}", of("uri").unwrap()));
    // `cnonce` holds `nonce`, so the other is looked for behind what comes before it.
    let nonce = of(" nonce").unwrap();
    let middle = match of("qop") {
        Some(qop) => format!("{nonce}:{}:{}:{qop}", of("nc").unwrap(), of("cnonce").unwrap()),
        None => nonce,
    };
    of("response").unwrap() == hex(&format!("{first}:{middle}:{second}"))
}

fn check(shown: &[(String, String)], answer: Answer, method: &str, challenges: &[&str]) {
    let Answer::None = answer else {
        let [(asked, proof)] = shown else { unreachable!("{challenges:?}: {shown:?}") };
        assert!(asked.starts_with(method), "{asked}");
        let right = match answer {
            Answer::Basic => *proof == format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}"))),
            Answer::Digest(realm) => proof.starts_with("Digest ") && is_right(asked, proof, realm),
            Answer::None => false,
        };
        return assert!(right, "{challenges:?}: {proof}");
    };
    assert_eq!(shown, [], "{challenges:?}");
}

fn with_login(address: SocketAddr) -> url::Url {
    let mut url: url::Url = format!("rtsp://{address}/main?channel=1&stream=0").parse().unwrap();
    url.set_username(USER).unwrap();
    url.set_password(Some(PASSWORD)).unwrap();
    url
}

#[tokio::test]
async fn cameras_get_the_answer_to_their_challenge() {
    for (challenges, answer) in CHALLENGES {
        let (address, shown) = doorkeeper(challenges).await;
        let hub = Hub::new(sluicegate_hub::Config::default()).unwrap();
        let name = StreamName::parse("cams/door").unwrap();
        let url = with_login(address);
        let pulling = pull(&url, trust(), Limits::default(), || hub.publish(&name, Publish::by("test")));
        let told = soon("the end", pulling).await.unwrap_err().reason();
        assert!(!told.contains(PASSWORD), "{told}");
        check(&shown.lock().unwrap(), answer, "DESCRIBE", challenges);
    }
}

#[tokio::test]
async fn servers_that_are_pushed_to_get_it_too() {
    let camera = Server::start(&Script::load("ffmpeg_plays_from_gstreamer")).await;
    let hub = Hub::new(sluicegate_hub::Config::default()).unwrap();
    let (output, name) = (Output::new(&hub), StreamName::parse("cams/door").unwrap());
    let source = format!("rtsp://{}/main", camera.address).parse().unwrap();
    // The camera keeps what is behind its first picture, so the stream stays.
    let pulling = pull(&source, trust(), Limits::default(), || hub.publish(&name, Publish::by("test")));
    let pushing = async {
        for (challenges, answer) in CHALLENGES {
            let (address, shown) = doorkeeper(challenges).await;
            let (tls, subscriber) = (trust(), hub.subscribe(&name, Viewer::by("relay")));
            let url = with_login(address);
            let pushing = push(&url, tls, subscriber, &output, CancellationToken::new(), || {});
            let told = soon("the end", pushing).await.unwrap_err().reason();
            assert!(!told.contains(PASSWORD), "{told}");
            check(&shown.lock().unwrap(), answer, "ANNOUNCE", challenges);
        }
    };
    tokio::select! {
        end = pulling => unreachable!("{end:?}"),
        () = pushing => {}
    }
}

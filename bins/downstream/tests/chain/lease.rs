//! A scripted upstream asks for a push once and then says nothing more, as if every later message were lost: the push
//! ends with its lease.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use sluicegate_cascade::{LeaseId, encode};
use sluicegate_net::link::{self, Connection, PATH, Pool, SUBPROTOCOL};
use sluicegate_net::listener::{self, Listener};
use sluicegate_net::shutdown::Shutdown;
use sluicegate_net::ws;
use sluicegate_testbed::program::Program;
use sluicegate_testbed::{media, soon};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

const LEASE: LeaseId = LeaseId([7; 16]);
const LEASED: Duration = Duration::from_millis(1_500);

/// A push that has ended.
#[derive(Debug)]
struct Ended {
    lease: String,
    bytes: usize,
    /// From the first byte to the last.
    lasted: Duration,
    close_code: Option<u16>,
}

async fn take_link(mut request: Request) -> Response {
    let (response, accepted) = ws::accept(&mut request, &[SUBPROTOCOL], ws::Config::default()).unwrap();
    tokio::spawn(async move {
        let connection = Connection::open(accepted.websocket().await.unwrap(), link::Config::default()).await.unwrap();
        let ask =
            sluicegate_cascade::Message::PushStart { lease: LEASE, stream: "cams/door".into(), expires_ms: 1_500 };
        let once = stream::iter([Ok::<Bytes, std::io::Error>(encode(&ask).unwrap())]);
        let body = Body::from_stream(once.chain(stream::pending()));
        let control = axum::http::Request::post("http://control/control").body(body).unwrap();
        let _answer = Pool::send_on(&connection, control).await.unwrap();
        connection.ended().await;
    });
    response
}

async fn take_push(
    State(ended): State<mpsc::Sender<Ended>>,
    Path(lease): Path<String>,
    mut request: Request,
) -> Response {
    let (response, accepted) = ws::accept(&mut request, &[], ws::Config::default()).unwrap();
    tokio::spawn(async move {
        let mut websocket = accepted.websocket().await.unwrap();
        let (begun, mut bytes, mut lasted, mut close_code) = (Instant::now(), 0, Duration::ZERO, None);
        while let Some(Ok(message)) = websocket.next().await {
            match message {
                Message::Binary(data) => (bytes, lasted) = (bytes + data.len(), begun.elapsed()),
                Message::Close(frame) => close_code = frame.map(|frame| frame.code.into()),
                _ => {}
            }
        }
        ended.send(Ended { lease, bytes, lasted, close_code }).await.unwrap();
    });
    response
}

#[tokio::test]
async fn a_push_ends_with_its_lease_when_no_message_comes_any_more() {
    let (told, mut ended) = mpsc::channel(4);
    let router =
        Router::new().route(PATH, get(take_link)).route("/cascade/v1/push/{lease}", get(take_push)).with_state(told);
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), None, listener::Config::default()).await.unwrap();
    let upstream = format!("ws://{}", listener.local_addr());
    tokio::spawn(listener.serve(router, Shutdown::new()));

    let state = tempfile::tempdir().unwrap();
    let (folder, stream) =
        (state.path().display().to_string(), format!("cams/door=file:{}", media::sample().display()));
    let arguments = ["--upstream", &upstream, "--site", "cam-7", "--state-dir", &folder, "--stream", &stream];
    let mut site = Program::start("downstream", &arguments);
    let push = soon("the push's end", ended.recv()).await.unwrap();
    assert_eq!(push.lease, LEASE.to_string());
    assert_eq!(push.close_code, Some(1000), "{push:?}");
    assert!(push.bytes > 1_000, "{push:?}");
    assert!(push.lasted < LEASED + Duration::from_secs(3), "{push:?}");
    site.says("source stopped: nobody watches").await;
}

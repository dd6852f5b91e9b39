//! A node whose media engine does as it is told, and a tool that calls its REST interface.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use sluicegate_hub::relay::Relays;
use sluicegate_hub::{Hub, Publish, Publisher, StreamName};
use sluicegate_media::{Codec, Frame, Timestamp, TrackId};
use sluicegate_net::listener::{self, Listener};
use sluicegate_net::shutdown::Shutdown;
use sluicegate_net::tls::ClientTls;
use sluicegate_wcs::media::{Answer, Event, Failure, Kinds, Leg, MediaFuture, Offer};
use sluicegate_wcs::{Config, Media, Parts, Permissions, Role, Service, info};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what}: nothing after {PATIENCE:?}"))
}

/// Looks until there is something to see.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let see = async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    soon(what, see).await
}

/// A session of the scripted engine.
#[derive(Clone)]
pub(crate) struct Control {
    publisher: Arc<Mutex<Option<Publisher>>>,
    pub(crate) events: mpsc::Sender<Event>,
}

impl Control {
    /// Ends it in order, as its peer's goodbye does; a publisher ends before.
    pub(crate) async fn goodbye(&self) {
        let publisher = self.publisher.lock().unwrap().take();
        publisher.into_iter().for_each(Publisher::finish);
        // Who is not interested any more has ended it.
        let _ = self.events.send(Event::Ended(Failure::ended(info::STOPPED_BY_USER, "closed"))).await;
    }
}

/// What keeps a session of the scripted engine; its publisher ends in order with it.
struct Held(Control);

impl Drop for Held {
    fn drop(&mut self) {
        let control = self.0.clone();
        // The end takes its time, as that of a real session does.
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            control.goodbye().await;
        });
    }
}

/// An engine that needs no peer. Descriptions are `offer NAME` and `answer NAME`; an offer `silent` never connects.
#[derive(Clone)]
pub(crate) struct Engine {
    hub: Hub,
    /// The sessions in the order of their beginning, to end them from outside.
    pub(crate) sessions: Arc<Mutex<Vec<Control>>>,
}

impl Engine {
    fn leg(&self, name: &StreamName, publisher: Option<Publisher>, connects: bool) -> Leg {
        let (tell, events) = mpsc::channel(8);
        if connects {
            tell.try_send(Event::Connected).unwrap();
        }
        let plays = publisher.is_none();
        let control = Control { publisher: Arc::new(Mutex::new(publisher)), events: tell.clone() };
        self.sessions.lock().unwrap().push(control.clone());
        let held = Held(control);
        if plays {
            // A viewer ends with its stream.
            let mut viewer = self.hub.subscribe(name, sluicegate_hub::Viewer::by("test"));
            tokio::spawn(async move {
                while viewer.next().await.is_ok() {}
                let _ = tell.send(Event::Ended(Failure::ended(info::STOPPED_BY_PUBLISHER, "ended"))).await;
            });
        }
        Leg { events, guard: Box::new(held) }
    }

    fn publisher(&self, name: &StreamName) -> Result<Publisher, Failure> {
        let publisher = self.hub.publish(name, Publish::by("wcs"));
        let publisher = publisher.map_err(|error| Failure::failed(info::NAME_IN_USE, error.to_string()))?;
        for number in 0..3 {
            let time = Timestamp::from_millis(20 * number);
            publisher.push(Frame::media(TrackId::AUDIO, Codec::Opus, time, b"\xfc"[..].into())).unwrap();
        }
        Ok(publisher)
    }
}

impl Media for Engine {
    fn answer(&self, role: Role, stream: StreamName, offer: String, _: Option<SocketAddr>) -> MediaFuture<Answer> {
        let this = self.clone();
        Box::pin(async move {
            let publisher = if role == Role::Publish { Some(this.publisher(&stream)?) } else { None };
            Ok(Answer { sdp: format!("answer {stream}"), leg: this.leg(&stream, publisher, offer != "silent") })
        })
    }

    fn offer(&self, role: Role, stream: StreamName) -> MediaFuture<Offer> {
        let this = self.clone();
        Box::pin(async move {
            let publisher = if role == Role::Play { Some(this.publisher(&stream)?) } else { None };
            let kinds = Kinds { video: role == Role::Play, audio: true };
            let accept = Box::new(|answer: String| -> MediaFuture<()> {
                assert!(answer.starts_with("answer "), "{answer}");
                Box::pin(async { Ok(()) })
            });
            Ok(Offer { sdp: format!("offer {stream}"), kinds, accept, leg: this.leg(&stream, publisher, true) })
        })
    }
}

/// A node with a main port and one for WCS alone.
pub(crate) struct Node {
    pub(crate) hub: Hub,
    pub(crate) relays: Relays,
    pub(crate) engine: Engine,
    pub(crate) service: Service,
    pub(crate) main: SocketAddr,
    pub(crate) port: SocketAddr,
    pub(crate) shutdown: Shutdown,
}

impl Node {
    pub(crate) async fn start() -> Self {
        Self::with(Config::default(), Permissions::ALL).await
    }

    pub(crate) async fn with(config: Config, permissions: Permissions) -> Self {
        let hub = Hub::new(sluicegate_hub::Config::default()).unwrap();
        let (relays, shutdown) = (Relays::new(), Shutdown::new());
        let engine = Engine { hub: hub.clone(), sessions: Arc::default() };
        let parts = Parts {
            hub: hub.clone(),
            relays: relays.clone(),
            media: Arc::new(engine.clone()),
            gate: Arc::new(move |_| permissions),
            tls: ClientTls::insecure().unwrap(),
            shutdown: shutdown.clone(),
        };
        let service = Service::new(parts, config);
        let (main, port) = (serve(service.router(), &shutdown).await, serve(service.port_router(), &shutdown).await);
        Self { hub, relays, engine, service, main, port, shutdown }
    }

    /// The address that other servers and pages are told.
    pub(crate) fn uri(&self) -> String {
        format!("ws://{}", self.port)
    }

    pub(crate) async fn post(&self, method: &str, body: &Value) -> Answered {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        call("POST", self.main, &format!("/rest-api/{method}"), &body).await
    }

    /// The latest session of the engine.
    pub(crate) fn latest(&self) -> Control {
        self.engine.sessions.lock().unwrap().last().unwrap().clone()
    }

    /// Publishes a stream as another protocol would.
    pub(crate) fn publish(&self, name: &str) -> Publisher {
        self.engine.publisher(&StreamName::parse(name).unwrap()).unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.shutdown.begin();
    }
}

async fn serve(router: axum::Router, shutdown: &Shutdown) -> SocketAddr {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), None, listener::Config::default()).await.unwrap();
    let address = listener.local_addr();
    tokio::spawn(listener.serve(router, shutdown.clone()));
    address
}

/// What a tool gets.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answered {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

pub(crate) async fn call(method: &str, address: SocketAddr, path: &str, body: &str) -> Answered {
    let exchange = async {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: {length}\r\n");
        let request = format!("{head}Content-Type: application/json;charset=UTF-8\r\n\r\n{body}");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer = soon(path, exchange).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answered { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

//! The test device: a small HTTP/1.1 server that does what devices do, and tells what it sees.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::stage::PATIENCE;

/// What a test sees and steers of the device.
pub(crate) struct Device {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    events: tokio::sync::Mutex<mpsc::UnboundedReceiver<String>>,
}

struct State {
    /// Pieces for the body of `/fed`, taken by its first asker.
    fed: Mutex<Option<mpsc::Receiver<Bytes>>>,
    feed: Mutex<Option<mpsc::Sender<Bytes>>>,
    events: mpsc::UnboundedSender<String>,
    /// Bytes that `/download` has made.
    made: AtomicU64,
    /// Bytes that `/upload` has taken.
    taken: AtomicU64,
    permits: tokio::sync::Semaphore,
}

/// Says on its drop that the device noticed the end.
struct Farewell(&'static str, Arc<State>);

impl Drop for Farewell {
    fn drop(&mut self) {
        let _ = self.1.events.send(self.0.to_owned());
    }
}

impl Device {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (feed, fed) = mpsc::channel(1);
        let (sender, events) = mpsc::unbounded_channel();
        let state = Arc::new(State {
            fed: Mutex::new(Some(fed)),
            feed: Mutex::new(Some(feed)),
            events: sender,
            made: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            permits: tokio::sync::Semaphore::new(0),
        });
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let state = Arc::clone(&shared);
                tokio::spawn(async move {
                    let service = service_fn(move |request| answer(Arc::clone(&state), request));
                    let io = TokioIo::new(stream);
                    let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
                });
            }
        });
        Self { address, state, events: tokio::sync::Mutex::new(events) }
    }

    /// The next piece of `/fed`. `false`: its asker has left.
    pub(crate) async fn feed(&self, piece: &'static [u8]) -> bool {
        let feed = self.state.feed.lock().unwrap().clone().unwrap();
        timeout(PATIENCE, feed.send(Bytes::from_static(piece))).await.unwrap().is_ok()
    }

    /// `/fed` ends.
    pub(crate) fn end_feed(&self) {
        self.state.feed.lock().unwrap().take();
    }

    /// What the device noticed next.
    pub(crate) async fn event(&self) -> String {
        let mut events = self.events.lock().await;
        timeout(PATIENCE, events.recv()).await.unwrap().unwrap()
    }

    pub(crate) fn made(&self) -> u64 {
        self.state.made.load(Ordering::Relaxed)
    }

    pub(crate) fn taken(&self) -> u64 {
        self.state.taken.load(Ordering::Relaxed)
    }

    /// Lets `/upload-slow` take so many further pieces.
    pub(crate) fn allow_pieces(&self, count: usize) {
        self.state.permits.add_permits(count);
    }
}

fn query<'a>(request: &'a Request<Incoming>, key: &str) -> Option<&'a str> {
    request.uri().query()?.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))
}

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path().to_owned();
    let response = match path.trim_start_matches("/base") {
        "/echo" => echo(request),
        "/head" => head(&request),
        "/fed" => fed(&state),
        "/never" => {
            let _ = state.events.send("asked".to_owned());
            let _farewell = Farewell("never dropped", state);
            std::future::pending().await
        }
        "/upload" => upload(&state, request).await,
        "/upload-slow" => upload_slow(&state, request).await,
        "/download" => download(&state, &request),
        "/trailers" => trailers(request).await,
        "/fields" => fields(&request),
        "/close" => Response::builder().header("connection", "close").body(Body::from("closing")).unwrap(),
        "/early" => Response::builder().status(413).body(Body::from("too much")).unwrap(),
        "/broken" => broken(),
        _ => Response::builder().status(404).body(Body::from("the device knows no such path")).unwrap(),
    };
    Ok(response)
}

/// The request's body, with what the query wants as status.
fn echo(request: Request<Incoming>) -> Response<Body> {
    let status = query(&request, "status").map_or(200, |text| text.parse().unwrap());
    let mut response = Response::builder().status(StatusCode::from_u16(status).unwrap());
    response = response.header("x-method", request.method().as_str());
    if let Some(kind) = request.headers().get("content-type") {
        response = response.header("content-type", kind);
    }
    response.body(Body::new(request.into_body())).unwrap()
}

/// The request's head as text.
fn head(request: &Request<Incoming>) -> Response<Body> {
    let mut text = format!("{} {}\n", request.method(), request.uri());
    for (name, value) in request.headers() {
        text.push_str(&format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())));
    }
    Response::new(Body::from(text))
}

/// A body whose pieces the test hands out.
fn fed(state: &Arc<State>) -> Response<Body> {
    let mut fed = state.fed.lock().unwrap().take().expect("one asker");
    let farewell = Farewell("fed dropped", Arc::clone(state));
    let stream = futures_util::stream::poll_fn(move |context| {
        let _ = &farewell;
        fed.poll_recv(context).map(|piece| piece.map(|piece| Ok::<_, Infallible>(Frame::data(piece))))
    });
    Response::builder().header("content-type", "text/event-stream").body(Body::new(StreamBody::new(stream))).unwrap()
}

async fn upload(state: &Arc<State>, request: Request<Incoming>) -> Response<Body> {
    let _ = state.events.send("upload began".to_owned());
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => {
                let count = frame.data_ref().map_or(0, Bytes::len) as u64;
                state.taken.fetch_add(count, Ordering::Relaxed);
            }
            Err(_) => {
                let _ = state.events.send("upload broken".to_owned());
                return Response::new(Body::from("broken"));
            }
        }
    }
    let _ = state.events.send("upload complete".to_owned());
    Response::new(Body::from(state.taken.load(Ordering::Relaxed).to_string()))
}

async fn upload_slow(state: &Arc<State>, request: Request<Incoming>) -> Response<Body> {
    let mut body = request.into_body();
    loop {
        state.permits.acquire().await.unwrap().forget();
        let Some(Ok(frame)) = body.frame().await else { break };
        state.taken.fetch_add(frame.data_ref().map_or(0, Bytes::len) as u64, Ordering::Relaxed);
    }
    Response::new(Body::from(state.taken.load(Ordering::Relaxed).to_string()))
}

/// Pieces of 64 KiB, made only when asked for.
struct Made {
    left: u64,
    state: Arc<State>,
}

impl http_body::Body for Made {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        static PIECE: [u8; 65_536] = [b'x'; 65_536];
        let count = self.left.min(PIECE.len() as u64);
        if count == 0 {
            return Poll::Ready(None);
        }
        self.left -= count;
        self.state.made.fetch_add(count, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&PIECE[..usize::try_from(count).unwrap()])))))
    }
}

fn download(state: &Arc<State>, request: &Request<Incoming>) -> Response<Body> {
    let left: u64 = query(request, "bytes").unwrap().parse().unwrap();
    let response = Response::builder();
    let response = if query(request, "length").is_some() { response.header("content-length", left) } else { response };
    response.body(Body::new(Made { left, state: Arc::clone(state) })).unwrap()
}

/// The trailers of the request in the body, and trailers of its own.
async fn trailers(request: Request<Incoming>) -> Response<Body> {
    let te = request.headers().get("te").is_some();
    let collected = request.into_body().collect().await.unwrap();
    let seen = collected
        .trailers()
        .and_then(|trailers| trailers.get("x-sum"))
        .map_or("none".to_owned(), |value| value.to_str().unwrap().to_owned());
    let mut own = HeaderMap::new();
    own.insert("x-check", "all well".parse().unwrap());
    own.insert("sluicegate-problem", "forged".parse().unwrap());
    let frames = [Frame::data(Bytes::from(seen)), Frame::trailers(own)].map(Ok::<_, Infallible>);
    let body = StreamBody::new(futures_util::stream::iter(frames));
    let response = Response::builder().header("x-te", te.to_string());
    response.header("trailer", "x-check, sluicegate-problem").body(Body::new(body)).unwrap()
}

/// The fields that the query names, on an answer with the status that it names.
fn fields(request: &Request<Incoming>) -> Response<Body> {
    let mut response = Response::builder();
    let mut body = Body::from("body");
    for pair in request.uri().query().unwrap_or_default().split('&') {
        let (name, value) = pair.split_once('=').unwrap();
        let value = value.replace('+', " ");
        response = match name {
            "status" => response.status(value.parse::<u16>().unwrap()),
            "fill" => response.header("x-fill", "f".repeat(value.parse().unwrap())),
            name => response.header(name, value),
        };
        if name == "content-length" {
            body = Body::empty();
        }
    }
    let mut response = response.body(body).unwrap();
    if response.status() == 304 || response.status() == 204 {
        *response.body_mut() = Body::empty();
    }
    debug_assert!(response.body().size_hint().upper().is_some());
    response
}

/// An answer that breaks off in the middle.
fn broken() -> Response<Body> {
    let pieces = futures_util::stream::unfold(0, |step| async move {
        // The pause lets the server write what it has.
        tokio::task::yield_now().await;
        match step {
            0 => Some((Ok(Bytes::from_static(b"half of it")), 1)),
            1 => Some((Err("the disk is gone"), 2)),
            _ => None,
        }
    });
    Response::new(Body::from_stream(pieces))
}

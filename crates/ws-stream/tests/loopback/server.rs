//! The service behind the real listener, and publishers for it.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use sluicegate_hub::{Hub, StreamName};
use sluicegate_net::listener::{self, Listener};
use sluicegate_net::shutdown::Shutdown;
use sluicegate_net::tls::ServerTls;
use sluicegate_ws_stream::{Config, Service};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, Message};

pub(crate) type WebSocket = WebSocketStream<TcpStream>;

/// How long a step of a test may take before it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Server {
    pub(crate) hub: Hub,
    pub(crate) service: Service,
    pub(crate) address: SocketAddr,
    _shutdown: Shutdown,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The service with short times, so that no test waits for long.
pub(crate) fn quick() -> Config {
    Config { http_wait: Duration::from_millis(300), websocket_wait: Duration::from_millis(300), ..Config::default() }
}

impl Server {
    pub(crate) async fn start(hub: sluicegate_hub::Config, config: Config) -> Self {
        Self::start_with(hub, config, Service::handover_paths(), None).await
    }

    /// A server whose plain GETs stay with the HTTP library.
    pub(crate) async fn without_hand_over() -> Self {
        Self::start_with(sluicegate_hub::Config::default(), Config::default(), Vec::new(), None).await
    }

    /// A server with TLS and a certificate that nobody has signed.
    pub(crate) async fn with_tls() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let files = tempfile::tempdir().unwrap();
        let (certificate, key) = (files.path().join("cert.pem"), files.path().join("key.pem"));
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let tls = ServerTls::from_files(&certificate, &key).unwrap();
        let hub = sluicegate_hub::Config::default();
        Self::start_with(hub, Config::default(), Service::handover_paths(), Some(tls)).await
    }

    pub(crate) async fn start_with(
        hub: sluicegate_hub::Config,
        config: Config,
        handover_paths: Vec<String>,
        tls: Option<ServerTls>,
    ) -> Self {
        let hub = Hub::new(hub).unwrap();
        let service = Service::new(hub.clone(), config).unwrap();
        let listening = listener::Config { handover_paths, ..listener::Config::default() };
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), tls, listening).await.unwrap();
        let address = listener.local_addr();
        let shutdown = Shutdown::new();
        let (router, stop) = (service.router(), shutdown.clone());
        let task = tokio::spawn(async move {
            listener.serve(router, stop).await;
        });
        Self { hub, service, address, _shutdown: shutdown, task }
    }

    pub(crate) async fn new() -> Self {
        Self::start(sluicegate_hub::Config::default(), Config::default()).await
    }

    /// Opens a WebSocket, or gives the refusal.
    pub(crate) async fn try_websocket(&self, path: &str) -> Result<WebSocket, Response<Option<Vec<u8>>>> {
        let tcp = TcpStream::connect(self.address).await.unwrap();
        let url = format!("ws://{}{path}", self.address);
        match tokio_tungstenite::client_async(url, tcp).await {
            Ok((websocket, _)) => Ok(websocket),
            Err(tungstenite::Error::Http(response)) => Err(*response),
            Err(error) => panic!("{path}: {error}"),
        }
    }

    pub(crate) async fn websocket(&self, path: &str) -> WebSocket {
        self.try_websocket(path).await.unwrap_or_else(|refusal| panic!("{path}: {refusal:?}"))
    }

    /// Sends a request without a body.
    pub(crate) async fn request(&self, method: Method, path: &str) -> Response<Incoming> {
        let request = Request::builder().method(method).uri(path).header("host", self.address.to_string());
        self.send(request.body(Full::new(Bytes::new())).unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Response<Incoming> {
        self.request(Method::GET, path).await
    }

    /// Sends any request on a connection of its own.
    pub(crate) async fn send<B>(&self, request: Request<B>) -> Response<Incoming>
    where
        B: hyper::body::Body<Data = Bytes, Error = std::convert::Infallible> + Send + Unpin + 'static,
    {
        let tcp = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tcp)).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap()
    }

    /// Begins to publish by the way `path` says.
    pub(crate) async fn publish(&self, way: &Way) -> Pusher {
        match way {
            Way::WebSocket(path) => Pusher::WebSocket(Box::new(self.websocket(path).await)),
            Way::Http(method, path) => {
                let (chunks, receiver) = mpsc::channel(16);
                let body = StreamBody::new(receiver_stream(receiver));
                let host = self.address.to_string();
                let request = Request::builder().method(method).uri(*path).header("host", host).body(body).unwrap();
                let tcp = TcpStream::connect(self.address).await.unwrap();
                let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tcp)).await.unwrap();
                tokio::spawn(connection);
                let response = tokio::spawn(async move { sender.send_request(request).await.unwrap() });
                Pusher::Http { chunks, response }
            }
        }
    }

    /// A client that sends its request and never reads.
    pub(crate) async fn silent_client(&self, head: &str) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        let mut stream = socket.connect(self.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
    }

    /// Waits until the hub says so of the stream.
    pub(crate) async fn until(&self, name: &str, what: impl Fn(&sluicegate_hub::StreamStatus) -> bool) {
        let name = StreamName::parse(name).unwrap();
        self.wait(|| self.hub.stream(&name).is_some_and(|status| what(&status))).await;
    }

    /// Waits until nobody publishes the stream.
    pub(crate) async fn until_free(&self, name: &str) {
        let name = StreamName::parse(name).unwrap();
        self.wait(|| self.hub.stream(&name).is_none_or(|status| status.publisher.is_none())).await;
    }

    async fn wait(&self, done: impl Fn() -> bool) {
        let waiting = async {
            while !done() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap();
    }
}

/// The head of a request for a WebSocket.
pub(crate) fn upgrade(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

fn receiver_stream(
    receiver: mpsc::Receiver<Bytes>,
) -> impl futures_util::Stream<Item = Result<Frame<Bytes>, std::convert::Infallible>> + Unpin + Send {
    Box::pin(futures_util::stream::unfold(receiver, |mut receiver| async {
        let chunk = receiver.recv().await?;
        Some((Ok(Frame::data(chunk)), receiver))
    }))
}

/// How to publish.
#[derive(Debug, Clone)]
pub(crate) enum Way {
    WebSocket(&'static str),
    Http(Method, &'static str),
}

/// A publisher.
pub(crate) enum Pusher {
    WebSocket(Box<WebSocket>),
    Http { chunks: mpsc::Sender<Bytes>, response: tokio::task::JoinHandle<Response<Incoming>> },
}

impl Pusher {
    /// Sends bytes, in one message or chunk.
    pub(crate) async fn send(&mut self, bytes: impl Into<Bytes>) {
        match self {
            Self::WebSocket(websocket) => websocket.send(Message::Binary(bytes.into())).await.unwrap(),
            Self::Http { chunks, .. } => chunks.send(bytes.into()).await.unwrap(),
        }
    }

    /// Ends in good order.
    pub(crate) async fn finish(self) {
        match self {
            Self::WebSocket(mut websocket) => {
                websocket.send(Message::Close(None)).await.unwrap();
                while let Some(Ok(_)) = websocket.next().await {}
            }
            Self::Http { chunks, response } => {
                drop(chunks);
                assert_eq!(response.await.unwrap().status(), 204);
            }
        }
    }
}

/// The code and the reason with which the server closes.
pub(crate) async fn closed(websocket: &mut WebSocket) -> (u16, String) {
    let closing = async {
        loop {
            match websocket.next().await {
                Some(Ok(Message::Close(Some(frame)))) => return (frame.code.into(), frame.reason.to_string()),
                Some(Ok(Message::Close(None))) => return (1005, String::new()),
                Some(Ok(_)) => {}
                other => panic!("no close frame but {other:?}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, closing).await.unwrap()
}

/// The whole body as text.
pub(crate) async fn text(response: Response<Incoming>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().into()).unwrap()
}

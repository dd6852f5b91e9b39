//! Places and the end.

use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;

use super::*;

const LIMITS: Limits = Limits {
    connections: 2,
    handshake: Duration::from_secs(10),
    unsent_bytes: 64 << 10,
    unacknowledged: Duration::from_secs(60),
    drain: Duration::from_secs(30),
};
const MOMENT: Duration = Duration::from_millis(100);
const DEADLINE: Duration = Duration::from_secs(20);

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, what).await.unwrap()
}

/// A port whose connections are told of, and held until they are dropped.
async fn port(limits: Limits) -> (SocketAddr, Shutdown, mpsc::UnboundedReceiver<(Socket, Place)>, impl Future) {
    let port = Port::bind("127.0.0.1:0".parse().unwrap(), None).await.unwrap();
    let (address, shutdown, (came, coming)) = (port.local_addr(), Shutdown::new(), mpsc::unbounded_channel());
    let stop = shutdown.clone();
    let serving = tokio::spawn(async move {
        let welcome = |arrival: Arrival| {
            let came = came.clone();
            async move {
                let _ = came.send(arrival.open().await.unwrap());
            }
        };
        port.serve(limits, &stop, welcome).await;
    });
    (address, shutdown, coming, serving)
}

#[tokio::test]
async fn a_place_that_is_free_again_lets_the_next_one_in() {
    let (address, _shutdown, mut coming, _serving) = port(LIMITS).await;
    let _clients = [TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap()];
    let (first, _second) = (soon(coming.recv()).await.unwrap(), soon(coming.recv()).await.unwrap());
    let third = TcpStream::connect(address).await.unwrap();
    // The moment is only there to let a port that is wrong show it.
    assert!(tokio::time::timeout(MOMENT, coming.recv()).await.is_err());
    drop(first);
    let (socket, _place) = soon(coming.recv()).await.unwrap();
    assert_eq!(socket.tcp().peer_addr().ok(), third.local_addr().ok());
}

#[tokio::test]
async fn a_port_ends_with_its_last_connection() {
    let (address, shutdown, mut coming, serving) = port(LIMITS).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    let (socket, place) = soon(coming.recv()).await.unwrap();
    shutdown.begin();
    tokio::pin!(serving);
    assert!(tokio::time::timeout(MOMENT, serving.as_mut()).await.is_err());
    drop(socket);
    assert_eq!(soon(client.read(&mut [0])).await.unwrap(), 0);
    drop(place);
    soon(serving).await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_port_ends_without_those_who_stay() {
    let (address, shutdown, mut coming, serving) = port(Limits { drain: Duration::from_millis(50), ..LIMITS }).await;
    let _client = TcpStream::connect(address).await.unwrap();
    let _held = soon(coming.recv()).await.unwrap();
    shutdown.begin();
    soon(serving).await;
}

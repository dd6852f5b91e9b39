//! TLS on both outer sides: a public client by HTTP/2, a device by HTTPS.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request, Version};
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use sluicegate_net::listener::{self, Listener};
use sluicegate_net::shutdown::Shutdown;
use sluicegate_net::tls::{ClientTls, ServerTls};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, pki_types::ServerName};

use crate::client::get;
use crate::stage::{Setup, Stage};

/// A certificate for `localhost` and its key, as files and for trusting it.
struct Identity {
    folder: TempDir,
    authority: tokio_rustls::rustls::pki_types::CertificateDer<'static>,
}

impl Identity {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        Self { folder, authority: made.cert.der().clone() }
    }

    fn server(&self) -> ServerTls {
        ServerTls::from_files(&self.folder.path().join("cert.pem"), &self.folder.path().join("key.pem")).unwrap()
    }
}

async fn serve(router: Router, tls: ServerTls) -> SocketAddr {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = Listener::bind(any, Some(tls), listener::Config::default()).await.unwrap();
    let address = listener.local_addr();
    tokio::spawn(listener.serve(router, Shutdown::new()));
    address
}

#[tokio::test]
async fn a_device_is_asked_over_tls_and_its_certificate_is_verified() {
    let identity = Identity::new();
    let device = serve(Router::new().fallback(async || "from behind TLS"), identity.server()).await;
    let url = format!("https://localhost:{}", device.port());
    let trusting = ClientTls::with_authorities(&identity.folder.path().join("cert.pem")).unwrap();
    let setup = |tls| Setup { services: vec![("safe", url.clone())], tls, ..Setup::default() };
    let stage = Stage::with(setup(Some(trusting))).await;
    assert_eq!(get(stage.address, "safe/x").await.text().await, "from behind TLS");
    let stage = Stage::with(setup(Some(ClientTls::native().unwrap()))).await;
    let answer = get(stage.address, "safe/x").await;
    assert_eq!((answer.status().as_u16(), answer.field("sluicegate-problem")), (502, "tls"));
}

#[tokio::test]
async fn a_public_client_may_speak_http_2() {
    let identity = Identity::new();
    let stage = Stage::new().await;
    let public = serve(stage.ingress(), identity.server()).await;
    let mut roots = RootCertStore::empty();
    roots.add(identity.authority.clone()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let tcp = TcpStream::connect(public).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let tls = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tls));
    let (mut sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);

    let mut ask = |path: &str, body: Body| {
        let request = Request::builder().method("POST").uri(format!("https://public.example/proxy/cam-7/web/{path}"));
        sender.send_request(request.header("te", "trailers").body(body).unwrap())
    };
    let (head, trailers) = (ask("head", Body::empty()).await.unwrap(), ask("trailers", Body::from("x")).await.unwrap());
    assert_eq!(head.version(), Version::HTTP_2);
    let text = head.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&text);
    for line in ["x-forwarded-host: public.example", "x-forwarded-proto: https", "via: 2.0 sluicegate"] {
        assert!(text.lines().any(|seen| seen == line), "no line {line:?} in\n{text}");
    }
    let collected = trailers.into_body().collect().await.unwrap();
    let trailers: &HeaderMap = collected.trailers().expect("HTTP/2 has trailers without asking");
    assert_eq!(trailers["x-check"], "all well");
}

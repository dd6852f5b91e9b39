//! Outgoing connections.

use std::time::Duration;

use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;

use crate::Error;
use crate::listener::Socket;
use crate::tls::ClientTls;

/// Connects to the host of `url`, with TLS where its scheme says so (`wss`, `https`, `rtmps`, `rtsps`). `deadline` is for all of it.
///
/// # Errors
/// The URL cannot be dialled, the host not be reached in time, or its certificate not be trusted.
pub async fn dial(url: &Url, tls: &ClientTls, deadline: Duration) -> Result<Socket, Error> {
    let bad = |what| Error::Url { url: url.to_string(), what };
    let encrypted = match url.scheme() {
        "ws" | "http" | "rtmp" | "rtsp" => false,
        "wss" | "https" | "rtmps" | "rtsps" => true,
        _ => return Err(bad("its scheme is none of ws, wss, http, https, rtmp, rtmps, rtsp and rtsps")),
    };
    // What servers of RTMP and RTSP listen on; the URL standard does not know the schemes.
    let own_port = match url.scheme() {
        "rtmp" => Some(1935),
        "rtmps" => Some(443),
        "rtsp" => Some(554),
        "rtsps" => Some(322),
        _ => None,
    };
    let host = url.host_str().ok_or_else(|| bad("it has no host"))?;
    let port = url.port_or_known_default().or(own_port).ok_or_else(|| bad("it has no port"))?;
    // A URL has an IPv6 address in brackets, the resolver has it without.
    let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = format!("{host}:{port}");
    let connecting = async {
        let tcp = TcpStream::connect((bare.as_str(), port)).await?;
        tcp.set_nodelay(true)?;
        if !encrypted {
            return Ok(Socket::from(tcp));
        }
        let server = ServerName::try_from(bare.clone()).map_err(std::io::Error::other)?;
        let config = if own_port.is_some() { tls.without_protocol() } else { tls.config() };
        TlsConnector::from(config).connect(server, tcp).await.map(Socket::from)
    };
    match tokio::time::timeout(deadline, connecting).await {
        Ok(connected) => connected.map_err(|source| Error::Connect { host: name, source }),
        Err(_) => Err(Error::Timeout { host: name, deadline }),
    }
}

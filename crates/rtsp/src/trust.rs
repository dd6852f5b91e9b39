//! Whom a pull by TLS trusts: whom the system trusts, or the one certificate whose fingerprint the URL has.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sha2::{Digest, Sha256};
use sluicegate_net::listener::Socket;
use sluicegate_net::tls::ClientTls;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{CertificateError, ClientConfig, Error as TlsError};

use crate::{Address, Error};

/// The port of servers by TLS.
const PORT: u16 = 322;

/// SHA-256 of a certificate in DER, which cameras show that have made their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    fn of(certificate: &CertificateDer<'_>) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Fingerprint {
    type Err = Error;

    /// 64 hexadecimal digits, with colons between them or not, as tools print them.
    fn from_str(text: &str) -> Result<Self, Error> {
        let digits: String = text.chars().filter(|letter| *letter != ':').collect();
        let (mut bytes, pairs) = ([0; 32], digits.as_bytes().chunks(2));
        if digits.len() != 64 || !digits.is_ascii() {
            return Err(Error::Fingerprint);
        }
        for (byte, pair) in bytes.iter_mut().zip(pairs) {
            let pair = std::str::from_utf8(pair).ok().filter(|pair| !pair.starts_with('+'));
            *byte = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()).ok_or(Error::Fingerprint)?;
        }
        Ok(Self(bytes))
    }
}

/// A connection with TLS or without.
pub(crate) trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// Connects to the server of a pull. `wait` is for the connection and again for TLS.
pub(crate) async fn dial(address: &Address, tls: &ClientTls, wait: Duration) -> Result<Box<dyn Connection>, Error> {
    if !address.is_secure() {
        let socket = sluicegate_net::dial(&address.url, tls, wait).await.map_err(Error::Connect)?;
        return Ok(Box::new(socket));
    }
    if address.pin.is_some() {
        let (settings, other) = pinned(address.pin, tls);
        let shaken = shake(address, tls, settings, wait).await;
        return match (shaken, other.get().copied()) {
            (Ok(stream), _) => Ok(Box::new(stream)),
            (Err(_), Some(shown)) => Err(Error::OtherCertificate { host: place(address), shown }),
            (Err(error), None) => Err(error),
        };
    }
    let refused = match shake(address, tls, tls.without_protocol(), wait).await {
        Ok(stream) => return Ok(Box::new(stream)),
        Err(refused) => refused,
    };
    if !is_untrusted(&refused) {
        return Err(refused);
    }
    // The verifier of the system does not tell what it was shown, so the operator is told by another look, which ends
    // before anything is said.
    let (settings, other) = pinned(None, tls);
    let _ = shake(address, tls, settings, wait).await;
    match other.get().copied() {
        Some(shown) => Err(Error::Untrusted { host: place(address), shown, source: Box::new(refused) }),
        None => Err(refused),
    }
}

/// Host and port, for messages.
fn place(address: &Address) -> String {
    format!("{}:{}", address.url.host_str().unwrap_or_default(), address.url.port().unwrap_or(PORT))
}

async fn shake(
    address: &Address,
    tls: &ClientTls,
    settings: Arc<ClientConfig>,
    wait: Duration,
) -> Result<TlsStream<Socket>, Error> {
    let mut plain = address.url.clone();
    plain
        .set_scheme("rtsp")
        .and_then(|()| plain.set_port(Some(plain.port().unwrap_or(PORT))))
        .map_err(|()| Error::Url)?;
    let name = plain.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(name).map_err(|_| Error::Url)?;
    let socket = sluicegate_net::dial(&plain, tls, wait).await.map_err(Error::Connect)?;
    let shaking = TlsConnector::from(settings).connect(name, socket);
    let host = place(address);
    match tokio::time::timeout(wait, shaking).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(source)) if matches!(cause(&source), Some(TlsError::InvalidMessage(_))) => {
            Err(Error::NotSecure { host })
        }
        Ok(Err(source)) => Err(Error::Connect(sluicegate_net::Error::Connect { host, source })),
        Err(_) => Err(Error::Connect(sluicegate_net::Error::Timeout { host, deadline: wait })),
    }
}

fn cause(error: &std::io::Error) -> Option<&TlsError> {
    error.get_ref()?.downcast_ref()
}

fn is_untrusted(error: &Error) -> bool {
    let Error::Connect(sluicegate_net::Error::Connect { source, .. }) = error else { return false };
    matches!(cause(source), Some(TlsError::InvalidCertificate(_)))
}

/// Settings that trust one certificate, whosever name is on it and whatever its dates, or none; and what was shown instead.
fn pinned(pin: Option<Fingerprint>, tls: &ClientTls) -> (Arc<ClientConfig>, Arc<OnceLock<Fingerprint>>) {
    let other = Arc::new(OnceLock::new());
    let seen = Arc::clone(&other);
    let settings = tls.judged_by(move |certificate| {
        let shown = Fingerprint::of(certificate);
        if pin == Some(shown) {
            return Ok(());
        }
        seen.get_or_init(|| shown);
        Err(CertificateError::ApplicationVerificationFailure.into())
    });
    (settings, other)
}

//! TLS with rustls: certificates that are reloaded while the server runs, and verification that is on by default.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::Error;
use crate::shutdown::Shutdown;

mod client;

pub use client::ClientTls;

/// How often the files are looked at for a change.
const LOOK: Duration = Duration::from_secs(1);

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The certificate of a listener, from PEM files. Clones share it.
#[derive(Clone)]
pub struct ServerTls {
    files: Arc<Files>,
    http: Arc<rustls::ServerConfig>,
    /// For protocols that are not HTTP.
    bare: Arc<rustls::ServerConfig>,
}

#[derive(Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    current: ArcSwap<CertifiedKey>,
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").field("certificate", &self.files.certificate).finish_non_exhaustive()
    }
}

impl ServerTls {
    /// Reads a certificate chain and its key.
    ///
    /// # Errors
    /// A file cannot be read, holds no certificate or key, or the two do not belong together.
    pub fn from_files(certificate: &Path, key: &Path) -> Result<Self, Error> {
        let current = ArcSwap::from_pointee(load(certificate, key)?);
        let files = Arc::new(Files { certificate: certificate.to_owned(), key: key.to_owned(), current });
        let builder = rustls::ServerConfig::builder_with_provider(provider());
        let builder = builder.with_safe_default_protocol_versions().map_err(Error::Tls)?;
        let resolver = Arc::clone(&files) as Arc<dyn ResolvesServerCert>;
        let bare = builder.with_no_client_auth().with_cert_resolver(resolver);
        let mut http = bare.clone();
        http.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { files, http: Arc::new(http), bare: Arc::new(bare) })
    }

    /// Settings of HTTP, whose version is chosen in the handshake.
    pub(crate) fn http(&self) -> Arc<rustls::ServerConfig> {
        Arc::clone(&self.http)
    }

    /// Settings without any protocol.
    pub(crate) fn bare(&self) -> Arc<rustls::ServerConfig> {
        Arc::clone(&self.bare)
    }

    /// Reads the files again. New connections get the new certificate; when it is damaged, they keep the old one.
    ///
    /// # Errors
    /// As [`ServerTls::from_files`].
    pub fn reload(&self) -> Result<(), Error> {
        let loaded = load(&self.files.certificate, &self.files.key)?;
        self.files.current.store(Arc::new(loaded));
        Ok(())
    }

    /// Reloads when a file changes, until `shutdown`.
    pub async fn watch(&self, shutdown: Shutdown) {
        let mut seen = self.files.changed();
        loop {
            tokio::select! {
                () = shutdown.begun() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            let now = self.files.changed();
            if now == seen {
                continue;
            }
            seen = now;
            match self.reload() {
                Ok(()) => tracing::info!(certificate = %self.files.certificate.display(), "certificate reloaded"),
                Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "certificate not reloaded"),
            }
        }
    }
}

impl Files {
    fn changed(&self) -> [Option<SystemTime>; 2] {
        [&self.certificate, &self.key].map(|path| std::fs::metadata(path).and_then(|data| data.modified()).ok())
    }
}

impl ResolvesServerCert for Files {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

fn load(certificate: &Path, key: &Path) -> Result<CertifiedKey, Error> {
    let bad = |path: &Path, what, source| Error::Certificate { path: path.to_owned(), what, source };
    let chain = read_certificates(certificate)?;
    let parsed = PrivateKeyDer::from_pem_file(key);
    let parsed = parsed.map_err(|error| bad(key, "no private key can be read from it", Some(Box::new(error))))?;
    let signer = provider().key_provider.load_private_key(parsed);
    let signer = signer.map_err(|error| bad(key, "the key is of a kind that TLS cannot use", Some(Box::new(error))))?;
    let certified = CertifiedKey::new(chain, signer);
    certified.keys_match().map_err(|error| bad(key, "it is not the key of the certificate", Some(Box::new(error))))?;
    Ok(certified)
}

/// All certificates of a PEM file, at least one.
pub(crate) fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let bad = |what, source| Error::Certificate { path: path.to_owned(), what, source };
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = read.map_err(|error| bad("no certificate can be read from it", Some(Box::new(error))))?;
    if chain.is_empty() { Err(bad("it holds no certificate", None)) } else { Ok(chain) }
}

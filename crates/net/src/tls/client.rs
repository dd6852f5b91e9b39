//! Which servers are trusted when we dial.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::{provider, read_certificates};
use crate::Error;

/// Trust for outgoing connections. Clones share it.
#[derive(Debug, Clone)]
pub struct ClientTls(Arc<ClientConfig>);

impl ClientTls {
    /// Trusts what a configuration says: everybody, or what the system trusts and the authorities in a file.
    ///
    /// # Errors
    /// As for the three that it chooses from.
    pub fn configured(authorities: Option<&Path>, insecure: bool) -> Result<Self, Error> {
        match authorities {
            _ if insecure => Self::insecure(),
            Some(path) => Self::with_authorities(path),
            None => Self::native(),
        }
    }

    /// Trusts what the system trusts.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn native() -> Result<Self, Error> {
        Self::trusting(native_roots())
    }

    /// Trusts what the system trusts and the authorities in a PEM file.
    ///
    /// # Errors
    /// The file cannot be read, or holds what is no certificate authority.
    pub fn with_authorities(path: &Path) -> Result<Self, Error> {
        let mut roots = native_roots();
        for certificate in read_certificates(path)? {
            let what = "it holds a certificate that is no authority";
            let bad = |error| Error::Certificate { path: path.to_owned(), what, source: Some(Box::new(error)) };
            roots.add(certificate).map_err(bad)?;
        }
        Self::trusting(roots)
    }

    /// Trusts everybody: whoever sits between can read and change all. For tests and closed networks.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn insecure() -> Result<Self, Error> {
        tracing::warn!("certificates are not verified, by configuration");
        let builder = builder()?.dangerous().with_custom_certificate_verifier(judged_by(|_| Ok(())));
        Ok(Self::with_protocol(builder.with_no_client_auth()))
    }

    /// As [`without_protocol`](Self::without_protocol), with another trust: whoever owns the certificate that `judge` lets
    /// pass, whatever its names, dates and authorities are.
    #[must_use]
    pub fn judged_by(
        &self,
        judge: impl Fn(&CertificateDer<'_>) -> Result<(), rustls::Error> + Send + Sync + 'static,
    ) -> Arc<ClientConfig> {
        let mut config = Arc::unwrap_or_clone(self.without_protocol());
        config.dangerous().set_certificate_verifier(judged_by(judge));
        Arc::new(config)
    }

    fn trusting(roots: RootCertStore) -> Result<Self, Error> {
        Ok(Self::with_protocol(builder()?.with_root_certificates(roots).with_no_client_auth()))
    }

    fn with_protocol(mut config: ClientConfig) -> Self {
        // WebSockets and FLV are asked for by HTTP/1.1.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self(Arc::new(config))
    }

    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.0)
    }

    /// The same trust for what is not HTTP: servers may refuse a name that they do not speak (RFC 7301 §3.2).
    #[must_use]
    pub fn without_protocol(&self) -> Arc<ClientConfig> {
        let mut config = ClientConfig::clone(&self.0);
        config.alpn_protocols.clear();
        Arc::new(config)
    }
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, Error> {
    ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().map_err(Error::Tls)
}

fn native_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let loaded = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(loaded.certs);
    roots
}

/// Verifies signatures itself, and whose they are by a judge.
struct Judged<J> {
    judge: J,
    provider: Arc<CryptoProvider>,
}

fn judged_by<J>(judge: J) -> Arc<dyn ServerCertVerifier>
where
    J: Fn(&CertificateDer<'_>) -> Result<(), rustls::Error> + Send + Sync + 'static,
{
    Arc::new(Judged { judge, provider: provider() })
}

impl<J> std::fmt::Debug for Judged<J> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Judged").finish_non_exhaustive()
    }
}

impl<J> ServerCertVerifier for Judged<J>
where
    J: Fn(&CertificateDer<'_>) -> Result<(), rustls::Error> + Send + Sync,
{
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        (self.judge)(end_entity).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

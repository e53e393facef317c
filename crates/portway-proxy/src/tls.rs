//! TLS from visitors: rustls, certificates by SNI from PEM files, HTTP/1.1 and HTTP/2 by ALPN (R60, R61).
//!
//! It knows names and keys, not what a host means. TLS towards dev servers is [`upstream_config`]: their certificates are
//! self-signed by nature, so they are not verified, and the address was checked before.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, ServerConfig, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

/// One certificate chain and its key, as files.
#[derive(Clone, Debug)]
pub struct CertificateFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// Why certificates cannot be used: which file, what is wrong, what to do.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("cannot read {file}: {reason}")]
    Unreadable { file: PathBuf, reason: String },
    #[error("{file} holds no certificate; it must be a PEM file with the chain, leaf first")]
    NoCertificate { file: PathBuf },
    #[error("{file} does not fit {cert}: {reason}")]
    KeyMismatch { file: PathBuf, cert: PathBuf, reason: String },
    #[error("{file} names no host: it needs DNS names among its subject alternative names")]
    NoNames { file: PathBuf },
    #[error("the TLS library refuses the configuration: {0}")]
    Library(#[from] rustls::Error),
}

struct Named {
    names: Vec<String>,
    key: Arc<CertifiedKey>,
}

/// Picks a certificate by SNI: an exact name first, then a wildcard.
pub struct Certificates(Vec<Named>);

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|named| &named.names)).finish()
    }
}

impl Certificates {
    /// Reads every pair of files.
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub fn load(files: &[CertificateFiles]) -> Result<Self, CertificateError> {
        let provider = aws_lc_rs::default_provider();
        files.iter().map(|pair| load_one(pair, &provider)).collect::<Result<_, _>>().map(Self)
    }

    /// Every name of every certificate.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|named| named.names.iter().map(String::as_str))
    }

    /// Whether the certificate that `sni` selects also speaks for `host`: a browser may send requests for either over one
    /// connection (RFC 9113 9.1.1); for any other host the answer is 421.
    pub fn covers(&self, sni: &str, host: &str) -> bool {
        self.select(sni).is_some_and(|named| named.names.iter().any(|name| matches(name, host)))
    }

    fn select(&self, sni: &str) -> Option<&Named> {
        let exact = |named: &&Named| named.names.iter().any(|name| name.eq_ignore_ascii_case(sni));
        let wild = |named: &&Named| named.names.iter().any(|name| matches(name, sni));
        self.0.iter().find(exact).or_else(|| self.0.iter().find(wild))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // No SNI names no host of ours; there is nothing to guess.
        self.select(hello.server_name()?).map(|named| named.key.clone())
    }
}

/// The server side: TLS 1.3 and 1.2 with the library's AEAD suites, no early data, both ALPN protocols.
///
/// A client that offers protocols must share one (the library answers `no_application_protocol`); one that offers none is
/// spoken to in HTTP/1.1, because WebSocket libraries still do that.
///
/// # Errors
/// [`CertificateError::Library`] if the library refuses its own defaults.
pub fn server_config(certificates: Arc<Certificates>) -> Result<ServerConfig, CertificateError> {
    let mut config = ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    config.max_early_data_size = 0;
    Ok(config)
}

/// The client side towards dev servers.
///
/// # Errors
/// [`CertificateError::Library`] if the library refuses its own defaults.
pub fn upstream_config() -> Result<ClientConfig, CertificateError> {
    let provider = aws_lc_rs::default_provider();
    let verifier = Unverified(provider.signature_verification_algorithms);
    let mut config = ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn load_one(pair: &CertificateFiles, provider: &CryptoProvider) -> Result<Named, CertificateError> {
    let unreadable = |file: &Path, reason: String| CertificateError::Unreadable { file: file.to_owned(), reason };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&pair.cert)
        .and_then(Iterator::collect)
        .map_err(|error| unreadable(&pair.cert, error.to_string()))?;
    let Some(leaf) = chain.first() else {
        return Err(CertificateError::NoCertificate { file: pair.cert.clone() });
    };
    let names: Vec<String> = webpki::EndEntityCert::try_from(leaf)
        .map_err(|error| unreadable(&pair.cert, error.to_string()))?
        .valid_dns_names()
        .map(str::to_ascii_lowercase)
        .collect();
    if names.is_empty() {
        return Err(CertificateError::NoNames { file: pair.cert.clone() });
    }
    let key = PrivateKeyDer::from_pem_file(&pair.key).map_err(|error| unreadable(&pair.key, error.to_string()))?;
    let key = CertifiedKey::from_der(chain, key, provider).map_err(|error| CertificateError::KeyMismatch {
        file: pair.key.clone(),
        cert: pair.cert.clone(),
        reason: error.to_string(),
    })?;
    Ok(Named { names, key: key.into() })
}

/// RFC 6125 6.4.3: a wildcard stands for exactly one whole label.
fn matches(name: &str, host: &str) -> bool {
    match name.strip_prefix("*.") {
        Some(parent) => {
            host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest.eq_ignore_ascii_case(parent))
        }
        None => name.eq_ignore_ascii_case(host),
    }
}

/// Accepts any certificate but still proves that the peer holds its key.
#[derive(Debug)]
struct Unverified(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

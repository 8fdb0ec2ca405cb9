//! TLS: certificates from files, memory or a ready configuration; chosen by server name; renewed without a restart.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock, Weak};
use std::time::{Duration, SystemTime};

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, DnsName, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, version};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::limits::RESTART_PAUSE;
use crate::phase::Phase;

/// How often certificate files are looked at. 30 s: a renewal comes days before the old certificate ends.
const WATCH_INTERVAL: Duration = Duration::from_secs(30);

/// How a listener speaks TLS: versions 1.2 and 1.3, HTTP/2 and HTTP/1.1 by ALPN.
///
/// The first certificate is the default; others are chosen by the server name that the client asks for.
pub struct Tls(Source);

enum Source {
    Certificates { sources: Vec<CertificateSource>, watch: Option<Duration>, reload_on_hangup: bool },
    Config(Arc<ServerConfig>),
}

enum CertificateSource {
    Files { chain: PathBuf, key: PathBuf },
    Pem { chain: Vec<u8>, key: Vec<u8> },
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The file is missing or may not be read.
    #[error("cannot read {path}")]
    Read {
        /// A certificate chain or a key, as it was configured.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// What should be PEM is not, or holds neither a certificate nor a key.
    #[error("{what} is not PEM with what is needed: {reason}")]
    Pem {
        /// The file, or the part given in memory.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The key is of a kind that cannot be used, or the certificate is not this key's.
    #[error("the certificate and the key of {what} do not go together: {source}")]
    Pair {
        /// The file, or the part given in memory.
        what: String,
        /// What rustls said.
        source: rustls::Error,
    },
}

impl Tls {
    /// A certificate chain and its key, PEM files both. They are watched: a renewal is picked up by itself.
    pub fn files(chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Self {
        Self::certificates(CertificateSource::Files { chain: chain.as_ref().to_owned(), key: key.as_ref().to_owned() })
    }

    /// A certificate chain and its key, PEM both, from memory.
    pub fn pem(chain: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        Self::certificates(CertificateSource::Pem { chain: chain.into(), key: key.into() })
    }

    /// A ready rustls configuration, as it is, with ALPN for HTTP/2 and HTTP/1.1 added if it names no protocol.
    #[must_use]
    pub fn config(config: Arc<ServerConfig>) -> Self {
        Self(Source::Config(config))
    }

    fn certificates(source: CertificateSource) -> Self {
        Self(Source::Certificates { sources: vec![source], watch: Some(WATCH_INTERVAL), reload_on_hangup: false })
    }

    /// One more certificate, from PEM files, for the names that it carries. Nothing happens to a ready configuration.
    #[must_use]
    pub fn and_files(mut self, chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Self {
        if let Source::Certificates { sources, .. } = &mut self.0 {
            sources.push(CertificateSource::Files { chain: chain.as_ref().to_owned(), key: key.as_ref().to_owned() });
        }
        self
    }

    /// One more certificate, PEM from memory, for the names that it carries. Nothing happens to a ready configuration.
    #[must_use]
    pub fn and_pem(mut self, chain: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        if let Source::Certificates { sources, .. } = &mut self.0 {
            sources.push(CertificateSource::Pem { chain: chain.into(), key: key.into() });
        }
        self
    }

    /// How often the files are looked at for a change; every 30 s by default, `None` never.
    #[must_use]
    pub fn watch(mut self, interval: Option<Duration>) -> Self {
        if let Source::Certificates { watch, .. } = &mut self.0 {
            *watch = interval;
        }
        self
    }

    /// Also reads the files again on SIGHUP, as daemons do. Off by default, because it takes that signal from the
    /// program.
    #[must_use]
    pub fn reload_on_hangup(mut self) -> Self {
        if let Source::Certificates { reload_on_hangup, .. } = &mut self.0 {
            *reload_on_hangup = true;
        }
        self
    }

    /// Reads the certificates as a server does at its start, and keeps nothing of them.
    ///
    /// # Errors
    /// [`CertificateError`] as the start would say it.
    pub fn check(&self) -> Result<(), CertificateError> {
        match &self.0 {
            Source::Certificates { sources, .. } => load_all(sources).map(drop),
            Source::Config(_) => Ok(()),
        }
    }

    pub(crate) fn load(self) -> Result<Acceptor, CertificateError> {
        match self.0 {
            Source::Config(config) => {
                let config = if config.alpn_protocols.is_empty() {
                    let mut config = ServerConfig::clone(&config);
                    config.alpn_protocols = alpn();
                    Arc::new(config)
                } else {
                    config
                };
                Ok(Acceptor { tls: TlsAcceptor::from(config), certificates: None })
            }
            Source::Certificates { sources, watch, reload_on_hangup } => {
                let current = RwLock::new(Arc::new(load_all(&sources)?));
                let certificates = Arc::new(Certificates { sources, current, watch, reload_on_hangup });
                let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
                    .with_protocol_versions(&[&version::TLS13, &version::TLS12])
                    .expect("ring supports TLS 1.2 and 1.3")
                    .with_no_client_auth()
                    .with_cert_resolver(certificates.clone());
                config.alpn_protocols = alpn();
                Ok(Acceptor { tls: TlsAcceptor::from(Arc::new(config)), certificates: Some(certificates) })
            }
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls(..)")
    }
}

fn alpn() -> Vec<Vec<u8>> {
    vec![b"h2".to_vec(), b"http/1.1".to_vec()]
}

/// What one listener needs to shake hands.
#[derive(Clone)]
pub(crate) struct Acceptor {
    pub(crate) tls: TlsAcceptor,
    certificates: Option<Arc<Certificates>>,
}

impl Acceptor {
    pub(crate) fn reload(&self) -> Result<(), CertificateError> {
        self.certificates.as_ref().map_or(Ok(()), |certificates| certificates.reload())
    }

    /// Watches the files for as long as the server runs.
    pub(crate) fn keep_fresh(&self, phase: &watch::Sender<Phase>) {
        let Some(certificates) = &self.certificates else { return };
        if certificates.files().next().is_none() {
            return;
        }
        if let Some(interval) = certificates.watch {
            let (certificates, phase) = (Arc::downgrade(certificates), phase.subscribe());
            keep("watching certificates", move || watch_files(certificates.clone(), interval, phase.clone()));
        }
        if certificates.reload_on_hangup {
            let hang_ups = || tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup());
            let (certificates, phase) = (Arc::downgrade(certificates), phase.subscribe());
            // Listens at once: the signal ends a program that does not.
            let first = Mutex::new(Some(hang_ups()));
            keep("reading certificates on SIGHUP", move || {
                let hang_ups = first.lock().expect("no panic while the lock is held").take().unwrap_or_else(hang_ups);
                reload_on_hangup(hang_ups, certificates.clone(), phase.clone())
            });
        }
    }
}

async fn watch_files(certificates: Weak<Certificates>, interval: Duration, mut phase: watch::Receiver<Phase>) {
    let mut seen = certificates.upgrade().map(|certificates| certificates.fingerprint());
    loop {
        tokio::select! {
            _ = phase.wait_for(|phase| *phase >= Phase::Draining) => return,
            () = tokio::time::sleep(interval) => {}
        }
        let Some(certificates) = certificates.upgrade() else { return };
        let now = Some(certificates.fingerprint());
        // What could not be read stays "unseen": chain and key are replaced one after the other, and in between they
        // do not go together.
        if now != seen && certificates.reload_and_log() {
            seen = now;
        }
    }
}

/// Runs a task that is started again when it panics, so that certificates do not grow old unseen.
fn keep<F: Future<Output = ()> + Send + 'static>(name: &'static str, start: impl Fn() -> F + Send + 'static) {
    tokio::spawn(async move {
        while tokio::spawn(start()).await.is_err_and(|end| end.is_panic()) {
            tracing::error!(task = name, "a background task panicked; it is started again");
            tokio::time::sleep(RESTART_PAUSE).await;
        }
    });
}

async fn reload_on_hangup(
    hangups: io::Result<tokio::signal::unix::Signal>,
    certificates: Weak<Certificates>,
    mut phase: watch::Receiver<Phase>,
) {
    let mut hangups = match hangups {
        Ok(hangups) => hangups,
        Err(error) => return tracing::warn!(%error, "cannot listen for SIGHUP; certificates are still watched"),
    };
    loop {
        tokio::select! {
            _ = phase.wait_for(|phase| *phase >= Phase::Draining) => return,
            _ = hangups.recv() => {}
        }
        let Some(certificates) = certificates.upgrade() else { return };
        certificates.reload_and_log();
    }
}

struct Certificates {
    sources: Vec<CertificateSource>,
    current: RwLock<Arc<Vec<Certificate>>>,
    watch: Option<Duration>,
    reload_on_hangup: bool,
}

struct Certificate {
    key: Arc<CertifiedKey>,
    /// The names that it is valid for; checked against the certificate itself, not configured beside it.
    end_entity: CertificateDer<'static>,
}

impl Certificates {
    fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.sources.iter().flat_map(|source| match source {
            CertificateSource::Files { chain, key } => vec![chain, key],
            CertificateSource::Pem { .. } => Vec::new(),
        })
    }

    fn fingerprint(&self) -> Vec<Option<(SystemTime, u64)>> {
        let of = |path: &PathBuf| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        self.files().map(of).collect()
    }

    fn reload(&self) -> Result<(), CertificateError> {
        let loaded = Arc::new(load_all(&self.sources)?);
        *self.current.write().expect("no panic while the lock is held") = loaded;
        Ok(())
    }

    fn reload_and_log(&self) -> bool {
        match self.reload() {
            Ok(()) => tracing::info!("certificates read again"),
            Err(ref error) => {
                tracing::error!(
                    error = error as &dyn std::error::Error,
                    "cannot use the changed certificates; those in use stay"
                );
                return false;
            }
        }
        true
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.current.read().expect("no panic while the lock is held").clone();
        let named = hello.server_name().and_then(|name| current.iter().find(|certificate| certificate.is_for(name)));
        named.or(current.first()).map(|certificate| certificate.key.clone())
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificates(..)")
    }
}

impl Certificate {
    fn is_for(&self, name: &str) -> bool {
        let Ok(name) = DnsName::try_from(name) else { return false };
        rustls::server::ParsedCertificate::try_from(&self.end_entity).is_ok_and(|certificate| {
            rustls::client::verify_server_name(&certificate, &rustls::pki_types::ServerName::DnsName(name)).is_ok()
        })
    }
}

fn load_all(sources: &[CertificateSource]) -> Result<Vec<Certificate>, CertificateError> {
    sources.iter().map(load).collect()
}

fn load(source: &CertificateSource) -> Result<Certificate, CertificateError> {
    let read =
        |path: &PathBuf| std::fs::read(path).map_err(|source| CertificateError::Read { path: path.clone(), source });
    let (chain_pem, key_pem, chain_name, key_name) = match source {
        CertificateSource::Files { chain, key } => {
            (read(chain)?, read(key)?, chain.display().to_string(), key.display().to_string())
        }
        CertificateSource::Pem { chain, key } => {
            (chain.clone(), key.clone(), "the certificate in memory".to_owned(), "the key in memory".to_owned())
        }
    };
    let pem = |what: &str, reason: &dyn fmt::Display| CertificateError::Pem {
        what: what.to_owned(),
        reason: reason.to_string(),
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&chain_pem)
        .collect::<Result<_, _>>()
        .map_err(|error| pem(&chain_name, &error))?;
    let end_entity = chain.first().ok_or_else(|| pem(&chain_name, &"it holds no certificate"))?.clone();
    let key = PrivateKeyDer::from_pem_slice(&key_pem).map_err(|error| pem(&key_name, &error))?;
    let pair = |source| CertificateError::Pair { what: chain_name.clone(), source };
    let key = CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(pair)?;
    Ok(Certificate { key: Arc::new(key), end_entity })
}

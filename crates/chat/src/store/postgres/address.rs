//! Where the database is, how the way to it is secured, and with what password. Nothing of this prints the password.

use std::{fmt, path::PathBuf, str::FromStr, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio_postgres::{
    Config,
    config::{Host, SslMode, TargetSessionAttrs},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::limits::DATABASE_CONNECT;

/// Which Postgres database, and how it is reached.
#[derive(Clone)]
pub struct PostgresOptions {
    pub(super) config: Config,
    /// The authority that signed the server's certificate, in PEM; without it, those that the system trusts.
    root_cert: Option<PathBuf>,
    /// Whether another server may have the database at the same time: not supported yet, and only for tests of what will be.
    pub(super) is_shared: bool,
}

/// Why a text is no address of a database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It cannot be read.
    #[error("it is not postgres://USER@HOST:PORT/DATABASE: {0}")]
    Form(String),
    /// Something is missing.
    #[error("it names no {0}")]
    Missing(&'static str),
    /// Another kind of TLS.
    #[error(
        "sslmode={0} does not say whom one speaks to; sslmode=verify-full (the default) does, and sslmode=disable goes \
         without TLS where the way is safe"
    )]
    SslMode(String),
    /// The certificate that it names.
    #[error("sslrootcert={path} cannot be read as a certificate in PEM: {why}")]
    RootCert {
        /// Which file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
}

impl PostgresOptions {
    /// Reads `postgres://USER[:PASSWORD]@HOST[:PORT]/DATABASE[?sslmode=…&sslrootcert=FILE]`; `password` goes before one in
    /// the address.
    ///
    /// # Errors
    /// What is wrong with it, without the password.
    pub fn parse(address: &str, password: Option<&str>) -> Result<Self, AddressError> {
        let (address, options) = address.split_once('?').unwrap_or((address, ""));
        let (mut ssl_mode, mut root_cert, mut is_shared) = (None, None, false);
        let mut passed_on = Vec::new();
        for option in options.split('&').filter(|option| !option.is_empty()) {
            match option.split_once('=').unwrap_or((option, "")) {
                ("sslmode", mode) => ssl_mode = Some(mode),
                ("sslrootcert", path) => root_cert = Some(PathBuf::from(path)),
                ("shared", value) => is_shared = value == "for-tests",
                _ => passed_on.push(option),
            }
        }
        let address = match &passed_on[..] {
            [] => address.to_owned(),
            options => format!("{address}?{}", options.join("&")),
        };
        let mut config = Config::from_str(&address).map_err(|error| AddressError::Form(error.to_string()))?;
        let is_local = |host: &Host| matches!(host, Host::Unix(_));
        match (config.get_hosts(), config.get_user(), config.get_dbname()) {
            ([], ..) => return Err(AddressError::Missing("host")),
            (_, None, _) => return Err(AddressError::Missing("user")),
            (.., None) => return Err(AddressError::Missing("database")),
            _ => {}
        }
        let is_plain = match ssl_mode {
            None => config.get_hosts().iter().all(is_local),
            Some("verify-full") => false,
            Some("disable") => true,
            Some(other) => return Err(AddressError::SslMode(other.to_owned())),
        };
        config.ssl_mode(if is_plain { SslMode::Disable } else { SslMode::Require });
        if let Some(password) = password {
            config.password(password);
        }
        config.connect_timeout(DATABASE_CONNECT);
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        config.keepalives_idle(DATABASE_CONNECT * 2);
        config.keepalives_interval(DATABASE_CONNECT);
        config.keepalives_retries(2);
        let options = Self { config, root_cert, is_shared };
        options.tls()?;
        Ok(options)
    }

    /// Whether a password stands in the address itself.
    #[must_use]
    pub fn has_password(address: &str) -> bool {
        let authority = address.split_once("://").map_or(address, |(_, rest)| rest);
        let authority = authority.split(['/', '?']).next().unwrap_or_default();
        let in_authority = authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'));
        in_authority || address.split(['?', '&', ' ']).any(|option| option.starts_with("password="))
    }

    /// The address as it may be shown.
    #[must_use]
    pub fn without_password(address: &str) -> String {
        let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let authority = match rest[..end].rsplit_once('@') {
            Some((user, host)) => format!("{}@{host}", user.split(':').next().unwrap_or_default()),
            None => rest[..end].to_owned(),
        };
        let (path, options) = rest[end..].split_once('?').unwrap_or((&rest[end..], ""));
        let options: Vec<_> = options.split('&').filter(|option| !option.starts_with("password=")).collect();
        let options = options.join("&");
        let separator = if options.is_empty() { "" } else { "?" };
        let scheme = if scheme.is_empty() { String::new() } else { format!("{scheme}://") };
        format!("{scheme}{authority}{path}{separator}{options}")
    }

    /// What checks the server's certificate: its name must be the host's, and its authority trusted.
    pub(super) fn tls(&self) -> Result<MakeRustlsConnect, AddressError> {
        let mut roots = RootCertStore::empty();
        match &self.root_cert {
            None => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
            Some(path) => {
                let unreadable = |why: String| AddressError::RootCert { path: path.clone(), why };
                let certs = CertificateDer::pem_file_iter(path).map_err(|error| unreadable(error.to_string()))?;
                for cert in certs {
                    let cert = cert.map_err(|error| unreadable(error.to_string()))?;
                    roots.add(cert).map_err(|error| unreadable(error.to_string()))?;
                }
                if roots.is_empty() {
                    return Err(unreadable("there is none in it".into()));
                }
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has the default versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(MakeRustlsConnect::new(config))
    }
}

/// `postgres://user@host:port/database`: what may stand in a log.
impl fmt::Display for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = match self.config.get_hosts().first() {
            Some(Host::Tcp(name)) => name.clone(),
            Some(Host::Unix(path)) => path.display().to_string(),
            None => String::new(),
        };
        write!(f, "postgres://{}@{host}", self.config.get_user().unwrap_or_default())?;
        if let Some(port) = self.config.get_ports().first() {
            write!(f, ":{port}")?;
        }
        write!(f, "/{}", self.config.get_dbname().unwrap_or_default())
    }
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresOptions({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_nowhere_but_where_it_is_used() {
        let address = "postgres://ana:sec%2Fret@db.example.org:6432/chat?sslmode=disable";
        let options = PostgresOptions::parse(address, None).unwrap();
        assert_eq!(options.config.get_password(), Some(&b"sec/ret"[..]));
        assert_eq!(options.to_string(), "postgres://ana@db.example.org:6432/chat");
        assert!(!format!("{options:?}").contains("ret"));
        let options = PostgresOptions::parse(address, Some("another")).unwrap();
        assert_eq!(options.config.get_password(), Some(&b"another"[..]));
        assert!(PostgresOptions::has_password(address));
        assert!(PostgresOptions::has_password("postgres://ana@host/chat?password=secret"));
        assert!(!PostgresOptions::has_password("postgres://ana@host:5432/chat?sslmode=disable"));
        assert!(!PostgresOptions::has_password("postgres://host:5432/chat"));
        for (address, shown) in [
            (address, "postgres://ana@db.example.org:6432/chat?sslmode=disable"),
            ("postgres://ana@host/chat?password=secret&sslmode=disable", "postgres://ana@host/chat?sslmode=disable"),
            ("postgres://ana:a@b@host/chat?password=secret", "postgres://ana@host/chat"),
            ("postgres://ana:secret@host", "postgres://ana@host"),
            ("sqlite", "sqlite"),
        ] {
            assert_eq!(PostgresOptions::without_password(address), shown);
        }
    }

    #[test]
    fn tls_is_verified_unless_it_is_switched_off_or_the_way_is_a_socket_of_this_machine() {
        let mode = |address: &str| PostgresOptions::parse(address, None).map(|options| options.config.get_ssl_mode());
        assert_eq!(mode("postgres://ana@host/chat"), Ok(SslMode::Require));
        assert_eq!(mode("postgres://ana@host/chat?sslmode=verify-full"), Ok(SslMode::Require));
        assert_eq!(mode("postgres://ana@host/chat?sslmode=disable"), Ok(SslMode::Disable));
        assert_eq!(mode("postgres://ana@%2Frun%2Fpostgresql/chat"), Ok(SslMode::Disable));
        for weaker in ["require", "prefer", "allow", "verify-ca"] {
            let refused = mode(&format!("postgres://ana@host/chat?sslmode={weaker}"));
            assert_eq!(refused, Err(AddressError::SslMode(weaker.into())));
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = |address| PostgresOptions::parse(address, None).unwrap_err();
        assert_eq!(error("postgres://host/chat"), AddressError::Missing("user"));
        assert_eq!(error("postgres://ana@host"), AddressError::Missing("database"));
        assert!(matches!(error("postgres://ana@host:port/chat"), AddressError::Form(_)));
        let certificate = "postgres://ana@host/chat?sslrootcert=/nowhere/ca.pem";
        assert!(matches!(error(certificate), AddressError::RootCert { .. }));
    }
}

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
    /// As it was given, without the password.
    address: String,
    /// The authority that signed the server's certificate, in PEM; without it, those that the system trusts.
    root_cert: Option<PathBuf>,
    /// Whether another server may have the database at the same time: not supported yet, and only for tests of what will be.
    pub(super) is_shared: bool,
}

/// An address, cut at its signs.
struct Parts<'a> {
    user: &'a str,
    password: Option<&'a str>,
    /// Hosts, ports, database.
    rest: &'a str,
    options: &'a str,
}

impl<'a> Parts<'a> {
    fn of(address: &'a str) -> Result<Self, AddressError> {
        let form = AddressError::Form;
        let text = ["postgres://", "postgresql://"].iter().find_map(|scheme| address.strip_prefix(scheme));
        let text = text.ok_or(form("it must begin with postgres://"))?;
        // At the last one: whatever comes before it may be of a password, and is not taken for something else.
        let (who, place) = text.rsplit_once('@').ok_or(AddressError::Missing("user"))?;
        if who.contains(['/', '?', '#', '@']) {
            return Err(form("in user and password / ? # and @ are written as %2F %3F %23 and %40"));
        }
        let (user, password) = who.split_once(':').map_or((who, None), |(user, password)| (user, Some(password)));
        let (rest, options) = place.split_once('?').unwrap_or((place, ""));
        Ok(Self { user, password, rest, options })
    }
}

/// Why a text is no address of a database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It cannot be read.
    #[error("it is not postgres://USER@HOST:PORT/DATABASE: {0}")]
    Form(&'static str),
    /// Something in it that is not understood.
    #[error("it has the parameter {0}, and knows sslmode and sslrootcert; a password goes elsewhere")]
    Unknown(String),
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
        let Parts { user, password: own, rest, options } = Parts::of(address)?;
        let (mut ssl_mode, mut root_cert, mut is_shared) = (None, None, false);
        for option in options.split('&').filter(|option| !option.is_empty()) {
            match option.split_once('=').unwrap_or((option, "")) {
                ("sslmode", mode) => ssl_mode = Some(mode),
                ("sslrootcert", path) => root_cert = Some(PathBuf::from(path)),
                ("shared", value) => is_shared = value == "for-tests",
                (name, _) => return Err(AddressError::Unknown(name.chars().take(20).collect())),
            }
        }
        let own = own.map(|own| format!(":{own}")).unwrap_or_default();
        // What the driver says of an address that it cannot read may have the address in it.
        let unread = |_| AddressError::Form("host, port or database cannot be read");
        let mut config = Config::from_str(&format!("postgres://{user}{own}@{rest}")).map_err(unread)?;
        let is_local = |host: &Host| matches!(host, Host::Unix(_));
        match (config.get_hosts(), config.get_user(), config.get_dbname()) {
            ([], ..) => return Err(AddressError::Missing("host")),
            (_, None | Some(""), _) => return Err(AddressError::Missing("user")),
            (.., None | Some("")) => return Err(AddressError::Missing("database")),
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
        let options = Self { config, address: Self::without_password(address), root_cert, is_shared };
        options.tls()?;
        Ok(options)
    }

    /// The whole address as it was given, without the password: for other programs that speak to Postgres.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Whether there is a password to sign in with.
    #[must_use]
    pub fn is_given_a_password(&self) -> bool {
        self.config.get_password().is_some()
    }

    /// Whether a password stands in the address itself, or may: in one that is not understood.
    #[must_use]
    pub fn has_password(address: &str) -> bool {
        match Parts::of(address) {
            Ok(parts) => parts.password.is_some(),
            // Of nobody, unless it is among the parameters.
            Err(AddressError::Missing("user")) => address.split_once('?').is_some_and(|(_, options)| {
                let is_known =
                    |option: &str| ["sslmode=", "sslrootcert="].iter().any(|known| option.starts_with(known));
                options.split('&').any(|option| !is_known(option))
            }),
            Err(_) => address.contains(['@', '=']),
        }
    }

    /// The address as it may be shown; one that is not understood is not shown, unless it is a mere word.
    #[must_use]
    pub fn without_password(address: &str) -> String {
        match Parts::of(address) {
            Ok(Parts { user, rest, options: "", .. }) => format!("postgres://{user}@{rest}"),
            Ok(Parts { user, rest, options, .. }) => format!("postgres://{user}@{rest}?{options}"),
            Err(_) if address.bytes().all(|byte| byte.is_ascii_alphanumeric()) => address.to_owned(),
            Err(_) => "…".to_owned(),
        }
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
        assert_eq!(options.address(), "postgres://ana@db.example.org:6432/chat?sslmode=disable");
        assert!(!format!("{options:?}").contains("ret"));
        let options = PostgresOptions::parse(address, Some("another")).unwrap();
        assert_eq!(options.config.get_password(), Some(&b"another"[..]));
        for (address, shown) in [
            (address, "postgres://ana@db.example.org:6432/chat?sslmode=disable"),
            ("postgres://ana:secret@host", "postgres://ana@host"),
            ("postgres://ana:sec/ret@host/chat", "…"),
            ("postgres://ana:sec?ret@host/chat", "…"),
            ("postgres://ana:sec@ret@host/chat", "…"),
            ("postgres:/ana:secret@host/chat", "…"),
            ("host=host user=ana password=secret", "…"),
        ] {
            assert!(PostgresOptions::has_password(address), "{address}");
            assert_eq!(PostgresOptions::without_password(address), shown);
            let error = PostgresOptions::parse(address, None).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(!error.contains("ret"), "{error}");
        }
        for address in ["postgres://ana@host:5432/chat?sslmode=disable", "postgres://ana@host/chat", "sqlite", "sqlit"]
        {
            assert!(!PostgresOptions::has_password(address), "{address}");
            assert_eq!(PostgresOptions::without_password(address), address);
        }
        for option in ["password=secret", "pass%77ord=secret", "options=-cfsync%3Doff"] {
            let refused = PostgresOptions::parse(&format!("postgres://ana@host/chat?{option}"), None);
            assert!(matches!(refused, Err(AddressError::Unknown(_))), "{option}");
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
        let without_user = "postgres://127.0.0.1:5432/chat?sslmode=disable";
        assert_eq!(error(without_user), AddressError::Missing("user"));
        assert!(!PostgresOptions::has_password(without_user), "and nothing else is said of it");
        assert!(PostgresOptions::has_password(&format!("{without_user}&pass%77ord=secret")));
        assert_eq!(error("postgres://ana@host"), AddressError::Missing("database"));
        assert!(matches!(error("postgres://ana@host:port/chat"), AddressError::Form(_)));
        let certificate = "postgres://ana@host/chat?sslrootcert=/nowhere/ca.pem";
        assert!(matches!(error(certificate), AddressError::RootCert { .. }));
    }
}

//! The configuration in effect: flags, then the environment, then `tidings.toml`, then the defaults.
//!
//! `settings` defines the keys, `sources` fills them; here they are parsed into what the server works with, or refused. No
//! secret is in here.

mod api_keys;
mod channels;
mod database;
mod explain;
mod issuers;
mod limits;
mod settings;
mod sources;

use crate::api::keys::Key;
use crate::channels::Table;
use crate::cli::MigrateArgs;
use crate::limits::THREADS_MAX;
use crate::plain::without_password;
use crate::secrets::SECRET_BYTES_MIN;
use crate::tokens::{Issuer, Issuers, Parties, is_loopback};
pub(crate) use database::Storage;
pub(crate) use explain::{example, explain};
pub(crate) use settings::{ApiErrorMode, LogFormat, PasswordSettings, Settings, StorageSettings};
use sources::FileError;
pub(crate) use sources::Sources;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tidings_chat::{Place, PostgresOptions};
use tidings_serve::TrustedProxies;
use tidings_websocket::OriginPolicy;

/// The configuration in effect.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// What needs no parsing is read from here. The rest is in its normal form, for `tidings config`.
    pub(crate) settings: Settings,
    /// Where to listen; port 0 picks a free port.
    pub(crate) listen: SocketAddr,
    /// Where to listen for gRPC alone, if anywhere.
    pub(crate) grpc_listen: Option<SocketAddr>,
    /// Where people reach the server; `None`: whatever host the request names.
    pub(crate) public_url: Option<PublicUrl>,
    /// Origins besides our own whose pages may open sockets; they authenticate by token, never by cookie.
    pub(crate) allowed_origins: Vec<String>,
    pub(crate) trusted_proxies: TrustedProxies,
    pub(crate) storage: Storage,
    /// Certificate chain and private key, PEM files.
    pub(crate) tls: Option<(PathBuf, PathBuf)>,
    pub(crate) ping_interval: Duration,
    pub(crate) pong_timeout: Duration,
    pub(crate) channels_max: usize,
}

/// Why the configuration is refused. The message names the file, line and key, or the flag, and what would be right.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{key} `{value}`: {message}")]
    Value { key: String, value: String, message: String },
}

impl Config {
    /// The configuration for a command that starts the server or prints the configuration.
    pub(crate) fn load(sources: &Sources<Settings>) -> Result<Self, ConfigError> {
        Self::parse(sources.load::<Settings>()?)
    }

    /// Whether a file with this text would be a configuration.
    pub(crate) fn check_text(text: &str) -> Result<(), ConfigError> {
        Self::parse(sources::parse_text::<Settings>(text)?).map(drop)
    }

    /// Where the data are, for the commands that need nothing else.
    pub(crate) fn load_storage(sources: &Sources<StorageSettings>) -> Result<Storage, ConfigError> {
        let StorageSettings { data_dir, database, database_password_file } = sources.load::<Settings>()?;
        Storage::parse(&data_dir, &database, &database_password_file)
    }

    /// The two places of a move.
    pub(crate) fn load_places(args: &MigrateArgs) -> Result<(Place, Place), ConfigError> {
        let PasswordSettings { database_password_file } = args.common.load::<Settings>()?;
        let place = |key, text, password| database::parse_place(key, text, password, &database_password_file);
        Ok((place("--from", &args.from, "TIDINGS_FROM_PASSWORD")?, place("--to", &args.to, "TIDINGS_TO_PASSWORD")?))
    }

    /// The configuration for a command that deals with a server in the same place.
    pub(crate) fn load_beside(sources: &Sources<StorageSettings>) -> Result<Self, ConfigError> {
        Self::parse(sources.load_all::<Settings>()?)
    }

    /// The configuration of a file, for tests.
    #[cfg(test)]
    pub(crate) fn parse_for_tests(file: &str) -> Self {
        Self::parse(toml::from_str(file).unwrap()).unwrap()
    }

    fn parse(mut settings: Settings) -> Result<Self, ConfigError> {
        let public_url = settings.public_url.as_deref().map(|url| PublicUrl::parse("public_url", url)).transpose()?;
        if let (Some(url), Some(_)) = (&public_url, &settings.tls_cert)
            && !url.is_https()
        {
            return Err(wrong("public_url", url.as_str(), "must begin with https:// when tls_cert is given"));
        }
        let listen = parse_listen("listen", &settings.listen)?;
        let origins = settings.allowed_origins.iter().map(|origin| parse_origin(origin));
        let allowed_origins = origins.collect::<Result<Vec<_>, _>>()?;
        let trusted_proxies = parse_networks(&settings.trusted_proxies)?;
        let tls = match (&settings.tls_cert, &settings.tls_key) {
            (Some(cert), Some(key)) => Some((cert.clone(), key.clone())),
            (None, None) => None,
            (Some(cert), None) => {
                return Err(wrong("tls_cert", &cert.display().to_string(), "needs tls_key beside it"));
            }
            (None, Some(key)) => return Err(wrong("tls_key", &key.display().to_string(), "needs tls_cert beside it")),
        };
        let grpc_listen = settings.grpc_listen.as_deref().map(|text| parse_listen("grpc_listen", text)).transpose()?;
        if grpc_listen.is_some_and(|grpc| grpc == listen && grpc.port() > 0) {
            return Err(wrong(
                "grpc_listen",
                &listen.to_string(),
                "is where everything else listens, and gRPC with it; leave it out, or give another port",
            ));
        }
        if settings.client.insecure {
            refuse_beyond_loopback(listen, grpc_listen, public_url.as_ref())?;
        }
        // Read for what is wrong in it; whoever needs it makes a table of its own.
        channels::parse(&settings.channels, &settings.namespaces)?;
        api_keys::check(&settings.api_keys)?;
        settings.limits.check()?;
        settings.server_name = parse_server_name(&settings.server_name)?;
        if let Some(threads) = settings.threads
            && !(1..=THREADS_MAX).contains(&threads)
        {
            return Err(wrong("threads", &threads.to_string(), format!("must be 1 to {THREADS_MAX}")));
        }
        let storage = Storage::parse(&settings.data_dir, &settings.database, &settings.database_password_file)?;
        settings.database.database = PostgresOptions::without_password(&settings.database.database);
        settings.listen = listen.to_string();
        settings.public_url = public_url.as_ref().map(|url| url.as_str().to_owned());
        settings.allowed_origins.clone_from(&allowed_origins);
        Ok(Self {
            listen,
            grpc_listen,
            public_url,
            allowed_origins,
            trusted_proxies,
            storage,
            tls,
            ping_interval: parse_seconds("ping_interval", settings.ping_interval)?,
            pong_timeout: parse_seconds("pong_timeout", settings.pong_timeout)?,
            channels_max: parse_channels(settings.channels_max)?,
            settings,
        })
    }

    /// As TOML that could be a `tidings.toml`.
    pub(crate) fn to_toml(&self) -> String {
        sources::to_toml(&self.settings)
    }

    /// How the application's channels work.
    pub(crate) fn channels(&self) -> Table {
        channels::parse(&self.settings.channels, &self.settings.namespaces).expect("it was parsed before")
    }

    /// The keys of the server API beside the generated one, with those read that are in files.
    ///
    /// # Errors
    /// [`ConfigError`] with the key whose file cannot be read, has no good key in it, or that of another.
    pub(crate) fn api_keys(&self, generated: Option<&Key>) -> Result<Vec<Key>, ConfigError> {
        api_keys::read(&self.settings.api_keys, generated)
    }

    /// What client tokens must say of those between whom they pass.
    pub(crate) fn token_parties(&self) -> Parties {
        Parties { audience: self.settings.token_audience.clone(), issuer: self.settings.token_issuer.clone() }
    }

    /// Who may sign client tokens; `secret` is the server's own.
    ///
    /// # Errors
    /// When a key cannot be read or used.
    pub(crate) fn token_issuers_with(&self, secret: &str) -> Result<Issuers, ConfigError> {
        Ok(Issuers::new(Issuer::own(secret, self.token_parties()), self.token_issuers()?))
    }

    /// Those beside whoever has the server's own secret.
    ///
    /// # Errors
    /// When a key cannot be read or used.
    pub(crate) fn token_issuers(&self) -> Result<Vec<Issuer>, ConfigError> {
        issuers::parse(&self.settings.client.token.issuers, &self.token_parties(), self.secret_bytes_min())
    }

    /// The files with keys of the server API, and with secrets of other issuers.
    pub(crate) fn secret_files(&self) -> impl Iterator<Item = &Path> {
        let keys = self.settings.api_keys.iter().filter_map(|key| key.key_file.as_deref());
        keys.chain(issuers::secret_files(&self.settings.client.token.issuers))
    }

    /// Bytes that a secret has at least: fewer can be guessed, and are for development alone.
    pub(crate) fn secret_bytes_min(&self) -> usize {
        if self.settings.client.insecure { 1 } else { SECRET_BYTES_MIN }
    }

    /// Where a program on this machine finds a server that listens on `address`: never at an unspecified one, which is no
    /// place to go to.
    pub(crate) fn local_url(&self, address: SocketAddr) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let reachable = match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        format!("{scheme}://{}", SocketAddr::new(reachable, address.port()))
    }

    /// Where a command finds the server: where it listens, or, with TLS, at the name that its certificate is for.
    pub(crate) fn server_url(&self) -> String {
        match &self.public_url {
            Some(url) if self.tls.is_some() => url.as_str().to_owned(),
            _ => self.local_url(self.listen),
        }
    }

    /// Whether people reach the server over HTTPS, here or at a proxy in front.
    pub(crate) fn is_https(&self) -> bool {
        self.tls.is_some() || self.public_url.as_ref().is_some_and(PublicUrl::is_https)
    }
}

/// What is wrong with a value, which may be an address with a password in it.
fn wrong(key: &str, value: &str, message: impl Into<String>) -> ConfigError {
    ConfigError::Value { key: key.into(), value: without_password(value), message: message.into() }
}

/// Whoever reaches such a server may do everything.
fn refuse_beyond_loopback(
    listen: SocketAddr,
    grpc_listen: Option<SocketAddr>,
    public_url: Option<&PublicUrl>,
) -> Result<(), ConfigError> {
    const WHY: &str = "must be on this machine alone while client.insecure is true, because whoever reaches the server may do \
                       everything; take client.insecure out of the configuration, or";
    for (key, address) in [("listen", Some(listen)), ("grpc_listen", grpc_listen)] {
        if let Some(address) = address.filter(|address| !address.ip().is_loopback()) {
            return Err(wrong(key, &address.to_string(), format!("{WHY} listen on 127.0.0.1 or [::1]")));
        }
    }
    match public_url {
        Some(url) if !url.is_loopback() => {
            Err(wrong("public_url", url.as_str(), format!("{WHY} leave public_url out, or name localhost")))
        }
        _ => Ok(()),
    }
}

fn parse_networks(networks: &[String]) -> Result<TrustedProxies, ConfigError> {
    TrustedProxies::parse(networks.iter().map(String::as_str))
        .map_err(|error| wrong("trusted_proxies", error.given(), "must be addresses or networks such as 10.0.0.0/8"))
}

fn parse_listen(key: &'static str, text: &str) -> Result<SocketAddr, ConfigError> {
    let wrong = || wrong(key, text, "must be an address and a port, such as 127.0.0.1:8000 or [::1]:8000");
    text.to_socket_addrs().map_err(|_| wrong())?.next().ok_or_else(wrong)
}

fn parse_server_name(name: &str) -> Result<String, ConfigError> {
    let trimmed = name.trim();
    if trimmed.is_empty() || trimmed.chars().count() > 80 || trimmed.chars().any(char::is_control) {
        return Err(wrong("server_name", name, "must have 1 to 80 characters and no control character"));
    }
    Ok(trimmed.to_owned())
}

fn parse_seconds(key: &'static str, given: u32) -> Result<Duration, ConfigError> {
    if !(1..=3600).contains(&given) {
        return Err(wrong(key, &given.to_string(), "must be 1 to 3600 seconds"));
    }
    Ok(Duration::from_secs(given.into()))
}

/// Ten million take tens of gigabytes; below a thousand, a few users use all of them up.
fn parse_channels(given: u32) -> Result<usize, ConfigError> {
    match usize::try_from(given) {
        Ok(channels @ 1_000..=10_000_000) => Ok(channels),
        _ => Err(wrong("channels_max", &given.to_string(), "must be 1000 to 10000000")),
    }
}

/// The origin of pages, or of all that are below a host; in apps it may have a scheme of the app's own.
fn parse_origin(text: &str) -> Result<String, ConfigError> {
    let origin = text.strip_suffix('/').unwrap_or(text).to_ascii_lowercase();
    match OriginPolicy::listed([&origin]) {
        Ok(_) => Ok(origin),
        Err(_) => {
            let message =
                "is no origin such as https://app.example.org; https://*.example.org stands for all hosts below one";
            Err(wrong("allowed_origins", text, message))
        }
    }
}

/// An `http` or `https` URL with nothing after the authority: scheme, host and port, without a trailing slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PublicUrl(String);

impl PublicUrl {
    fn parse(key: &'static str, text: &str) -> Result<Self, ConfigError> {
        let wrong = |message: &str| wrong(key, text, message);
        let uri: http::Uri = text.parse().map_err(|_| wrong("is not a URL; write it as https://chat.example.org"))?;
        let scheme = uri.scheme_str().filter(|scheme| ["http", "https"].contains(scheme));
        let (Some(scheme), Some(authority)) = (scheme, uri.authority()) else {
            return Err(wrong("must begin with https:// or http://, such as https://chat.example.org"));
        };
        if !["", "/"].contains(&uri.path()) || uri.query().is_some() {
            return Err(wrong("must end after the host and port; a server under a path is not supported"));
        }
        if authority.as_str().contains('@') {
            return Err(wrong("must not carry a user name or a password"));
        }
        Ok(Self(format!("{scheme}://{}", authority.as_str().to_ascii_lowercase())))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }

    fn is_loopback(&self) -> bool {
        self.0.parse::<http::Uri>().ok().as_ref().and_then(http::Uri::host).is_some_and(is_loopback)
    }
}

#[cfg(test)]
mod tests {
    use super::settings::ClientSettings;
    use super::*;

    fn refused(settings: Settings) -> String {
        Config::parse(settings).unwrap_err().to_string()
    }

    #[test]
    fn the_defaults_are_a_configuration() {
        let config = Config::parse(Settings::default()).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:8000");
        assert_eq!(config.ping_interval, Duration::from_secs(25));
        assert!(config.settings.rate_limits);
        assert!(!config.is_https());
    }

    #[test]
    fn a_value_that_cannot_be_is_named_with_its_key_and_with_what_would_be_right() {
        let refusal = refused(Settings { listen: "8000".into(), ..Settings::default() });
        assert!(refusal.starts_with("listen `8000`: must be an address and a port"), "{refusal}");
        let refusal = refused(Settings { trusted_proxies: vec!["proxy".into()], ..Settings::default() });
        assert!(refusal.starts_with("trusted_proxies `proxy`: must be addresses"), "{refusal}");
        let refusal = refused(Settings { pong_timeout: 0, ..Settings::default() });
        assert_eq!(refusal, "pong_timeout `0`: must be 1 to 3600 seconds");
        let refusal = refused(Settings { threads: Some(0), ..Settings::default() });
        assert_eq!(refusal, "threads `0`: must be 1 to 1024");
        let refusal = refused(Settings { channels_max: 999, ..Settings::default() });
        assert_eq!(refusal, "channels_max `999`: must be 1000 to 10000000");
        let refusal = refused(Settings { tls_cert: Some("cert.pem".into()), ..Settings::default() });
        assert_eq!(refusal, "tls_cert `cert.pem`: needs tls_key beside it");
        let grpc_listen = Some("127.0.0.1:8000".into());
        let refusal = refused(Settings { grpc_listen, ..Settings::default() });
        assert!(refusal.starts_with("grpc_listen `127.0.0.1:8000`: is where everything else listens"), "{refusal}");
    }

    #[test]
    fn what_is_printed_is_in_its_normal_form_and_could_be_the_file() {
        let given = Settings {
            public_url: Some("https://Chat.Example.org/".into()),
            server_name: " Aviary ".into(),
            ..Settings::default()
        };
        let printed = Config::parse(given).unwrap().to_toml();
        let (own, tables) = printed.split_once("\n[channels]\n").unwrap();
        let (_, client) = tables.split_once("\n[client]\n").unwrap();
        assert!(
            client.starts_with(
                "anonymous = false\ninsecure = false\n\n[client.token]\nallow_without_exp = false\nissuers = []\n"
            ),
            "{client}"
        );
        assert_eq!(
            own,
            "allowed_origins = []\nanonymous_tokens = false\napi_error_mode = \"payload\"\napi_key_in_url = false\nchannels_max = 100000\ndata_dir = \"./tidings-data\"\ndatabase = \"sqlite\"\n\
             listen = \"127.0.0.1:8000\"\nlog = \"info\"\nmetrics_open_to_loopback = false\nping_interval = 25\n\
             pong_timeout = 8\npublic_url = \"https://chat.example.org\"\nrate_limits = true\nserver_name = \"Aviary\"\ntrusted_proxies = []\nwebsocket_compression = false\n"
        );
        assert!(tables.contains("history_size = 100\n") && tables.contains("[limits]\n"), "{tables}");
        assert_eq!(toml::from_str::<Settings>(&printed).unwrap().server_name, "Aviary");
    }

    #[test]
    fn nobody_stays_nobody_when_a_printed_configuration_is_read() {
        let given = toml::from_str::<Settings>("[namespaces.news]\npublish = []\n").unwrap();
        let printed = Config::parse(given.clone()).unwrap().to_toml();
        assert_eq!(toml::from_str::<Settings>(&printed).unwrap().namespaces, given.namespaces);
    }

    #[test]
    fn a_command_finds_the_server_where_the_configuration_says_that_it_listens() {
        let at = |settings: Settings| Config::parse(settings).unwrap().server_url();
        assert_eq!(at(Settings::default()), "http://127.0.0.1:8000");
        assert_eq!(at(Settings { listen: "0.0.0.0:7000".into(), ..Settings::default() }), "http://127.0.0.1:7000");
        assert_eq!(at(Settings { listen: "[::]:7000".into(), ..Settings::default() }), "http://[::1]:7000");
        let (cert, key) = (Some("cert.pem".into()), Some("key.pem".into()));
        let tls = Settings { tls_cert: cert, tls_key: key, listen: "0.0.0.0:443".into(), ..Settings::default() };
        assert_eq!(at(tls.clone()), "https://127.0.0.1:443");
        assert_eq!(at(Settings { public_url: Some("https://a.example".into()), ..tls }), "https://a.example");
    }

    #[test]
    fn an_insecure_server_is_refused_beyond_this_machine_whatever_it_is_called() {
        let at = |listen: &str, public_url: Option<&str>| {
            let client = ClientSettings { insecure: true, ..ClientSettings::default() };
            let (listen, public_url) = (listen.to_owned(), public_url.map(str::to_owned));
            Config::parse(Settings { listen, public_url, client, ..Settings::default() }).map(|_| ())
        };
        for (listen, public_url) in [
            ("127.0.0.1:0", None),
            ("[::1]:0", None),
            ("127.0.0.1:0", Some("http://localhost:8000")),
            ("127.0.0.1:0", Some("https://127.0.0.1")),
        ] {
            assert!(at(listen, public_url).is_ok(), "{listen} {public_url:?}");
        }
        for (listen, public_url, key) in [
            ("0.0.0.0:0", None, "listen"),
            ("[::]:0", None, "listen"),
            ("192.0.2.1:80", None, "listen"),
            ("127.0.0.1:0", Some("https://chat.example.org"), "public_url"),
            ("127.0.0.1:0", Some("https://localhost.example.org"), "public_url"),
        ] {
            let refused = at(listen, public_url).unwrap_err().to_string();
            assert!(refused.starts_with(key) && refused.contains("while client.insecure is true"), "{refused}");
        }
    }

    #[test]
    fn a_public_url_is_an_origin_and_nothing_more() {
        assert_eq!(
            PublicUrl::parse("public_url", "https://Chat.Example.org/").unwrap().as_str(),
            "https://chat.example.org"
        );
        for wrong in ["chat.example.org", "ftp://a", "https://a/path", "https://me@a", "https://a?x=1"] {
            assert!(PublicUrl::parse("public_url", wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn s66_a_refusal_does_not_say_a_password() {
        const URL: &str = "https://ana:secret@a.example/";
        let url = || URL.to_owned();
        for settings in [
            Settings { public_url: Some(url()), ..Settings::default() },
            Settings { allowed_origins: vec![url()], ..Settings::default() },
            Settings { listen: url(), ..Settings::default() },
            Settings { trusted_proxies: vec![url()], ..Settings::default() },
            Settings { tls_cert: Some(URL.into()), ..Settings::default() },
        ] {
            let refusal = refused(settings);
            assert!(refusal.contains("`https://…@a.example/`") && !refusal.contains("secret"), "{refusal}");
        }
    }
}

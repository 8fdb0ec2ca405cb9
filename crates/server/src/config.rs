//! The configuration in effect: flags, then the environment, then `tidings.toml`, then the defaults.
//!
//! One typed struct with a sensible default for everything. Flags and environment are read by `cli`;
//! this module reads the file, lays the sources over each other, and checks the result. No secret is in here.

use crate::cli::{CommonArgs, LogFormat, ServeArgs};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tidings_serve::TrustedProxies;

/// The configuration in effect.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// Where to listen; port 0 picks a free port.
    pub(crate) listen: SocketAddr,
    /// Where people reach the server; `None`: whatever host the request names.
    pub(crate) public_url: Option<PublicUrl>,
    /// Origins besides our own whose pages may open sockets; they authenticate by token, never by cookie.
    pub(crate) allowed_origins: Vec<PublicUrl>,
    /// Addresses or networks of proxies whose `Forwarded` and `X-Forwarded-*` fields are believed.
    pub(crate) trusted_proxies: Vec<String>,
    /// Folder of the database and the generated secrets.
    pub(crate) data_dir: PathBuf,
    /// Certificate chain and private key, PEM files.
    pub(crate) tls: Option<(PathBuf, PathBuf)>,
    /// The server's name, shown to people.
    pub(crate) server_name: String,
    /// A `tracing` filter.
    pub(crate) log: String,
    /// `None`: human on a terminal, JSON otherwise.
    pub(crate) log_format: Option<LogFormat>,
    /// Between the pings that a client must answer.
    pub(crate) ping_interval: Duration,
    /// How long a client has to answer a ping.
    pub(crate) pong_timeout: Duration,
    /// Whether persons' posts, joins, sign-ins and the like have rate limits (S63); off only for load tests.
    pub(crate) rate_limits: bool,
    /// Templates and assets from this folder instead of the embedded ones.
    pub(crate) web_dir: Option<PathBuf>,
}

/// What `tidings.toml` may hold. Every key is optional; an unknown key is an error, since it is most often a misspelling.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    listen: Option<String>,
    public_url: Option<String>,
    allowed_origins: Option<Vec<String>>,
    trusted_proxies: Option<Vec<String>>,
    data_dir: Option<PathBuf>,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    server_name: Option<String>,
    log: Option<String>,
    log_format: Option<LogFormat>,
    ping_interval: Option<u32>,
    pong_timeout: Option<u32>,
    rate_limits: Option<bool>,
    web_dir: Option<PathBuf>,
}

/// Why the configuration is refused. The message names the file, line and key, or the flag, and what would be right.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("cannot read the configuration file {}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{}, line {line}, key `{key}`: {message}", path.display())]
    Syntax { path: PathBuf, line: usize, key: String, message: String },
    #[error("{name} `{value}`: {message}")]
    Value { name: &'static str, value: String, message: String },
}

const DEFAULT_FILE: &str = "tidings.toml";

impl Config {
    /// The configuration for a command that starts the server or prints the configuration.
    pub(crate) fn load(args: &ServeArgs) -> Result<Self, ConfigError> {
        let file = File::load(&args.common)?;
        let listen = args.listen.clone().or(file.listen).unwrap_or_else(|| "127.0.0.1:8000".into());
        let public_url = args.public_url.clone().or(file.public_url);
        let allowed_origins = args.allowed_origins.clone().or(file.allowed_origins).unwrap_or_default();
        let tls_cert = args.tls_cert.clone().or(file.tls_cert);
        let tls_key = args.tls_key.clone().or(file.tls_key);
        let public_url = public_url.map(|url| PublicUrl::parse("public_url", &url)).transpose()?;
        if let (Some(url), Some(_)) = (&public_url, &tls_cert)
            && !url.is_https()
        {
            return Err(value("public_url", url.as_str(), "must begin with https:// when tls_cert is given"));
        }
        Ok(Self {
            listen: parse_listen(&listen)?,
            public_url,
            allowed_origins: allowed_origins
                .iter()
                .map(|origin| PublicUrl::parse("allowed_origins", origin))
                .collect::<Result<_, _>>()?,
            trusted_proxies: networks(args.trusted_proxies.clone().or(file.trusted_proxies).unwrap_or_default())?,
            data_dir: data_dir(&args.common, file.data_dir),
            tls: match (tls_cert, tls_key) {
                (Some(cert), Some(key)) => Some((cert, key)),
                (None, None) => None,
                (Some(cert), None) => {
                    return Err(value("tls_cert", &cert.display().to_string(), "needs tls_key beside it"));
                }
                (None, Some(key)) => {
                    return Err(value("tls_key", &key.display().to_string(), "needs tls_cert beside it"));
                }
            },
            server_name: server_name(args.server_name.clone().or(file.server_name))?,
            log: args.log.clone().or(file.log).unwrap_or_else(|| "info".into()),
            log_format: args.log_format.or(file.log_format),
            ping_interval: seconds("ping_interval", args.ping_interval.or(file.ping_interval), 25)?,
            pong_timeout: seconds("pong_timeout", args.pong_timeout.or(file.pong_timeout), 8)?,
            rate_limits: args.rate_limits.or(file.rate_limits).unwrap_or(true),
            web_dir: args.web_dir.clone().or(file.web_dir),
        })
    }

    /// The data folder for the commands that need nothing else.
    pub(crate) fn load_data_dir(args: &CommonArgs) -> Result<PathBuf, ConfigError> {
        Ok(data_dir(args, File::load(args)?.data_dir))
    }

    /// As TOML that could be a `tidings.toml`.
    pub(crate) fn to_toml(&self) -> String {
        let mut table = toml::Table::new();
        let mut put = |key: &str, value: toml::Value| {
            table.insert(key.into(), value);
        };
        put("listen", self.listen.to_string().into());
        if let Some(url) = &self.public_url {
            put("public_url", url.as_str().into());
        }
        if !self.allowed_origins.is_empty() {
            let origins = self.allowed_origins.iter().map(PublicUrl::as_str);
            put("allowed_origins", origins.collect::<Vec<_>>().into());
        }
        if !self.trusted_proxies.is_empty() {
            put("trusted_proxies", self.trusted_proxies.clone().into());
        }
        put("data_dir", self.data_dir.display().to_string().into());
        if let Some((cert, key)) = &self.tls {
            put("tls_cert", cert.display().to_string().into());
            put("tls_key", key.display().to_string().into());
        }
        put("server_name", self.server_name.clone().into());
        put("log", self.log.clone().into());
        if let Some(format) = self.log_format {
            put("log_format", if format == LogFormat::Json { "json" } else { "human" }.into());
        }
        put("ping_interval", whole_seconds(self.ping_interval).into());
        put("pong_timeout", whole_seconds(self.pong_timeout).into());
        put("rate_limits", self.rate_limits.into());
        if let Some(dir) = &self.web_dir {
            put("web_dir", dir.display().to_string().into());
        }
        table.to_string()
    }

    /// Whether people reach the server over HTTPS, here or at a proxy in front.
    pub(crate) fn is_https(&self) -> bool {
        self.tls.is_some() || self.public_url.as_ref().is_some_and(PublicUrl::is_https)
    }
}

impl File {
    fn load(args: &CommonArgs) -> Result<Self, ConfigError> {
        let path = args.config.clone().unwrap_or_else(|| DEFAULT_FILE.into());
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(&path, &text),
            // Without --config there need not be a file.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && args.config.is_none() => Ok(Self::default()),
            Err(source) => Err(ConfigError::Unreadable { path, source }),
        }
    }

    fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start).min(text.len());
            let line = text[..start].matches('\n').count() + 1;
            let source = text.lines().nth(line - 1).unwrap_or_default();
            let key = source.split('=').next().unwrap_or_default().trim().to_owned();
            ConfigError::Syntax { path: path.into(), line, key, message: error.message().replace('\n', " ") }
        })
    }
}

fn networks(networks: Vec<String>) -> Result<Vec<String>, ConfigError> {
    for network in &networks {
        TrustedProxies::parse([network.as_str()])
            .map_err(|_| value("trusted_proxies", network, "must be addresses or networks such as 10.0.0.0/8"))?;
    }
    Ok(networks)
}

fn data_dir(args: &CommonArgs, file: Option<PathBuf>) -> PathBuf {
    args.data_dir.clone().or(file).unwrap_or_else(|| "./tidings-data".into())
}

fn value(name: &'static str, value: &str, message: impl Into<String>) -> ConfigError {
    ConfigError::Value { name, value: value.into(), message: message.into() }
}

fn parse_listen(text: &str) -> Result<SocketAddr, ConfigError> {
    let wrong = || value("listen", text, "must be an address and a port, such as 127.0.0.1:8000 or [::1]:8000");
    text.to_socket_addrs().map_err(|_| wrong())?.next().ok_or_else(wrong)
}

fn server_name(name: Option<String>) -> Result<String, ConfigError> {
    let name = name.unwrap_or_else(|| "Tidings".into());
    let trimmed = name.trim();
    if trimmed.is_empty() || trimmed.chars().count() > 80 || trimmed.chars().any(char::is_control) {
        return Err(value("server_name", &name, "must have 1 to 80 characters and no control character"));
    }
    Ok(trimmed.to_owned())
}

fn seconds(name: &'static str, given: Option<u32>, default: u32) -> Result<Duration, ConfigError> {
    let given = given.unwrap_or(default);
    if !(1..=3600).contains(&given) {
        return Err(value(name, &given.to_string(), "must be 1 to 3600 seconds"));
    }
    Ok(Duration::from_secs(given.into()))
}

fn whole_seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// An `http` or `https` URL with nothing after the authority: scheme, host and port, without a trailing slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PublicUrl(String);

impl PublicUrl {
    fn parse(name: &'static str, text: &str) -> Result<Self, ConfigError> {
        let wrong = |message: &str| value(name, text, message);
        let uri: http::Uri = text.parse().map_err(|_| wrong("is not a URL; write it as https://chat.example.org"))?;
        let scheme = uri.scheme_str().filter(|scheme| ["http", "https"].contains(scheme));
        let (Some(scheme), Some(authority)) = (scheme, uri.authority()) else {
            return Err(wrong("must begin with https:// or http://, such as https://chat.example.org"));
        };
        if !["", "/"].contains(&uri.path()) || uri.query().is_some() {
            return Err(wrong("must end after the host and port; a server under a path is not supported"));
        }
        if authority.as_str().contains('@') {
            return Err(wrong("must not carry a user name"));
        }
        Ok(Self(format!("{scheme}://{}", authority.as_str().to_ascii_lowercase())))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> String {
        File::parse(Path::new("tidings.toml"), text).unwrap_err().to_string()
    }

    #[test]
    fn a_misspelt_key_is_named_with_its_file_and_line() {
        let error = parse("listen = \"127.0.0.1:1\"\npublic_ulr = \"https://a\"\n");
        assert!(error.starts_with("tidings.toml, line 2, key `public_ulr`: unknown field"), "{error}");
    }

    #[test]
    fn a_value_of_the_wrong_type_is_named_with_its_file_and_line() {
        let error = parse("\n\nping_interval = \"soon\"\n");
        assert!(error.starts_with("tidings.toml, line 3, key `ping_interval`: invalid type"), "{error}");
    }

    #[test]
    fn broken_toml_is_named_with_its_file_and_line() {
        let error = parse("listen = \n");
        assert!(error.starts_with("tidings.toml, line 1, key `listen`:"), "{error}");
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_the_defaults() {
        let dir = std::env::temp_dir().join(format!("tidings-config-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("tidings.toml");
        std::fs::write(&path, "listen = \"127.0.0.1:7000\"\nserver_name = \"Aviary\"\n").unwrap();
        let args = ServeArgs {
            common: CommonArgs { config: Some(path), ..CommonArgs::default() },
            listen: Some("127.0.0.1:9000".into()),
            ..ServeArgs::default()
        };
        let config = Config::load(&args).unwrap();
        assert_eq!(config.listen.port(), 9000);
        assert_eq!(config.server_name, "Aviary");
        assert_eq!(config.ping_interval, Duration::from_secs(25));
        let again = File::parse(Path::new("printed"), &config.to_toml()).unwrap();
        assert_eq!(again.server_name.as_deref(), Some("Aviary"));
        std::fs::remove_dir_all(dir).unwrap();
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
}

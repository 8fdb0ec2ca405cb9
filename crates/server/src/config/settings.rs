//! The keys of the configuration, each written once: from a field here come its flag, its environment variable, its key in
//! `tidings.toml`, its default, its line in `--help` and its row in `docs/configuration.md`.
//!
//! Values as they were given; `config` parses them. A new key is a field here. In a nested table the id of an argument is
//! the dotted path of its key, such as `#[arg(id = "tls.cert", long = "tls-cert")]`.

use super::api_keys::ApiKeySettings;
use super::channels::ChannelSettings;
use super::issuers::IssuerSettings;
use super::limits::LimitSettings;
use super::sources::{defaults, differing_keys};
use clap::{ArgAction, Args, ValueEnum};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Every key. One that is not here is an error in the file, since it is most often a misspelling.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    #[command(flatten)]
    pub(crate) data_dir: DataDirKey,

    #[command(flatten)]
    pub(crate) database: DatabaseKey,

    #[command(flatten)]
    pub(crate) database_password_file: DatabasePasswordFileKey,

    /// Address to listen on; port 0 picks a free one
    #[arg(long, value_name = "ADDR", env = "TIDINGS_LISTEN", default_value = "127.0.0.1:8000")]
    pub(crate) listen: String,

    /// Where people reach the server, such as https://chat.example.org: fixes the allowed origin, the links and the
    /// kind of cookie [default: the host of each request]
    #[arg(long, value_name = "URL", env = "TIDINGS_PUBLIC_URL")]
    pub(crate) public_url: Option<String>,

    /// Origins of other sites whose pages may connect, separated by commas; they prove who they are by a client token,
    /// never by the cookie
    #[arg(long, value_name = "URLS", env = "TIDINGS_ALLOWED_ORIGINS", value_delimiter = ',')]
    pub(crate) allowed_origins: Vec<String>,

    /// Proxies in front, as addresses or networks such as 10.0.0.0/8, separated by commas: whom their Forwarded or
    /// X-Forwarded-* fields name as the client is believed
    #[arg(long, value_name = "NETWORKS", env = "TIDINGS_TRUSTED_PROXIES", value_delimiter = ',')]
    pub(crate) trusted_proxies: Vec<String>,

    /// Certificate chain in PEM; turns TLS on together with --tls-key
    #[arg(long, value_name = "FILE", env = "TIDINGS_TLS_CERT")]
    pub(crate) tls_cert: Option<PathBuf>,

    /// Private key in PEM; needs --tls-cert beside it
    #[arg(long, value_name = "FILE", env = "TIDINGS_TLS_KEY")]
    pub(crate) tls_key: Option<PathBuf>,

    /// The audience that client tokens must name in their claim aud [default: none, and a token that names one is refused]
    #[arg(long, value_name = "NAME", env = "TIDINGS_TOKEN_AUDIENCE")]
    pub(crate) token_audience: Option<String>,

    /// The issuer that client tokens must name in their claim iss [default: any]
    #[arg(long, value_name = "NAME", env = "TIDINGS_TOKEN_ISSUER")]
    pub(crate) token_issuer: Option<String>,

    /// Whether a client token without a user (claim sub) may connect, as nobody in particular
    #[arg(long, value_name = "BOOL", env = "TIDINGS_ANONYMOUS_TOKENS", default_value_t = false, action = ArgAction::Set)]
    pub(crate) anonymous_tokens: bool,

    #[command(flatten)]
    pub(crate) client: ClientSettings,

    /// Whether /metrics answers this machine itself without the API key; a proxy here may make it public then
    #[arg(long, value_name = "BOOL", env = "TIDINGS_METRICS_OPEN_TO_LOOPBACK", default_value_t = false, action = ArgAction::Set)]
    pub(crate) metrics_open_to_loopback: bool,

    /// Whether a key of the server API may also stand in the URL, as ?api_key=KEY; it then ends up in the logs of proxies
    #[arg(long, value_name = "BOOL", env = "TIDINGS_API_KEY_IN_URL", default_value_t = false, action = ArgAction::Set)]
    pub(crate) api_key_in_url: bool,

    /// How the server API tells of errors: payload, with status 200; or transport, with a status of their own
    #[arg(long, value_name = "MODE", env = "TIDINGS_API_ERROR_MODE", default_value = "payload")]
    pub(crate) api_error_mode: ApiErrorMode,

    /// Second address, for the server API over gRPC alone [default: none; gRPC is on the same port as everything else]
    #[arg(long, value_name = "ADDR", env = "TIDINGS_GRPC_LISTEN")]
    pub(crate) grpc_listen: Option<String>,

    /// The server's name, shown to people
    #[arg(long, value_name = "NAME", env = "TIDINGS_SERVER_NAME", default_value = "Tidings")]
    pub(crate) server_name: String,

    /// What to log: a level or a filter such as info,tidings_hub=debug
    #[arg(long, value_name = "FILTER", env = "TIDINGS_LOG", default_value = "info")]
    pub(crate) log: String,

    /// How to log, on standard error [default: human on a terminal, json otherwise]
    #[arg(long, value_name = "FORMAT", env = "TIDINGS_LOG_FORMAT")]
    pub(crate) log_format: Option<LogFormat>,

    /// Threads that carry connections [default: one for each processor that the server may use]
    #[arg(long, value_name = "NUMBER", env = "TIDINGS_THREADS")]
    pub(crate) threads: Option<usize>,

    /// Seconds between the pings that a client must answer
    #[arg(long, value_name = "SECONDS", env = "TIDINGS_PING_INTERVAL", default_value_t = 25)]
    pub(crate) ping_interval: u32,

    /// Seconds a client has to answer a ping, beside the time that a slow line needs for what was written before it
    #[arg(long, value_name = "SECONDS", env = "TIDINGS_PONG_TIMEOUT", default_value_t = 8)]
    pub(crate) pong_timeout: u32,

    /// Whether WebSockets that offer permessage-deflate get what is published, from 256 bytes on, compressed: half of the
    /// bytes or less, for up to 2 MB of memory a thread. Answers are never compressed
    #[arg(long, value_name = "BOOL", env = "TIDINGS_WEBSOCKET_COMPRESSION", default_value_t = false, action = ArgAction::Set)]
    pub(crate) websocket_compression: bool,

    /// Whether posts, joins, sign-ins and the like have rate limits; turn them off only for load tests
    #[arg(long, value_name = "BOOL", env = "TIDINGS_RATE_LIMITS", default_value_t = true, action = ArgAction::Set)]
    pub(crate) rate_limits: bool,

    /// Channels with history in memory that may exist at once, some kilobytes each; where there are more, those go that
    /// nobody is subscribed to
    #[arg(long, value_name = "COUNT", env = "TIDINGS_CHANNELS_MAX", default_value_t = 100_000)]
    pub(crate) channels_max: u32,

    /// Read templates and web assets from this folder at every request, for working on them [default: embedded]
    #[arg(long, value_name = "DIR", env = "TIDINGS_WEB_DIR")]
    pub(crate) web_dir: Option<PathBuf>,

    /// Keys of the server API beside the generated one.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) api_keys: Vec<ApiKeySettings>,

    /// What one connection, one user and one address may take.
    #[arg(skip)]
    pub(crate) limits: LimitSettings,

    /// How channels without a namespace work.
    #[arg(skip)]
    pub(crate) channels: ChannelSettings,

    /// How the channels of each namespace work.
    #[arg(skip)]
    pub(crate) namespaces: BTreeMap<String, ChannelSettings>,
}

/// The keys of what clients must bring.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ClientSettings {
    /// Whether a connection without any token is let in, as nobody in particular
    #[arg(id = "client.anonymous", long = "client-anonymous", value_name = "BOOL", env = "TIDINGS_CLIENT_ANONYMOUS", default_value_t = false, action = ArgAction::Set)]
    pub(crate) anonymous: bool,

    /// For development: whoever comes without a token may do everything, and secrets may be short; listens on loopback alone
    #[arg(id = "client.insecure", long = "client-insecure", value_name = "BOOL", env = "TIDINGS_CLIENT_INSECURE", default_value_t = false, action = ArgAction::Set)]
    pub(crate) insecure: bool,

    #[command(flatten)]
    pub(crate) token: ClientTokenSettings,
}

/// The keys of client tokens.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ClientTokenSettings {
    /// Whether a client token without the claim exp is good, for ever
    #[arg(id = "client.token.allow_without_exp", long = "client-token-allow-without-exp", value_name = "BOOL", env = "TIDINGS_CLIENT_TOKEN_ALLOW_WITHOUT_EXP", default_value_t = false, action = ArgAction::Set)]
    pub(crate) allow_without_exp: bool,

    /// Who may sign client tokens beside whoever has the server's own secret.
    #[arg(skip)]
    pub(crate) issuers: Vec<IssuerSettings>,
}

/// The key that every subcommand has which looks into the data folder.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct DataDirKey {
    /// Folder of the database and the generated secrets
    #[arg(long, value_name = "DIR", env = "TIDINGS_DATA_DIR", default_value = "./tidings-data")]
    pub(crate) data_dir: PathBuf,
}

/// The key that says which database it is.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct DatabaseKey {
    /// sqlite, a file in the data folder, or postgres://USER@HOST:PORT/DATABASE; its password comes from
    /// TIDINGS_DATABASE_PASSWORD, or from the file that database_password_file names
    #[arg(long, value_name = "URL", env = "TIDINGS_DATABASE", default_value = "sqlite", hide_env_values = true)]
    pub(crate) database: String,
}

/// The key that says where the password for the database is.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct DatabasePasswordFileKey {
    /// File with the password for a Postgres database and nothing else
    #[arg(long, value_name = "FILE", env = "TIDINGS_DATABASE_PASSWORD_FILE")]
    pub(crate) database_password_file: Option<PathBuf>,
}

/// The keys of the subcommands that look into the data. The file may hold all others.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub(crate) struct StorageSettings {
    #[command(flatten)]
    pub(crate) data_dir: DataDirKey,

    #[command(flatten)]
    pub(crate) database: DatabaseKey,

    #[command(flatten)]
    pub(crate) database_password_file: DatabasePasswordFileKey,
}

/// The keys of the subcommand that is told by its own flags where the data is.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub(crate) struct PasswordSettings {
    #[command(flatten)]
    pub(crate) database_password_file: DatabasePasswordFileKey,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// One readable line an event
    Human,
    /// One JSON object an event
    Json,
}

/// Where an error of the server API stands over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ApiErrorMode {
    /// In the answer, with status 200
    Payload,
    /// Also in the status
    Transport,
}

impl Default for Settings {
    fn default() -> Self {
        defaults()
    }
}

impl Default for ClientSettings {
    fn default() -> Self {
        defaults()
    }
}

impl Default for ClientTokenSettings {
    fn default() -> Self {
        defaults()
    }
}

impl Settings {
    /// The dotted paths of the keys that are otherwise here.
    pub(crate) fn differing_keys(&self, other: &Self) -> Vec<String> {
        differing_keys(self, other)
    }
}

#[cfg(test)]
mod tests {
    use super::super::sources::Sources;
    use super::*;
    use clap::{Arg, Command};

    const PAGE: &str = include_str!("../../../../docs/configuration.md");

    #[test]
    fn the_page_on_configuration_lists_every_key_as_it_is_defined() {
        let table = table();
        assert!(
            PAGE.contains(&table),
            "the table in docs/configuration.md is not true any more; it should be\n\n{table}"
        );
    }

    fn table() -> String {
        let command = Sources::<Settings>::augment_args(Command::new("tidings"));
        let rows: String = command.get_arguments().map(row).collect();
        format!("| flag | environment | key in `tidings.toml` | default | meaning |\n|---|---|---|---|---|\n{rows}")
    }

    fn row(arg: &Arg) -> String {
        let flag = format!("--{} {}", arg.get_long().unwrap(), arg.get_value_names().unwrap().join(" "));
        let variable = arg.get_env().unwrap().to_str().unwrap();
        // Where the file is cannot stand in the file.
        let key = if arg.get_id() == "config" { "none".into() } else { format!("`{}`", arg.get_id()) };
        let help = arg.get_help().unwrap().to_string();
        let (meaning, said) = help.split_once(" [default: ").unwrap_or((&help, "none]"));
        let default = match arg.get_default_values() {
            [] => said.trim_end_matches(']').to_owned(),
            [value] => format!("`{}`", value.to_str().unwrap()),
            several => panic!("{flag} has {} defaults", several.len()),
        };
        format!("| `{flag}` | `{variable}` | {key} | {default} | {meaning} |\n")
    }
}

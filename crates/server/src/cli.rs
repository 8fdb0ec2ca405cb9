//! The command line: every subcommand and flag, as `--help` shows them.
//!
//! Only words and types; what a command does is in `serve` and `commands`.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// A chat you host yourself and a real-time server for your applications, in one program.
///
/// Without a subcommand, `tidings` starts the server.
#[derive(Debug, Parser)]
#[command(name = "tidings", version, max_term_width = 100, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    #[command(flatten)]
    pub(crate) serve: ServeArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the server (the default).
    Serve(Box<ServeArgs>),
    /// Print a client token (JWT) for an application's user, and nothing else.
    Token(TokenArgs),
    /// Publish one JSON value into a channel of a running server.
    Publish(PublishArgs),
    /// Print what is published into a channel of a running server, one JSON value a line.
    Tail(TailArgs),
    /// Look after the people of the chat.
    User(UserArgs),
    /// Print the configuration in effect, with secrets redacted.
    Config(Box<ServeArgs>),
    /// Measure this machine with a server and many clients on the loopback interface.
    Bench(tidings_bench::cli::BenchArgs),
}

/// Options of every subcommand.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct CommonArgs {
    /// Folder of the database and the generated secrets [default: ./tidings-data]
    #[arg(long, value_name = "DIR", env = "TIDINGS_DATA_DIR")]
    pub(crate) data_dir: Option<PathBuf>,

    /// Configuration file [default: ./tidings.toml, if there is one]
    #[arg(long, value_name = "FILE", env = "TIDINGS_CONFIG")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    /// Address to listen on; port 0 picks a free one [default: 127.0.0.1:8000]
    #[arg(long, value_name = "ADDR", env = "TIDINGS_LISTEN")]
    pub(crate) listen: Option<String>,

    /// Where people reach the server, such as https://chat.example.org: fixes the allowed origin, the links and the
    /// kind of cookie
    #[arg(long, value_name = "URL", env = "TIDINGS_PUBLIC_URL")]
    pub(crate) public_url: Option<String>,

    /// Origins of other sites whose pages may connect with a client token, separated by commas
    #[arg(long, value_name = "URLS", env = "TIDINGS_ALLOWED_ORIGINS", value_delimiter = ',')]
    pub(crate) allowed_origins: Option<Vec<String>>,

    /// Proxies in front, as addresses or networks separated by commas: whom they name as the client is believed
    #[arg(long, value_name = "NETWORKS", env = "TIDINGS_TRUSTED_PROXIES", value_delimiter = ',')]
    pub(crate) trusted_proxies: Option<Vec<String>>,

    /// Certificate chain in PEM; turns TLS on together with --tls-key
    #[arg(long, value_name = "FILE", env = "TIDINGS_TLS_CERT")]
    pub(crate) tls_cert: Option<PathBuf>,

    /// Private key in PEM
    #[arg(long, value_name = "FILE", env = "TIDINGS_TLS_KEY")]
    pub(crate) tls_key: Option<PathBuf>,

    /// The server's name, shown to people [default: Tidings]
    #[arg(long, value_name = "NAME", env = "TIDINGS_SERVER_NAME")]
    pub(crate) server_name: Option<String>,

    /// What to log: a level or a filter such as info,tidings_hub=debug [default: info]
    #[arg(long, value_name = "FILTER", env = "TIDINGS_LOG")]
    pub(crate) log: Option<String>,

    /// How to log [default: human on a terminal, json otherwise]
    #[arg(long, value_name = "FORMAT", env = "TIDINGS_LOG_FORMAT")]
    pub(crate) log_format: Option<LogFormat>,

    /// Seconds between the pings that a client must answer [default: 25]
    #[arg(long, value_name = "SECONDS", env = "TIDINGS_PING_INTERVAL")]
    pub(crate) ping_interval: Option<u32>,

    /// Seconds a client has to answer a ping [default: 8]
    #[arg(long, value_name = "SECONDS", env = "TIDINGS_PONG_TIMEOUT")]
    pub(crate) pong_timeout: Option<u32>,

    /// Whether posts, joins, sign-ins and the like have rate limits; turn them off only for load tests [default: true]
    #[arg(long, value_name = "BOOL", env = "TIDINGS_RATE_LIMITS")]
    pub(crate) rate_limits: Option<bool>,

    /// Read templates and web assets from this folder at every request, for working on them
    #[arg(long, value_name = "DIR", env = "TIDINGS_WEB_DIR")]
    pub(crate) web_dir: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// One readable line an event
    Human,
    /// One JSON object an event
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    /// The application's name for the user (the claim `sub`); never a person of the chat
    #[arg(long, value_name = "NAME")]
    pub(crate) user: String,

    /// Make a subscription token for this channel instead of a connection token
    #[arg(long, value_name = "CH")]
    pub(crate) channel: Option<String>,

    /// How long the token is valid
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    pub(crate) ttl: u64,
}

/// Options of the commands that talk to a running server.
#[derive(Debug, Args)]
pub(crate) struct RemoteArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    /// Address of the server
    #[arg(long, value_name = "URL", env = "TIDINGS_SERVER", default_value = "http://127.0.0.1:8000")]
    pub(crate) server: String,
}

#[derive(Debug, Args)]
pub(crate) struct PublishArgs {
    #[command(flatten)]
    pub(crate) remote: RemoteArgs,

    /// The channel
    #[arg(value_name = "CHANNEL")]
    pub(crate) channel: String,

    /// One JSON value, or - to read it from standard input
    #[arg(value_name = "DATA")]
    pub(crate) data: String,
}

#[derive(Debug, Args)]
pub(crate) struct TailArgs {
    #[command(flatten)]
    pub(crate) remote: RemoteArgs,

    /// The channel
    #[arg(value_name = "CHANNEL")]
    pub(crate) channel: String,

    /// First print this many of the latest publications from the channel's history
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) history: u32,

    /// End after this many publications
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct UserArgs {
    #[command(subcommand)]
    pub(crate) command: UserCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// List the people of the chat.
    List {
        #[command(flatten)]
        common: CommonArgs,
    },
    /// Set a new password for the one who forgot it; asks for it on standard input. Signs the person out everywhere.
    Password {
        #[command(flatten)]
        common: CommonArgs,
        /// The person's e-mail address
        #[arg(value_name = "E-MAIL")]
        email: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn capability_3_7_no_flags_is_a_working_command_line() {
        let cli = Cli::try_parse_from(["tidings"]).unwrap();
        assert!(cli.command.is_none());
        let cli = Cli::try_parse_from(["tidings", "--listen", "127.0.0.1:0"]).unwrap();
        assert_eq!(cli.serve.listen.as_deref(), Some("127.0.0.1:0"));
    }
}

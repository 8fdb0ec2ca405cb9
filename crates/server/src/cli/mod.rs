//! The command line: every subcommand and flag, as `--help` shows them.
//!
//! Only words and types; what a command does is in `serve` and `commands`. The flags that are keys of the configuration are
//! in `config::settings`.

mod remote;

use crate::config::{PasswordSettings, Settings, Sources, StorageSettings};
use clap::{Args, Parser, Subcommand};
pub(crate) use remote::{
    AnswerArgs, BlockArgs, BlockedArgs, CallArgs, ChannelsArgs, ConnectionsArgs, DisconnectArgs, HistoryArgs,
    HistoryRemoveArgs, PageArgs, PresenceArgs, PublishArgs, RefreshArgs, RemoteArgs, RevokeArgs, StatusArgs,
    SubscribeArgs, UnblockArgs, UnsubscribeArgs, WhoseArgs,
};
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
    pub(crate) serve: Sources<Settings>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the server (the default).
    Serve(Box<Sources<Settings>>),
    /// Print a client token (JWT) for an application's user, and nothing else.
    Token(Box<TokenArgs>),
    /// Publish one JSON value into a channel of a running server, or into several.
    Publish(PublishArgs),
    /// Print what is published into a channel of a running server, one JSON value a line.
    Tail(TailArgs),
    /// List the channels that somebody is subscribed to.
    Channels(ChannelsArgs),
    /// List the connections of a running server: of a user, in a channel, or all.
    Connections(ConnectionsArgs),
    /// Close connections.
    Disconnect(DisconnectArgs),
    /// Say when connections expire.
    Refresh(RefreshArgs),
    /// Subscribe connections to a channel.
    Subscribe(SubscribeArgs),
    /// End the subscriptions of connections to a channel.
    Unsubscribe(UnsubscribeArgs),
    /// List who is in a channel.
    Presence(PresenceArgs),
    /// Print what was published in a channel.
    History(HistoryArgs),
    /// Forget what was published in a channel.
    HistoryRemove(HistoryRemoveArgs),
    /// Say which users are connected, and which are blocked.
    Status(StatusArgs),
    /// Refuse a user, whatever their token, and close their connections.
    Block(BlockArgs),
    /// Refuse a user no more.
    Unblock(UnblockArgs),
    /// List who is blocked and which tokens are revoked.
    Blocked(BlockedArgs),
    /// Refuse a token, or the tokens of a user, and end what came with them.
    Revoke(RevokeArgs),
    /// Say how a running server is.
    Info(AnswerArgs),
    /// Have a running server read its configuration and keys again.
    Reload(AnswerArgs),
    /// Call any method of the server API, and print its answer as JSON.
    Call(CallArgs),
    /// Look after the people of the chat.
    User(UserArgs),
    /// Write everything that the chat knows into one new file; the server may be running.
    Backup(BackupArgs),
    /// Put a backup in the place of the database; the server must be stopped.
    Restore(RestoreArgs),
    /// Move everything that the chat knows from a data folder to a Postgres database, or back; the server must be stopped.
    ///
    /// Clients resume over the move. It may be interrupted anywhere: the same command goes on. What came is compared with what
    /// there was; then the source is marked as moved, and not opened any more.
    Migrate(MigrateArgs),
    /// Look at the configuration: print it (the default), check it, explain its keys.
    Config(Box<ConfigArgs>),
    /// Measure this machine with a server and many clients on the loopback interface.
    Bench(Box<tidings_bench::cli::BenchArgs>),
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    pub(crate) command: Option<ConfigCommand>,

    #[command(flatten)]
    pub(crate) sources: Sources<Settings>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print the configuration in effect as TOML, without secrets (the default).
    Print(Box<Sources<Settings>>),
    /// Say what a server would refuse to start for, in it, in the files that it names and in the data folder. Neither listens
    /// nor connects to a database in Postgres.
    Check(Box<Sources<Settings>>),
    /// Print a tidings.toml with every key, its meaning and its default.
    Example,
    /// Print the configuration of a Centrifugo server as a tidings.toml, and name what does not come along.
    Import {
        /// Its configuration, in JSON or TOML
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Say what a key means, and what it is now, such as namespaces.news.history_size.
    Explain {
        /// The key, with dots between tables
        #[arg(value_name = "KEY")]
        key: String,
        #[command(flatten)]
        sources: Box<Sources<Settings>>,
    },
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    pub(crate) command: Option<TokenCommand>,

    #[command(flatten)]
    pub(crate) common: Sources<StorageSettings>,

    /// The application's name for the user (the claim `sub`); never a person of the chat
    #[arg(long, value_name = "NAME", required = true)]
    pub(crate) user: Option<String>,

    /// Make a subscription token for this channel instead of a connection token
    #[arg(long, value_name = "CH")]
    pub(crate) channel: Option<String>,

    /// How long the token is valid; 0: for ever, where the server takes that
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    pub(crate) ttl: u64,

    /// When the connection or subscription ends unless it is refreshed, in seconds since 1970; 0: never
    #[arg(long, value_name = "TIME")]
    pub(crate) expire_at: Option<u64>,

    /// What others see of the user
    #[arg(long, value_name = "JSON")]
    pub(crate) info: Option<String>,

    /// What the server alone sees
    #[arg(long, value_name = "JSON")]
    pub(crate) meta: Option<String>,

    /// Channels that the server subscribes the connection to, separated by commas
    #[arg(long, value_name = "CHANNELS", value_delimiter = ',', conflicts_with = "channel")]
    pub(crate) channels: Vec<String>,

    /// The same with options, such as {"news": {"info": {"name": "Ana"}}}
    #[arg(long, value_name = "JSON", conflicts_with = "channel")]
    pub(crate) subs: Option<String>,

    /// What it may do in channels by their names, such as [{"channels": ["news:*"], "match": "wildcard", "allow": ["sub"]}]
    #[arg(long, value_name = "JSON", conflicts_with = "channel")]
    pub(crate) caps: Option<String>,

    /// What a subscription token lets its user do in the channel beside subscribing: pub, prs, hst, separated by commas
    #[arg(long, value_name = "OPERATIONS", value_delimiter = ',', requires = "channel")]
    pub(crate) allow: Vec<String>,

    /// What is otherwise for the subscription than the channel's options say, such as {"presence": {"value": false}}
    #[arg(long = "override", value_name = "JSON", requires = "channel")]
    pub(crate) overrides: Option<String>,

    /// The claim `aud` [default: the configured token_audience]
    #[arg(long, value_name = "NAME")]
    pub(crate) aud: Option<String>,

    /// The claim `iss` [default: the configured token_issuer]
    #[arg(long, value_name = "NAME")]
    pub(crate) iss: Option<String>,

    /// The token's own id, by which it can be revoked
    #[arg(long, value_name = "ID")]
    pub(crate) jti: Option<String>,

    /// Sign with the key in this file instead of the server's own secret: a secret, or a private key in PEM
    #[arg(long, value_name = "FILE", requires = "algorithm")]
    pub(crate) key: Option<PathBuf>,

    /// What the key is for, such as RS256
    #[arg(long, value_name = "ALGORITHM", requires = "key")]
    pub(crate) algorithm: Option<String>,

    /// The key's name, for the token's header
    #[arg(long, value_name = "NAME", requires = "key")]
    pub(crate) kid: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Say what a token says, whether this server would take it, what is wrong with it and what to do. Needs no running server.
    Explain {
        #[command(flatten)]
        common: Sources<StorageSettings>,
        /// The token, or - to read it from standard input (the default)
        #[arg(value_name = "TOKEN", default_value = "-")]
        token: String,
    },
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
pub(crate) struct BackupArgs {
    #[command(flatten)]
    pub(crate) common: Sources<StorageSettings>,

    /// The new file; an existing one is not overwritten
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
#[group(id = "what", required = true, multiple = false, args = ["file", "in_place"])]
pub(crate) struct RestoreArgs {
    #[command(flatten)]
    pub(crate) common: Sources<StorageSettings>,

    /// A file that `tidings backup` wrote, or a plain copy of a tidings.db
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,

    /// Take the place of the database that is there, which is kept under another name
    #[arg(long, requires = "file")]
    pub(crate) replace: bool,

    /// Copy nothing: the data folder itself was put back, by a snapshot of the disk or file by file
    #[arg(long)]
    pub(crate) in_place: bool,

    /// Go on here with data that 'tidings migrate' has moved elsewhere, as it was then
    #[arg(long, requires = "in_place")]
    pub(crate) forget_move: bool,
}

#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    #[command(flatten)]
    pub(crate) common: Sources<PasswordSettings>,

    /// Where the data is: a data folder, or postgres://USER@HOST:PORT/DATABASE. The password for Postgres comes from
    /// TIDINGS_DATABASE_PASSWORD or the file that database_password_file names; where both sides need one, from
    /// TIDINGS_FROM_PASSWORD and TIDINGS_TO_PASSWORD
    #[arg(long, value_name = "PLACE")]
    pub(crate) from: String,

    /// Where it goes to, in the same words; nothing may be there yet but what was moved away from there
    #[arg(long, value_name = "PLACE")]
    pub(crate) to: String,

    /// Move nothing: count what there is, and say how long it would take. The server may be running
    #[arg(long)]
    pub(crate) dry_run: bool,
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
        common: Sources<StorageSettings>,
    },
    /// Set a new password for the one who forgot it; asks for it on standard input. Signs the person out everywhere.
    Password {
        #[command(flatten)]
        common: Sources<StorageSettings>,
        /// The person's e-mail address
        #[arg(value_name = "E-MAIL")]
        email: String,
    },
    /// Take away the right to sign in. Signs the person out everywhere, at once, and ends the invites that they made; what
    /// they wrote stays.
    Deactivate {
        #[command(flatten)]
        common: Sources<StorageSettings>,
        /// The person's e-mail address
        #[arg(value_name = "E-MAIL")]
        email: String,
    },
    /// Say what a person may do on the server: owner, admin, member or guest. There is always an owner who may sign in.
    Role {
        #[command(flatten)]
        common: Sources<StorageSettings>,
        /// The person's e-mail address
        #[arg(value_name = "E-MAIL")]
        email: String,
        /// owner, admin, member or guest
        #[arg(value_name = "ROLE")]
        role: String,
    },
    /// Give back the right to sign in.
    Activate {
        #[command(flatten)]
        common: Sources<StorageSettings>,
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
    fn a_token_needs_a_user_and_an_explanation_does_not() {
        assert!(Cli::try_parse_from(["tidings", "token"]).is_err());
        assert!(Cli::try_parse_from(["tidings", "token", "--user", "42"]).is_ok());
        assert!(Cli::try_parse_from(["tidings", "token", "explain", "a.b.c"]).is_ok());
        assert!(Cli::try_parse_from(["tidings", "token", "explain"]).is_ok());
        let of_both_kinds = ["tidings", "token", "--user", "42", "--channel", "a", "--channels", "b"];
        assert!(Cli::try_parse_from(of_both_kinds).is_err());
    }

    #[test]
    fn capability_3_7_no_flags_is_a_working_command_line() {
        let cli = Cli::try_parse_from(["tidings"]).unwrap();
        assert!(cli.command.is_none());
        let cli = Cli::try_parse_from(["tidings", "--listen", "127.0.0.1:0"]).unwrap();
        assert_eq!(cli.serve.load::<Settings>().unwrap().listen, "127.0.0.1:0");
    }
}

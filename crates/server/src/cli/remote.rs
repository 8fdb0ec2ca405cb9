//! The commands that ask a running server through its server API, one for each of its methods.

use crate::config::{Sources, StorageSettings};
use clap::{ArgGroup, Args};

/// Options of the commands that talk to a running server.
#[derive(Debug, Args)]
pub(crate) struct RemoteArgs {
    #[command(flatten)]
    pub(crate) common: Sources<StorageSettings>,

    /// Address of the server [default: where the configuration says that it listens]
    #[arg(long, value_name = "URL", env = "TIDINGS_SERVER")]
    pub(crate) server: Option<String>,
}

/// Options of the commands that print an answer.
#[derive(Debug, Args)]
pub(crate) struct AnswerArgs {
    #[command(flatten)]
    pub(crate) remote: RemoteArgs,

    /// Print the answer as the server gives it: one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which page of a list.
#[derive(Debug, Args)]
pub(crate) struct PageArgs {
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) limit: i32,

    /// Go on behind a page, with what it said at its end
    #[arg(long, value_name = "CURSOR", default_value = "", hide_default_value = true)]
    pub(crate) after: String,
}

/// Whose connections.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("whose").required(true).multiple(true).args(["user", "client", "session"]))]
pub(crate) struct WhoseArgs {
    /// Those of this user
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub(crate) user: String,

    /// Of these, the one with this id; without a user, of nobody in particular
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub(crate) client: String,

    /// Of these, the one with this session; without a user, of nobody in particular
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub(crate) session: String,
}

#[derive(Debug, Args)]
pub(crate) struct PublishArgs {
    #[command(flatten)]
    pub(crate) answer: AnswerArgs,

    /// The channel; with --pattern, the channels that somebody is subscribed to, with * for any characters
    #[arg(value_name = "CHANNEL")]
    pub(crate) channel: String,

    /// One JSON value, or - to read it from standard input
    #[arg(value_name = "DATA")]
    pub(crate) data: String,

    /// Another channel to publish the same in; may be given several times
    #[arg(long, value_name = "CHANNEL", conflicts_with = "pattern")]
    pub(crate) also: Vec<String>,

    /// CHANNEL is a pattern, such as 'news:*'
    #[arg(long)]
    pub(crate) pattern: bool,

    /// DATA is bytes in base64, which may be no JSON
    #[arg(long)]
    pub(crate) b64: bool,

    /// A tag, for filters; may be given several times
    #[arg(long = "tag", value_name = "NAME=VALUE", value_parser = tag)]
    pub(crate) tags: Vec<(String, String)>,

    /// Subscribers who take differences may get it as its difference to the one before
    #[arg(long)]
    pub(crate) delta: bool,

    /// Deliver without keeping it in the history
    #[arg(long)]
    pub(crate) skip_history: bool,

    /// A repeat with the same key within five minutes publishes nothing
    #[arg(long, value_name = "KEY", default_value = "", hide_default_value = true)]
    pub(crate) idempotency_key: String,
}

fn tag(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[derive(Debug, Args)]
pub(crate) struct ChannelsArgs {
    #[command(flatten)]
    pub(crate) answer: AnswerArgs,

    /// Only names that fit, with * for any characters
    #[arg(value_name = "PATTERN", default_value = "", hide_default_value = true)]
    pub(crate) pattern: String,

    #[command(flatten)]
    pub(crate) page: PageArgs,

    /// Look again every two seconds, until interrupted
    #[arg(long)]
    pub(crate) watch: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ConnectionsArgs {
    #[command(flatten)]
    pub(crate) answer: AnswerArgs,

    /// Only those of this user
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub(crate) user: String,

    /// Only those that are subscribed to this channel
    #[arg(long, value_name = "CHANNEL", default_value = "", hide_default_value = true)]
    pub(crate) channel: String,

    /// Only the one with this id
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub(crate) client: String,

    /// Also those of people of the chat
    #[arg(long)]
    pub(crate) chat: bool,

    #[command(flatten)]
    pub(crate) page: PageArgs,

    /// Look again every two seconds, until interrupted
    #[arg(long)]
    pub(crate) watch: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DisconnectArgs {
    #[command(flatten)]
    pub(crate) answer: AnswerArgs,

    #[command(flatten)]
    pub(crate) whose: WhoseArgs,

    /// Not the one with this id; may be given several times
    #[arg(long, value_name = "ID")]
    pub(crate) except: Vec<String>,

    /// The close code: after 3000 to 3499 and 4000 to 4499 clients come back, after others not
    #[arg(long, value_name = "CODE", default_value_t = 3503)]
    pub(crate) code: u32,

    /// Why, for people
    #[arg(long, value_name = "TEXT", default_value = "force disconnect")]
    pub(crate) reason: String,
}

#[derive(Debug, Args)]
pub(crate) struct SubscribeArgs {
    #[command(flatten)]
    pub(crate) answer: AnswerArgs,

    /// The channel
    #[arg(value_name = "CHANNEL")]
    pub(crate) channel: String,

    #[command(flatten)]
    pub(crate) whose: WhoseArgs,

    /// What others in the channel see of it: one JSON value
    #[arg(long, value_name = "JSON")]
    pub(crate) info: Option<String>,

    /// For the client, with the news of its subscription: one JSON value
    #[arg(long, value_name = "JSON")]
    pub(crate) data: Option<String>,

    /// How long the subscription lasts [default: as long as the connection]
    #[arg(long = "for", value_name = "SECONDS")]
    pub(crate) lasts: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct UnsubscribeArgs {
    #[command(flatten)]
    pub(crate) answer: AnswerArgs,

    /// The channel
    #[arg(value_name = "CHANNEL")]
    pub(crate) channel: String,

    #[command(flatten)]
    pub(crate) whose: WhoseArgs,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("until").required(true).args(["lasts", "never", "expired"]))]
pub(crate) struct RefreshArgs {
    #[command(flatten)]
    pub(crate) answer: AnswerArgs,

    #[command(flatten)]
    pub(crate) whose: WhoseArgs,

    /// They expire after this time
    #[arg(long = "for", value_name = "SECONDS")]
    pub(crate) lasts: Option<u32>,

    /// They expire no more
    #[arg(long)]
    pub(crate) never: bool,

    /// They have expired: they are closed, and come back with another token
    #[arg(long)]
    pub(crate) expired: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PresenceArgs {
    #[command(flatten)]
    pub(crate) answer: AnswerArgs,

    /// The channel
    #[arg(value_name = "CHANNEL")]
    pub(crate) channel: String,

    /// Only how many there are
    #[arg(long)]
    pub(crate) count: bool,
}

#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    #[command(flatten)]
    pub(crate) answer: AnswerArgs,

    /// The channel
    #[arg(value_name = "CHANNEL")]
    pub(crate) channel: String,

    /// At most so many publications; 0: only where the stream stands
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) limit: i32,

    /// Only what came before this number; with --oldest-first, after it
    #[arg(long, value_name = "OFFSET")]
    pub(crate) since: Option<u64>,

    /// Oldest first, from the beginning of what is kept [default: newest first]
    #[arg(long)]
    pub(crate) oldest_first: bool,
}

#[derive(Debug, Args)]
pub(crate) struct HistoryRemoveArgs {
    #[command(flatten)]
    pub(crate) answer: AnswerArgs,

    /// The channel
    #[arg(value_name = "CHANNEL")]
    pub(crate) channel: String,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) answer: AnswerArgs,

    /// The users, as their tokens name them
    #[arg(value_name = "USER", required = true)]
    pub(crate) users: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct BlockArgs {
    #[command(flatten)]
    pub(crate) answer: AnswerArgs,

    /// The user, as their tokens name them
    #[arg(value_name = "USER")]
    pub(crate) user: String,

    /// For how long [default: for ever]
    #[arg(long = "for", value_name = "SECONDS")]
    pub(crate) lasts: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct UnblockArgs {
    #[command(flatten)]
    pub(crate) answer: AnswerArgs,

    /// The user, as their tokens name them
    #[arg(value_name = "USER")]
    pub(crate) user: String,
}

#[derive(Debug, Args)]
pub(crate) struct BlockedArgs {
    #[command(flatten)]
    pub(crate) answer: AnswerArgs,

    #[command(flatten)]
    pub(crate) page: PageArgs,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["token", "user"]))]
pub(crate) struct RevokeArgs {
    #[command(flatten)]
    pub(crate) answer: AnswerArgs,

    /// The token with this id (claim jti)
    #[arg(long, value_name = "ID", conflicts_with_all = ["channel", "issued_before"])]
    pub(crate) token: Option<String>,

    /// All tokens of this user that were issued before now
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,

    /// Of these, only subscription tokens for this channel
    #[arg(long, value_name = "CHANNEL", default_value = "", hide_default_value = true)]
    pub(crate) channel: String,

    /// Of these, only those that were issued before, in seconds since 1970
    #[arg(long, value_name = "TIME", default_value_t = 0, hide_default_value = true)]
    pub(crate) issued_before: i64,

    /// For how long that is remembered: best as long as such tokens last [default: for ever]
    #[arg(long = "for", value_name = "SECONDS")]
    pub(crate) lasts: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct CallArgs {
    #[command(flatten)]
    pub(crate) remote: RemoteArgs,

    /// The method, such as publish or batch
    #[arg(value_name = "METHOD")]
    pub(crate) method: String,

    /// What it is asked: a JSON object, or - to read it from standard input
    #[arg(value_name = "BODY", default_value = "{}")]
    pub(crate) body: String,
}

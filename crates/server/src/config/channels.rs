//! The keys of channels: how those of a namespace work, and who may do what in them. `[channels]` is for channels without a
//! namespace, `[namespaces.NAME]` for `NAME:…`.
//!
//! As `settings` does, a key is written once: its default and its meaning in the documentation come from here. None of them
//! is a flag.

use super::sources::defaults;
use super::{ConfigError, wrong};
use crate::channels::{Format, Namespace, Rule, Rules, Table};
use crate::limits::{
    CHANNEL_REGEX_BYTES_MAX, HISTORY_SIZE, HISTORY_TTL, NAMESPACE_NAME_BYTES_MAX, NAMESPACES_MAX,
    SOCKET_MESSAGE_BYTES_MAX,
};
use clap::{ArgAction, Args, ValueEnum};
use regex::RegexBuilder;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;
use tidings_chat::Chat;
use tidings_hub::limits::{HISTORY_BYTES, JOIN_LEAVE_SUBSCRIBERS, PRESENCE_CLIENTS};
use tidings_hub::{ChannelName, ChannelOptions, Keep, Offered, Rate, RecoveryMode, Source};

/// How the channels of a namespace work.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ChannelSettings {
    /// Publications that a channel keeps in memory; 0: none, and nothing that follows from history
    #[arg(long, value_name = "COUNT", default_value_t = HISTORY_SIZE as u32)]
    pub(crate) history_size: u32,

    /// Seconds that each of them is kept
    #[arg(long, value_name = "SECONDS", default_value_t = HISTORY_TTL.as_secs() as u32)]
    pub(crate) history_ttl: u32,

    /// Bytes that a channel keeps; the newest publication may be larger
    #[arg(long, value_name = "BYTES", default_value_t = HISTORY_BYTES as u32)]
    pub(crate) history_bytes: u32,

    /// Who can recover what it missed, and has its position watched with that; needs history
    #[arg(long, value_name = "WHEN", default_value = "always")]
    pub(crate) recovery: When,

    /// What a returning subscriber gets: stream: all that it missed; cache: the latest publication
    #[arg(long, value_name = "MODE", default_value = "stream")]
    pub(crate) recovery_mode: Mode,

    /// In cache mode: the latest publication also for who comes for the first time, without asking
    #[arg(long, value_name = "BOOL", default_value_t = false, action = ArgAction::Set)]
    pub(crate) auto_cache_recovery: bool,

    /// Whose position is watched, so that a lost publication is noticed; needs history
    #[arg(long, value_name = "WHEN", default_value = "off")]
    pub(crate) positioning: When,

    /// Which publications are sent as differences to those who want that; on_request: those that were published with delta
    #[arg(long, value_name = "WHEN", default_value = "off")]
    pub(crate) delta: When,

    /// Whether subscribers may say by tags which publications they want
    #[arg(long, value_name = "BOOL", default_value_t = false, action = ArgAction::Set)]
    pub(crate) tags_filter: bool,

    /// Whether pushes name the channel by a number to those who understand it, which saves the bytes of a long name
    #[arg(long, value_name = "BOOL", default_value_t = false, action = ArgAction::Set)]
    pub(crate) compaction: bool,

    /// What may be published: json, or any: also bytes that are none, by which subscribers who speak JSON are closed with 3506
    #[arg(long, value_name = "FORMAT", default_value = "json")]
    pub(crate) publication_format: PublicationFormat,

    /// Whether it can be asked who is in a channel
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    pub(crate) presence: bool,

    /// Clients that an answer to that may list; where there are more it is error 106, and presence_stats still counts them
    #[arg(long, value_name = "COUNT", default_value_t = PRESENCE_CLIENTS as u32)]
    pub(crate) presence_clients_max: u32,

    /// Which subscribers are told who comes and goes
    #[arg(long, value_name = "WHEN", default_value = "on_request")]
    pub(crate) join_leave: When,

    /// Subscribers up to which they are told: each who comes is a message to all others
    #[arg(long, value_name = "COUNT", default_value_t = JOIN_LEAVE_SUBSCRIBERS as u32)]
    pub(crate) join_leave_subscribers_max: u32,

    /// Who may subscribe
    #[arg(long, value_name = "WHO", default_values = ["token", "user", "anonymous"])]
    pub(crate) subscribe: Vec<Who>,

    /// Who may publish
    #[arg(long, value_name = "WHO", default_values = ["token", "user", "anonymous"])]
    pub(crate) publish: Vec<Who>,

    /// Who may ask who is in a channel
    #[arg(long, value_name = "WHO", default_values = ["token", "user", "anonymous"])]
    pub(crate) see_presence: Vec<Who>,

    /// Who may read what was published
    #[arg(long, value_name = "WHO", default_values = ["token", "user", "anonymous"])]
    pub(crate) see_history: Vec<Who>,

    /// Whether a name may end with those who may subscribe without a token, as in chat#ana,ben
    #[arg(long, value_name = "BOOL", default_value_t = false, action = ArgAction::Set)]
    pub(crate) user_limited: bool,

    /// Whether each user who connects is subscribed to a channel of their own, #USER or NAMESPACE:#USER
    #[arg(long, value_name = "BOOL", default_value_t = false, action = ArgAction::Set)]
    pub(crate) personal: bool,

    /// With personal, whether a user has one connection at a time: the next one closes those before it with 3504
    #[arg(long, value_name = "BOOL", default_value_t = false, action = ArgAction::Set)]
    pub(crate) single_connection: bool,

    /// What the part of a name behind the namespace must match, such as ^[a-z0-9_-]+$
    #[arg(long, value_name = "REGEX")]
    pub(crate) name_regex: Option<String>,

    /// The names of these channels instead of NAMESPACE:…, such as /users/{user}/events: a variable is one part of the
    /// name, and {user} must be the name of the user who subscribes
    #[arg(long, value_name = "PATTERN")]
    pub(crate) pattern: Option<String>,

    /// Bytes of one publication by a client
    #[arg(long, value_name = "BYTES", default_value_t = SOCKET_MESSAGE_BYTES_MAX as u32)]
    pub(crate) publication_bytes_max: u32,

    /// Channels of the namespace that one connection may be subscribed to [default: as many as a connection may in all]
    #[arg(long, value_name = "COUNT")]
    pub(crate) channels_per_connection_max: Option<u32>,

    /// Publications a second by one connection, in all channels of the namespace together [default: what holds for all
    /// commands]
    #[arg(long, value_name = "RATE")]
    pub(crate) publish_per_second: Option<u32>,

    /// Of these, how many at once [default: ten seconds' worth]
    #[arg(long, value_name = "COUNT")]
    pub(crate) publish_burst: Option<u32>,
}

/// Whether subscribers have something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub(crate) enum When {
    Off,
    OnRequest,
    Always,
}

/// What a returning subscriber gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    Stream,
    Cache,
}

/// What may be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PublicationFormat {
    Any,
    Json,
}

/// Who may do something; nobody, where none is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Who {
    /// Whose token says so: a subscription token for the channel, or a capability.
    Token,
    /// Everybody with a name.
    User,
    /// Those who came without one.
    Anonymous,
    /// Those who are subscribed.
    Subscriber,
}

impl Default for ChannelSettings {
    fn default() -> Self {
        defaults()
    }
}

impl From<When> for Offered {
    fn from(when: When) -> Self {
        match when {
            When::Off => Self::Off,
            When::OnRequest => Self::OnRequest,
            When::Always => Self::Always,
        }
    }
}

/// All namespaces, or what is wrong with one.
pub(super) fn parse(plain: &ChannelSettings, named: &BTreeMap<String, ChannelSettings>) -> Result<Table, ConfigError> {
    if named.len() > NAMESPACES_MAX {
        return Err(wrong("namespaces", &named.len().to_string(), format!("at most {NAMESPACES_MAX}")));
    }
    let mut table = Table::new(Parse { table: "channels".into(), settings: plain }.namespace("")?);
    for (name, settings) in named {
        check_name(name)?;
        let parse = Parse { table: format!("namespaces.{name}"), settings };
        let namespace = parse.namespace(name)?;
        if let Err(error) = table.add(namespace, settings.pattern.as_deref()) {
            return Err(parse.wrong("pattern", settings.pattern.as_deref().unwrap_or_default(), error));
        }
    }
    Ok(table)
}

fn check_name(name: &str) -> Result<(), ConfigError> {
    let refused = |message: &str| Err(wrong(&format!("namespaces.{name}"), name, message));
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if name.is_empty() || name.len() > NAMESPACE_NAME_BYTES_MAX || !name.bytes().all(is_letter) {
        return refused("a namespace has 1 to 64 letters, digits, dots, dashes and underscores");
    }
    if ChannelName::parse(&format!("{name}:x")).is_ok_and(|channel| Chat::owns(&channel)) {
        return refused("is the chat's own namespace and cannot be configured");
    }
    Ok(())
}

/// The table that is being read.
struct Parse<'a> {
    table: String,
    settings: &'a ChannelSettings,
}

impl Parse<'_> {
    fn wrong(&self, key: &str, value: &str, message: impl Into<String>) -> ConfigError {
        wrong(&format!("{}.{key}", self.table), value, message)
    }

    fn namespace(&self, name: &str) -> Result<Namespace, ConfigError> {
        let settings = self.settings;
        self.check_what_needs_history()?;
        if settings.auto_cache_recovery && settings.recovery_mode != Mode::Cache {
            return Err(self.wrong("auto_cache_recovery", "true", "needs recovery_mode = \"cache\" beside it"));
        }
        if settings.single_connection && !settings.personal {
            return Err(self.wrong("single_connection", "true", "needs personal = true beside it"));
        }
        if name.is_empty() && settings.pattern.is_some() {
            return Err(self.wrong(
                "pattern",
                "",
                "channels without a namespace have no pattern; write a namespace for it",
            ));
        }
        if settings.pattern.is_some() {
            let refused = |key, value, message| Err(self.wrong(key, value, message));
            if settings.personal {
                return refused("personal", "true", "a namespace with a pattern has no personal channels");
            }
            if settings.user_limited {
                return refused("user_limited", "true", "a pattern names one user by {user}, and no others");
            }
            if let Some(regex) = &settings.name_regex {
                return refused("name_regex", regex, "the names of a namespace with a pattern are as that says");
            }
        }
        let options = ChannelOptions {
            history: self.history()?,
            recovery: settings.recovery.into(),
            recovery_mode: match settings.recovery_mode {
                Mode::Stream => RecoveryMode::Stream,
                Mode::Cache => RecoveryMode::Cache { unasked: settings.auto_cache_recovery },
            },
            positioning: settings.positioning.into(),
            delta: settings.delta.into(),
            tags_filter: settings.tags_filter,
            compaction: settings.compaction,
            presence: settings.presence,
            presence_clients_max: settings.presence_clients_max as usize,
            join_leave: settings.join_leave.into(),
            join_leave_subscribers_max: settings.join_leave_subscribers_max as usize,
        };
        Ok(Namespace {
            name: name.to_owned(),
            options: options.into(),
            rules: Rules {
                subscribe: rule(&settings.subscribe),
                publish: rule(&settings.publish),
                presence: rule(&settings.see_presence),
                history: rule(&settings.see_history),
            },
            user_limited: settings.user_limited || settings.personal,
            personal: settings.personal,
            single_connection: settings.single_connection,
            format: match settings.publication_format {
                PublicationFormat::Any => Format::Any,
                PublicationFormat::Json => Format::Json,
            },
            name_regex: self.regex()?,
            publication_bytes_max: settings.publication_bytes_max as usize,
            channels_per_connection_max: settings.channels_per_connection_max.map(|max| max as usize),
            publishes: self.publishes()?,
        })
    }

    /// Without history nothing can be recovered or watched. The defaults ask for recovery; whoever turns history off need
    /// not say it twice.
    fn check_what_needs_history(&self) -> Result<(), ConfigError> {
        let ChannelSettings { history_size, history_ttl, positioning, .. } = self.settings;
        if *history_size > 0 && *history_ttl == 0 {
            return Err(self.wrong(
                "history_ttl",
                "0",
                "must be at least 1 second; history_size = 0 turns history off",
            ));
        }
        if *history_size == 0 && *positioning != When::Off {
            return Err(self.wrong("positioning", "on", "needs history: set history_size"));
        }
        Ok(())
    }

    fn history(&self) -> Result<Source, ConfigError> {
        let ChannelSettings { history_size, history_ttl, history_bytes, .. } = *self.settings;
        let Some(size) = NonZeroUsize::new(history_size as usize) else { return Ok(Source::None) };
        if history_bytes < 1_024 {
            return Err(self.wrong("history_bytes", &history_bytes.to_string(), "must be at least 1024"));
        }
        let ttl = Duration::from_secs(history_ttl.into());
        Ok(Source::Memory(Keep { size, ttl, bytes_max: history_bytes as usize }))
    }

    fn regex(&self) -> Result<Option<regex::Regex>, ConfigError> {
        let Some(text) = &self.settings.name_regex else { return Ok(None) };
        let regex = RegexBuilder::new(text).size_limit(CHANNEL_REGEX_BYTES_MAX).build();
        regex.map(Some).map_err(|error| self.wrong("name_regex", text, error.to_string()))
    }

    fn publishes(&self) -> Result<Option<Rate>, ConfigError> {
        match (self.settings.publish_per_second, self.settings.publish_burst) {
            (None, None) => Ok(None),
            (None, Some(burst)) => {
                Err(self.wrong("publish_burst", &burst.to_string(), "needs publish_per_second beside it"))
            }
            (Some(0), _) => {
                Err(self.wrong("publish_per_second", "0", "must be at least 1; publish = [] lets nobody publish"))
            }
            (Some(per_second), burst) => {
                Ok(Some(Rate { per_second, burst: burst.unwrap_or(per_second.saturating_mul(10)).max(1) }))
            }
        }
    }
}

fn rule(who: &[Who]) -> Rule {
    let named = |wanted| who.contains(&wanted);
    Rule {
        token: named(Who::Token),
        user: named(Who::User),
        anonymous: named(Who::Anonymous),
        subscriber: named(Who::Subscriber),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Arg, Command};

    const PAGE: &str = include_str!("../../../../docs/channels.md");

    #[test]
    fn the_page_on_channels_lists_every_key_as_it_is_defined() {
        let command = ChannelSettings::augment_args(Command::new("channels"));
        let rows: String = command.get_arguments().map(row).collect();
        let table = format!("| key | default | meaning |\n|---|---|---|\n{rows}");
        assert!(PAGE.contains(&table), "the table in docs/channels.md is not true any more; it should be\n\n{table}");
    }

    fn row(arg: &Arg) -> String {
        let help = arg.get_help().unwrap().to_string();
        let (meaning, said) = help.split_once(" [default: ").unwrap_or((&help, "none]"));
        let values: Vec<_> = arg.get_default_values().iter().map(|value| value.to_str().unwrap()).collect();
        let default = match values[..] {
            [] => said.trim_end_matches(']').to_owned(),
            [value] if value.parse::<u64>().is_ok() || value == "true" || value == "false" => format!("`{value}`"),
            [value] => format!("`\"{value}\"`"),
            _ => format!("`{values:?}`"),
        };
        format!("| `{}` | {default} | {meaning} |\n", arg.get_id())
    }

    fn refused(file: &str) -> String {
        let settings: super::super::Settings = toml::from_str(file).unwrap();
        parse(&settings.channels, &settings.namespaces).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn what_cannot_be_is_named_with_its_key_and_with_what_would_be_right() {
        for (file, says) in [
            ("[namespaces.room]\n", "namespaces.room `room`: is the chat's own namespace and cannot be configured"),
            ("[namespaces.user]\n", "namespaces.user `user`: is the chat's own"),
            ("[namespaces.\"a b\"]\n", "namespaces.a b `a b`: a namespace has 1 to 64"),
            ("[namespaces.a]\nhistory_ttl = 0\n", "namespaces.a.history_ttl `0`: must be at least 1 second"),
            ("[channels]\nhistory_size = 0\npositioning = \"always\"\n", "channels.positioning `on`: needs history"),
            ("[channels]\nauto_cache_recovery = true\n", "channels.auto_cache_recovery `true`: needs recovery_mode"),
            ("[channels]\nsingle_connection = true\n", "channels.single_connection `true`: needs personal = true"),
            ("[channels]\npattern = \"/a\"\n", "channels.pattern ``: channels without a namespace have no pattern"),
            ("[namespaces.a]\nname_regex = \"(\"\n", "namespaces.a.name_regex `(`: "),
            ("[namespaces.a]\npublish_burst = 3\n", "namespaces.a.publish_burst `3`: needs publish_per_second"),
            ("[namespaces.a]\npattern = \"users\"\n", "namespaces.a.pattern `users`: "),
            (
                "[namespaces.a]\npattern = \"/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}/{j}/{k}/{l}/{m}/{n}/{o}/{p}/{q}\"\n",
                "namespaces.a.pattern `/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}/{j}/{k}/{l}/{m}/{n}/{o}/{p}/{q}`: has more than 16",
            ),
            (
                "[namespaces.a]\npattern = \"/u/{x}\"\n[namespaces.b]\npattern = \"/u/{y}\"\n",
                "namespaces.b.pattern `/u/{y}`: ",
            ),
            ("[namespaces.a]\npattern = \"/u/{x}\"\npersonal = true\n", "namespaces.a.personal `true`: "),
            ("[namespaces.a]\npattern = \"/u/{x}\"\nuser_limited = true\n", "namespaces.a.user_limited `true`: "),
            ("[namespaces.a]\npattern = \"/u/{x}\"\nname_regex = \"x\"\n", "namespaces.a.name_regex `x`: "),
        ] {
            let refusal = refused(file);
            assert!(refusal.starts_with(says), "{refusal}\nshould begin with\n{says}");
        }
    }

    #[test]
    fn a_namespace_with_a_pattern_has_the_channels_of_its_pattern_and_no_others() {
        let file = "[namespaces.orders]\npattern = \"/users/{user}/orders\"\n";
        let settings: super::super::Settings = toml::from_str(file).unwrap();
        let table = parse(&settings.channels, &settings.namespaces).unwrap();
        let found =
            |name| table.find(&ChannelName::parse(name).unwrap()).map(|place| place.namespace.name.clone()).ok();
        assert_eq!(found("/users/ana/orders").as_deref(), Some("orders"));
        assert_eq!(found("lobby").as_deref(), Some(""));
        for unknown in ["orders:1", "other:1", "/users/ana/other", "$orders:1"] {
            assert_eq!(found(unknown), None, "{unknown}");
        }
    }
}

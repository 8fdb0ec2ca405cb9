//! The keys of `[limits]`: what one connection, one user and one address may take. What can be felt from outside and may have
//! to be otherwise somewhere is here; the others are in the crates' `limits.rs`, and all are on the page about limits.

use super::sources::defaults;
use super::{ConfigError, wrong};
use crate::limits::{MESSAGE_BYTES_MAX_MAX, SOCKET_MESSAGE_BYTES_MAX};
use clap::Args;
use serde::{Deserialize, Serialize};
use tidings_hub::{Allowance, Limits, Rate};

/// Declares the keys, each with its default and where it goes.
macro_rules! limits {
    ($($(#[doc = $doc:literal])* $key:ident: $default:expr,)*) => {
        /// What one connection, one user and one address may take.
        #[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub(crate) struct LimitSettings {
            $($(#[doc = $doc])*
            #[arg(long, value_name = "NUMBER", default_value_t = $default)]
            pub(crate) $key: u32,)*
        }

        impl LimitSettings {
            /// The first key that is 0, which would let nobody do anything.
            fn zero(&self) -> Option<&'static str> {
                [$((stringify!($key), self.$key),)*].into_iter().find(|(_, value)| *value == 0).map(|(key, _)| key)
            }
        }
    };
}

limits! {
    /// Bytes of one message of a client, on every transport
    message_bytes_max: small(SOCKET_MESSAGE_BYTES_MAX),
    /// Channels that one connection may be subscribed to; more is error 106
    channels_per_connection_max: small(hub().channels_per_connection_max),
    /// Connections of one user; more is close 3504
    connections_per_user_max: small(hub().connections_per_user_max),
    /// Connections from one address, of every kind; more is refused before anything is read
    connections_per_address_max: small(tidings_serve::Limits::default().connections_per_address_max),
    /// Commands a second by one connection; more is error 111
    commands_per_second: hub().commands_per_second,
    /// Commands at once
    commands_burst: hub().commands_burst,
    /// Of these: subscribe, presence and presence_stats a second
    subscribes_per_second: hub().subscribes_per_second,
    /// And at once
    subscribes_burst: hub().subscribes_burst,
    /// Commands a second by one user, whichever of its connections
    user_commands_per_second: hub().user.commands.per_second,
    /// And at once
    user_commands_burst: hub().user.commands.burst,
    /// Of these: those that concern a whole channel, a second
    user_subscribes_per_second: hub().user.channels.per_second,
    /// And at once
    user_subscribes_burst: hub().user.channels.burst,
    /// Connections a second that a user may open
    user_connects_per_second: hub().user.connects.per_second,
    /// And at once
    user_connects_burst: hub().user.connects.burst,
    /// Bytes a second of history, recovery and presence that a user may read
    user_read_bytes_per_second: hub().user.read_bytes.per_second,
    /// And at once
    user_read_bytes_burst: hub().user.read_bytes.burst,
    /// Commands a second by all token users of one address
    address_commands_per_second: hub().address.commands.per_second,
    /// And at once
    address_commands_burst: hub().address.commands.burst,
    /// Of these: those that concern a whole channel, a second
    address_subscribes_per_second: hub().address.channels.per_second,
    /// And at once
    address_subscribes_burst: hub().address.channels.burst,
    /// Connections a second that they may open
    address_connects_per_second: hub().address.connects.per_second,
    /// And at once
    address_connects_burst: hub().address.connects.burst,
    /// Bytes a second of history, recovery and presence that they may read
    address_read_bytes_per_second: hub().address.read_bytes.per_second,
    /// And at once
    address_read_bytes_burst: hub().address.read_bytes.burst,
    /// Publications that a client gets for its recovery; who missed more is told so
    recovery_publications_max: small(hub().recovery_publications_max),
    /// Publications of one answer about history
    history_publications_max: small(hub().history_publications_max),
    /// Bytes that one reader may be behind in a channel before it is cut off
    outbox_bytes_max: small(hub().outbox_bytes_max),
    /// Bytes that all histories in memory keep together
    history_bytes_max: small(hub().history_bytes_max),
}

fn hub() -> Limits {
    Limits::default()
}

fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl Default for LimitSettings {
    fn default() -> Self {
        defaults()
    }
}

impl LimitSettings {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if let Some(key) = self.zero() {
            return Err(wrong(&format!("limits.{key}"), "0", "must be at least 1"));
        }
        let smallest = [
            ("message_bytes_max", self.message_bytes_max, 1_024, MESSAGE_BYTES_MAX_MAX),
            ("outbox_bytes_max", self.outbox_bytes_max, 64 << 10, 1 << 30),
            ("history_bytes_max", self.history_bytes_max, 64 << 20, u32::MAX),
        ];
        for (key, value, least, most) in smallest {
            if !(least..=most).contains(&value) {
                return Err(wrong(&format!("limits.{key}"), &value.to_string(), format!("must be {least} to {most}")));
            }
        }
        Ok(())
    }

    /// What the hub's limits are with these.
    pub(crate) fn of_hub(&self) -> Limits {
        let rate = |per_second, burst| Rate { per_second, burst };
        Limits {
            channels_per_connection_max: self.channels_per_connection_max as usize,
            connections_per_user_max: self.connections_per_user_max as usize,
            commands_per_second: self.commands_per_second,
            commands_burst: self.commands_burst,
            subscribes_per_second: self.subscribes_per_second,
            subscribes_burst: self.subscribes_burst,
            user: Allowance {
                connects: rate(self.user_connects_per_second, self.user_connects_burst),
                commands: rate(self.user_commands_per_second, self.user_commands_burst),
                channels: rate(self.user_subscribes_per_second, self.user_subscribes_burst),
                read_bytes: rate(self.user_read_bytes_per_second, self.user_read_bytes_burst),
            },
            address: Allowance {
                connects: rate(self.address_connects_per_second, self.address_connects_burst),
                commands: rate(self.address_commands_per_second, self.address_commands_burst),
                channels: rate(self.address_subscribes_per_second, self.address_subscribes_burst),
                read_bytes: rate(self.address_read_bytes_per_second, self.address_read_bytes_burst),
            },
            recovery_publications_max: self.recovery_publications_max as usize,
            history_publications_max: self.history_publications_max as usize,
            outbox_bytes_max: self.outbox_bytes_max as usize,
            history_bytes_max: self.history_bytes_max as usize,
            ..Limits::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Arg, Command};

    const PAGE: &str = include_str!("../../../../docs/configuration.md");

    #[test]
    fn the_page_on_configuration_lists_every_limit_as_it_is_defined() {
        let row = |arg: &Arg| {
            let default = arg.get_default_values()[0].to_str().unwrap().to_owned();
            format!("| `limits.{}` | `{default}` | {} |\n", arg.get_id(), arg.get_help().unwrap())
        };
        let command = LimitSettings::augment_args(Command::new("limits"));
        let table: String = command.get_arguments().map(row).collect();
        let table = format!("| key | default | meaning |\n|---|---|---|\n{table}");
        assert!(
            PAGE.contains(&table),
            "the table in docs/configuration.md is not true any more; it should be\n\n{table}"
        );
    }

    #[test]
    fn the_defaults_are_those_of_the_hub() {
        assert_eq!(LimitSettings::default().of_hub(), Limits::default());
    }

    #[test]
    fn a_limit_that_lets_nobody_do_anything_is_refused() {
        let refused = |settings: LimitSettings| settings.check().unwrap_err().to_string();
        let zero = LimitSettings { commands_burst: 0, ..LimitSettings::default() };
        assert_eq!(refused(zero), "limits.commands_burst `0`: must be at least 1");
        let small = LimitSettings { message_bytes_max: 100, ..LimitSettings::default() };
        assert_eq!(refused(small), "limits.message_bytes_max `100`: must be 1024 to 16777216");
    }
}

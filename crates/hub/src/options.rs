//! How a channel works; the same for everybody in it.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use crate::History;
use crate::limits::{HISTORY_BYTES, JOIN_LEAVE_SUBSCRIBERS, PRESENCE_CLIENTS};

/// How a channel works, with the limits that are its own. Shared: the policy makes one for all channels of a kind.
#[derive(Clone)]
pub struct ChannelOptions {
    /// Who keeps what was published.
    pub history: Source,
    /// Subscribers are positioned and can recover what they missed; needs history.
    pub recovery: bool,
    /// Clients may ask who is there.
    pub presence: bool,
    /// Clients that one presence reply may list; more is error 106, and presence_stats still counts them.
    pub presence_clients_max: usize,
    /// Which subscribers hear who comes and goes.
    pub join_leave: JoinLeave,
    /// Subscribers up to which a channel tells them who comes and goes. A thousand that return together tell each other
    /// half a million times; ten thousand would overrun their own outboxes, and return again.
    pub join_leave_subscribers_max: usize,
}

impl Default for ChannelOptions {
    /// A channel that keeps nothing and tells nobody who is in it.
    fn default() -> Self {
        Self {
            history: Source::None,
            recovery: false,
            presence: false,
            presence_clients_max: PRESENCE_CLIENTS,
            join_leave: JoinLeave::Off,
            join_leave_subscribers_max: JOIN_LEAVE_SUBSCRIBERS,
        }
    }
}

impl ChannelOptions {
    /// Whether the broker keeps a stream of the channel as soon as somebody subscribes to it.
    pub(crate) fn has_stream(&self) -> bool {
        self.recovery && matches!(self.history, Source::Memory(_))
    }
}

/// Who keeps what was published in a channel.
#[derive(Clone, Default)]
pub enum Source {
    /// Nobody.
    #[default]
    None,
    /// The hub's broker, in memory.
    Memory(Keep),
    /// The application, which then announces publications to the hub instead of publishing through it.
    External(Arc<dyn History>),
}

/// How much of a channel's stream a broker keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// At most so many publications. A stream that kept none would promise positions that are not there.
    pub size: NonZeroUsize,
    /// Each at most so long.
    pub ttl: Duration,
    /// At most so many bytes in all; the newest publication may be larger.
    pub bytes_max: usize,
}

impl Source {
    /// In memory, at most `size` publications (none: nobody keeps them) for `ttl` each, within the usual bytes.
    #[must_use]
    pub fn memory(size: usize, ttl: Duration) -> Self {
        NonZeroUsize::new(size).map_or(Self::None, |size| Self::Memory(Keep { size, ttl, bytes_max: HISTORY_BYTES }))
    }
}

/// Which subscribers hear who comes and goes, up to [`ChannelOptions::join_leave_subscribers_max`] of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JoinLeave {
    /// Nobody.
    #[default]
    Off,
    /// Those who ask when they subscribe.
    OnRequest,
    /// Everybody.
    Always,
}

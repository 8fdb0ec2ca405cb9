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
    /// Who can recover what they missed, and is positioned with that; needs history.
    pub recovery: Offered,
    /// What a returning subscriber gets.
    pub recovery_mode: RecoveryMode,
    /// Whose position is watched, so that a lost publication is noticed; needs history.
    pub positioning: Offered,
    /// Which publications those may get as differences who want that: on request are those that were published so.
    pub delta: Offered,
    /// Subscribers may say by tags which publications they want.
    pub tags_filter: bool,
    /// Pushes name the channel by a number to those who understand it, which saves the bytes of a long name.
    pub compaction: bool,
    /// Clients may ask who is there.
    pub presence: bool,
    /// Clients that one presence reply may list; more is error 106, and presence_stats still counts them.
    pub presence_clients_max: usize,
    /// Which subscribers hear who comes and goes, up to [`join_leave_subscribers_max`](Self::join_leave_subscribers_max)
    /// of them.
    pub join_leave: Offered,
    /// Subscribers up to which a channel tells them who comes and goes. A thousand that return together tell each other
    /// half a million times; ten thousand would overrun their own outboxes, and return again.
    pub join_leave_subscribers_max: usize,
}

impl Default for ChannelOptions {
    /// A channel that keeps nothing and tells nobody who is in it.
    fn default() -> Self {
        Self {
            history: Source::None,
            recovery: Offered::Off,
            recovery_mode: RecoveryMode::Stream,
            positioning: Offered::Off,
            delta: Offered::Off,
            tags_filter: false,
            compaction: false,
            presence: false,
            presence_clients_max: PRESENCE_CLIENTS,
            join_leave: Offered::Off,
            join_leave_subscribers_max: JOIN_LEAVE_SUBSCRIBERS,
        }
    }
}

impl ChannelOptions {
    /// Whether subscribers rely on numbers, so that what has none may be dropped for who lags (promise G8).
    pub(crate) fn is_numbered(&self) -> bool {
        self.has_stream() || matches!(self.history, Source::External(_))
    }

    /// Whether the broker keeps a stream of the channel as soon as somebody subscribes to it.
    pub(crate) fn has_stream(&self) -> bool {
        let has_positions = self.recovery != Offered::Off || self.positioning != Offered::Off;
        has_positions && matches!(self.history, Source::Memory(_))
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

/// Whether subscribers have something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Offered {
    /// Nobody has.
    #[default]
    Off,
    /// Those who ask for it.
    OnRequest,
    /// Everybody has.
    Always,
}

impl Offered {
    /// Whether somebody has it who asks for it, or does not.
    #[must_use]
    pub fn is_given(self, asked: bool) -> bool {
        match self {
            Self::Off => false,
            Self::OnRequest => asked,
            Self::Always => true,
        }
    }
}

/// What a returning subscriber gets of what it missed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecoveryMode {
    /// All of it, in order.
    #[default]
    Stream,
    /// The latest publication alone, for channels in which each replaces the one before.
    Cache {
        /// Also who comes for the first time, without asking.
        unasked: bool,
    },
}

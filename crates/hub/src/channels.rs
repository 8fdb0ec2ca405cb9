//! The channels that somebody on this node is subscribed to, each behind a lock of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::channel::Channel;
use crate::sharded::{Sharded, lock};
use crate::sync::Mutex;
use crate::{ChannelName, ChannelOptions, Limits};

pub(crate) struct Channels {
    limits: Arc<Limits>,
    map: Sharded<ChannelName, Arc<Mutex<Channel>>>,
    /// Of these, the ones that have no stream at the broker.
    without_stream: AtomicUsize,
    /// The number of the next one.
    made: AtomicU64,
}

impl Channels {
    pub(crate) fn new(limits: Arc<Limits>) -> Self {
        Self { limits, map: Sharded::new(), without_stream: AtomicUsize::new(0), made: AtomicU64::new(1) }
    }

    /// Runs `f` on a channel, which exists from then on as long as somebody is in it.
    pub(crate) fn with<T>(
        &self,
        name: &ChannelName,
        options: &Arc<ChannelOptions>,
        f: impl FnOnce(&mut Channel) -> T,
    ) -> T {
        loop {
            let channel = self.find_or_make(name, options);
            let mut channel = lock(&channel);
            if !channel.gone {
                let result = f(&mut channel);
                self.drop_if_empty(name, &mut channel);
                return result;
            }
        }
    }

    /// Runs `f` on a channel if it exists.
    pub(crate) fn with_existing<T>(&self, name: &ChannelName, f: impl FnOnce(&mut Channel) -> T) -> Option<T> {
        let channel = self.map.shard(name).get(name).cloned()?;
        let mut channel = lock(&channel);
        if channel.gone {
            // Whoever makes it anew has not been seen by this caller: as if the call had come before.
            return None;
        }
        let result = f(&mut channel);
        self.drop_if_empty(name, &mut channel);
        Some(result)
    }

    pub(crate) fn contains(&self, name: &ChannelName) -> bool {
        self.map.shard(name).contains_key(name)
    }

    /// All channels at some moment, piece by piece, so that no lock is held while they are looked at.
    pub(crate) fn all(&self) -> impl Iterator<Item = (ChannelName, Arc<Mutex<Channel>>)> {
        (0..self.map.pieces()).flat_map(|piece| self.map.copy(piece))
    }

    pub(crate) fn without_stream(&self) -> usize {
        self.without_stream.load(Ordering::Relaxed)
    }

    fn find_or_make(&self, name: &ChannelName, options: &Arc<ChannelOptions>) -> Arc<Mutex<Channel>> {
        let mut shard = self.map.shard(name);
        if let Some(channel) = shard.get(name) {
            return channel.clone();
        }
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let channel = Channel::new(name.clone(), number, options.clone(), self.limits.clone());
        let channel = Arc::new(Mutex::new(channel));
        shard.insert(name.clone(), channel.clone());
        self.without_stream.fetch_add(usize::from(!options.has_stream()), Ordering::Relaxed);
        channel
    }

    /// Locks go from a channel to its shard, never the other way round.
    fn drop_if_empty(&self, name: &ChannelName, channel: &mut Channel) {
        if channel.len() == 0 {
            channel.gone = true;
            if self.map.shard(name).remove(name).is_some() {
                self.without_stream.fetch_sub(usize::from(!channel.had_stream), Ordering::Relaxed);
            }
        }
    }
}

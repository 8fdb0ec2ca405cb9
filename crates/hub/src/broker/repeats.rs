//! Publications that were made with a key, for a while: a repeat is answered as the first was.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use tidings_protocol::StreamPosition;

use crate::ChannelName;
use crate::limits::{IDEMPOTENCY_CHANNELS_MAX, IDEMPOTENCY_KEPT, IDEMPOTENCY_KEYS_MAX};
use crate::sharded::Sharded;

/// What was published under which key in each channel.
pub(super) struct Repeats(Sharded<ChannelName, Keys>);

#[derive(Default)]
struct Keys {
    answers: HashMap<String, StreamPosition>,
    /// The oldest first.
    order: VecDeque<(Instant, String)>,
}

impl Repeats {
    pub(super) fn new() -> Self {
        Self(Sharded::new())
    }

    /// Publishes by `publish`, unless the key was used: under its lock, so that of two at once one is the repeat.
    pub(super) fn once<E>(
        &self,
        channel: &ChannelName,
        key: &str,
        now: Instant,
        publish: impl FnOnce() -> Result<StreamPosition, E>,
    ) -> Result<StreamPosition, E> {
        let mut channels = self.0.shard(channel);
        if let Some(keys) = channels.get_mut(channel) {
            keys.expire(now);
            if let Some(answer) = keys.answers.get(key) {
                return Ok(answer.clone());
            }
        }
        let answer = publish()?;
        if channels.len() >= IDEMPOTENCY_CHANNELS_MAX / self.0.pieces() && !channels.contains_key(channel) {
            // The longest unused; there are some hundreds in a shard.
            let oldest = channels.iter().min_by_key(|(_, keys)| keys.order.back().map(|(used, _)| *used));
            if let Some(oldest) = oldest.map(|(channel, _)| channel.clone()) {
                channels.remove(&oldest);
            }
        }
        channels.entry(channel.clone()).or_default().remember(key, answer.clone(), now);
        Ok(answer)
    }

    pub(super) fn sweep(&self, now: Instant) {
        for mut channels in self.0.all() {
            channels.retain(|_, keys| {
                keys.expire(now);
                !keys.order.is_empty()
            });
        }
    }
}

impl Keys {
    fn remember(&mut self, key: &str, answer: StreamPosition, now: Instant) {
        self.answers.insert(key.to_owned(), answer);
        self.order.push_back((now, key.to_owned()));
        if self.order.len() > IDEMPOTENCY_KEYS_MAX {
            self.forget_oldest();
        }
    }

    fn expire(&mut self, now: Instant) {
        while self.order.front().is_some_and(|(used, _)| now.saturating_duration_since(*used) >= IDEMPOTENCY_KEPT) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, key)) = self.order.pop_front() {
            self.answers.remove(&key);
        }
    }
}

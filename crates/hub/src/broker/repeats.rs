//! Publications that were made with a key, for a while: a repeat is answered as the first was.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tidings_protocol::StreamPosition;

use crate::ChannelName;
use crate::limits::{IDEMPOTENCY_BYTES_MAX, IDEMPOTENCY_CHANNELS_MAX, IDEMPOTENCY_KEPT, IDEMPOTENCY_KEYS_MAX};
use crate::sharded::{Sharded, lock};
use crate::sync::Mutex;

/// What a key takes beside its letters, roughly: the answer with its epoch, and its places in the map and in the order.
const KEY_OVERHEAD_BYTES: usize = 200;

/// What a channel takes beside its name and keys, roughly.
const CHANNEL_OVERHEAD_BYTES: usize = 200;

/// What was published under which key in each channel.
pub(super) struct Repeats {
    channels: Sharded<ChannelName, Keys>,
    /// A time for each shard that none of its keys is older than, `None` where there are none. Changed while the shard is
    /// locked, read also while it is not.
    oldest: Vec<Mutex<Option<Instant>>>,
    /// What all of them take.
    bytes: AtomicUsize,
}

#[derive(Default)]
struct Keys {
    answers: HashMap<Arc<str>, StreamPosition>,
    /// The oldest first.
    order: VecDeque<(Instant, Arc<str>)>,
}

type Channels = HashMap<ChannelName, Keys>;

impl Repeats {
    pub(super) fn new() -> Self {
        let channels = Sharded::new();
        let oldest = (0..channels.pieces()).map(|_| Mutex::default()).collect();
        Self { channels, oldest, bytes: AtomicUsize::new(0) }
    }

    /// Publishes by `publish`, unless the key was used: under its lock, so that of two at once one is the repeat.
    pub(super) fn once<E>(
        &self,
        channel: &ChannelName,
        key: &str,
        now: Instant,
        publish: impl FnOnce() -> Result<StreamPosition, E>,
    ) -> Result<StreamPosition, E> {
        let piece = self.channels.piece_of(channel);
        let mut channels = self.channels.piece(piece);
        if let Some(keys) = channels.get_mut(channel) {
            self.expire(keys, now);
            if let Some(answer) = keys.answers.get(key) {
                return Ok(answer.clone());
            }
        }
        let answer = publish()?;
        if channels.len() >= IDEMPOTENCY_CHANNELS_MAX / self.channels.pieces() && !channels.contains_key(channel) {
            // The longest unused; there are some hundreds in a shard.
            let oldest = channels.iter().min_by_key(|(_, keys)| keys.order.back().map(|(used, _)| *used));
            if let Some(oldest) = oldest.map(|(channel, _)| channel.clone()) {
                self.forget_channel(&mut channels, &oldest);
            }
        }
        self.remember(&mut channels, channel, key, answer.clone(), now);
        let mut oldest = lock(&self.oldest[piece]);
        *oldest = Some(oldest.map_or(now, |oldest| oldest.min(now)));
        drop((oldest, channels));
        self.make_room();
        Ok(answer)
    }

    pub(super) fn sweep(&self, now: Instant) {
        for mut channels in self.channels.all() {
            channels.retain(|channel, keys| {
                self.expire(keys, now);
                let is_used = !keys.order.is_empty();
                if !is_used {
                    self.release(cost_of_channel(channel));
                }
                is_used
            });
        }
    }

    fn remember(
        &self,
        channels: &mut Channels,
        channel: &ChannelName,
        key: &str,
        answer: StreamPosition,
        now: Instant,
    ) {
        let keys = channels.entry(channel.clone()).or_insert_with(|| {
            self.hold(cost_of_channel(channel));
            Keys::default()
        });
        let key: Arc<str> = key.into();
        self.hold(cost_of_key(&key));
        keys.answers.insert(key.clone(), answer);
        keys.order.push_back((now, key));
        if keys.order.len() > IDEMPOTENCY_KEYS_MAX {
            self.forget_oldest(keys);
        }
    }

    /// Forgets the oldest keys of all shards, until the others fit. No lock of a shard is held while another is taken.
    fn make_room(&self) {
        while self.bytes.load(Ordering::Relaxed) > IDEMPOTENCY_BYTES_MAX {
            let times = self.oldest.iter().enumerate().filter_map(|(piece, oldest)| Some(((*lock(oldest))?, piece)));
            let Some((_, piece)) = times.min() else { return };
            self.forget_oldest_in(piece);
        }
    }

    /// Forgets the oldest key in a shard, of which there are some hundreds of channels; or learns that it is younger than
    /// was known, and that another shard may have an older one.
    fn forget_oldest_in(&self, piece: usize) {
        let mut channels = self.channels.piece(piece);
        let mut known = lock(&self.oldest[piece]);
        let times = channels.iter().filter_map(|(channel, keys)| Some((keys.order.front()?.0, channel)));
        let oldest = times.min_by_key(|(used, _)| *used).map(|(used, channel)| (used, channel.clone()));
        let found = oldest.as_ref().map(|(used, _)| *used);
        if found != *known {
            *known = found;
            return;
        }
        let Some((_, channel)) = oldest else { return };
        let Some(keys) = channels.get_mut(&channel) else { return };
        self.forget_oldest(keys);
        if keys.order.is_empty() {
            self.forget_channel(&mut channels, &channel);
        }
    }

    fn forget_channel(&self, channels: &mut Channels, channel: &ChannelName) {
        if let Some(mut keys) = channels.remove(channel) {
            while !keys.order.is_empty() {
                self.forget_oldest(&mut keys);
            }
            self.release(cost_of_channel(channel));
        }
    }

    fn expire(&self, keys: &mut Keys, now: Instant) {
        while keys.order.front().is_some_and(|(used, _)| now.saturating_duration_since(*used) >= IDEMPOTENCY_KEPT) {
            self.forget_oldest(keys);
        }
    }

    fn forget_oldest(&self, keys: &mut Keys) {
        if let Some((_, key)) = keys.order.pop_front() {
            keys.answers.remove(&key);
            self.release(cost_of_key(&key));
        }
    }

    fn hold(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn release(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

fn cost_of_key(key: &str) -> usize {
    KEY_OVERHEAD_BYTES + key.len()
}

fn cost_of_channel(channel: &ChannelName) -> usize {
    CHANNEL_OVERHEAD_BYTES + channel.as_str().len()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use super::*;

    fn publish(repeats: &Repeats, channel: usize, key: &str, offset: u64, now: Instant) -> u64 {
        let channel = ChannelName::parse(&format!("news:{channel}")).unwrap();
        let answer = || Ok::<_, Infallible>(StreamPosition { offset, epoch: "epoch".into() });
        repeats.once(&channel, key, now, answer).unwrap().offset
    }

    #[test]
    fn the_newest_key_of_all_is_the_last_to_be_forgotten_however_few_its_shard_has() {
        let repeats = Repeats::new();
        let began = tokio::time::Instant::now().into_std();
        let piece_of =
            |channel: &usize| repeats.channels.piece_of(&ChannelName::parse(&format!("news:{channel}")).unwrap());
        let (quiet, busy): (Vec<_>, Vec<_>) = (0..5_000).partition(|channel| piece_of(channel) == 0);
        let key = |time: u64| format!("{time:0>120}");
        for time in 0..24 {
            let now = began + Duration::from_secs(time);
            assert!(busy.iter().all(|&channel| publish(&repeats, channel, &key(time), 1, now) == 1));
        }
        let last = began + Duration::from_secs(30);
        for time in 0..10 {
            assert_eq!(publish(&repeats, quiet[0], &key(time), 1, last + Duration::from_secs(time)), 1);
        }
        assert!(
            (0..10).all(|time| publish(&repeats, quiet[0], &key(time), 2, last) == 1),
            "all of the newest are known"
        );
        assert!(repeats.bytes.load(Ordering::Relaxed) <= IDEMPOTENCY_BYTES_MAX);
    }

    #[test]
    fn keys_take_so_many_bytes_in_all_and_the_oldest_are_forgotten_first() {
        let repeats = Repeats::new();
        let began = tokio::time::Instant::now().into_std();
        let (channels, times) = (5_000, 24);
        let key = |time: u64| format!("{time:0>120}");
        for time in 0..times {
            let now = began + Duration::from_secs(time);
            assert!((0..channels).all(|channel| publish(&repeats, channel, &key(time), 1, now) == 1));
        }
        let now = began + Duration::from_secs(times);
        let bytes = repeats.bytes.load(Ordering::Relaxed);
        assert!((IDEMPOTENCY_BYTES_MAX - 1_000..=IDEMPOTENCY_BYTES_MAX).contains(&bytes), "{bytes} bytes");
        let newest = key(times - 1);
        assert!((0..channels).all(|channel| publish(&repeats, channel, &newest, 2, now) == 1), "the newest are known");
        assert_eq!(publish(&repeats, 0, &key(0), 2, now), 2, "the oldest are not");
        repeats.sweep(now + IDEMPOTENCY_KEPT);
        assert_eq!(repeats.bytes.load(Ordering::Relaxed), 0, "and all of it is given back");
    }
}

//! Maps that many tasks change at once.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::PoisonError;

use crate::sync::{Mutex, MutexGuard};

/// More shards than cores, so that two tasks seldom meet.
const SHARDS: usize = 32;

/// A map cut into pieces, each behind a lock that is held for a few lines.
pub(crate) struct Sharded<K, V> {
    shards: Vec<Mutex<HashMap<K, V>>>,
    hasher: RandomState,
}

impl<K: Hash + Eq, V> Sharded<K, V> {
    pub(crate) fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), hasher: RandomState::new() }
    }

    pub(crate) fn shard<Q: Hash + ?Sized>(&self, key: &Q) -> MutexGuard<'_, HashMap<K, V>>
    where
        K: Borrow<Q>,
    {
        self.piece(self.piece_of(key))
    }

    /// Which piece a key is in.
    pub(crate) fn piece_of<Q: Hash + ?Sized>(&self, key: &Q) -> usize
    where
        K: Borrow<Q>,
    {
        usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or(0)
    }

    pub(crate) fn piece(&self, piece: usize) -> MutexGuard<'_, HashMap<K, V>> {
        lock(&self.shards[piece])
    }

    /// How many pieces there are.
    pub(crate) fn pieces(&self) -> usize {
        self.shards.len()
    }

    /// A copy of one piece, so that no lock is held while it is looked at.
    pub(crate) fn copy(&self, piece: usize) -> Vec<(K, V)>
    where
        K: Clone,
        V: Clone,
    {
        self.piece(piece).iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = MutexGuard<'_, HashMap<K, V>>> {
        self.shards.iter().map(lock)
    }
}

/// A panic while a lock is held leaves a value that is still whole: nothing in this crate panics halfway.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

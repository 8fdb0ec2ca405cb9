//! Who is connected: by connection, by user, and by the tag that the policy gave, such as a session.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidings_protocol::{ClientInfo, Encoding, Payload};
use tokio::time::Instant;
use uuid::Uuid;

use crate::Channel;
use crate::item::{Format, Framing};
use crate::outbox::Outbox;
use crate::policy::{Client, Identity};

/// More shards than cores, so that two tasks seldom meet.
const SHARDS: usize = 32;

/// How a transport wants its connection.
#[derive(Clone, Debug)]
pub struct ConnectionOptions {
    /// Who it is, when the handshake proved it.
    pub identity: Option<Identity>,
    /// How messages are written.
    pub encoding: Encoding,
    /// How messages are wrapped.
    pub framing: Framing,
    /// Who finds out that the client is gone.
    pub heartbeat: Heartbeat,
}

impl Default for ConnectionOptions {
    fn default() -> Self {
        Self { identity: None, encoding: Encoding::Json, framing: Framing::NONE, heartbeat: Heartbeat::Protocol }
    }
}

/// Who finds out that a client is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Heartbeat {
    /// Pings of the protocol, which the client must answer.
    #[default]
    Protocol,
    /// The transport by its own means; the protocol sends no pings.
    Transport,
}

/// Which connections the server means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// All of a user.
    User(&'a str),
    /// The one with this id.
    Client(&'a str),
    /// All with this tag.
    Tag(&'a str),
    /// Every one.
    All,
}

/// A connection, for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionOverview {
    /// The connection's id.
    pub client: String,
    /// The user; empty while unknown and when anonymous.
    pub user: String,
    /// The tag that the policy gave.
    pub tag: Option<String>,
    /// How long it has been open.
    pub open_for: Duration,
    /// Its subscriptions.
    pub channels: Vec<Channel>,
    /// Bytes that wait for the transport.
    pub queued_bytes: usize,
}

/// What the hub and the task of a connection share.
pub(crate) struct Handle {
    pub(crate) key: u64,
    pub(crate) id: Uuid,
    pub(crate) format: Format,
    pub(crate) outbox: Outbox,
    identity: Mutex<Option<Arc<Identity>>>,
    channels: Mutex<Vec<Channel>>,
    revocations: AtomicU64,
    opened: Instant,
}

impl Handle {
    pub(crate) fn new(key: u64, id: Uuid, format: Format, identity: Option<Identity>) -> Self {
        Self {
            key,
            id,
            format,
            outbox: Outbox::default(),
            identity: Mutex::new(identity.map(Arc::new)),
            channels: Mutex::default(),
            revocations: AtomicU64::new(0),
            opened: Instant::now(),
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client { id: self.id.to_string(), identity: self.identity() }
    }

    pub(crate) fn identity(&self) -> Option<Arc<Identity>> {
        lock(&self.identity).clone()
    }

    pub(crate) fn info(&self, chan_info: Option<Payload>) -> ClientInfo {
        let identity = self.identity();
        ClientInfo {
            user: identity.as_ref().map_or_else(String::new, |identity| identity.user.clone()),
            client: self.id.to_string(),
            conn_info: identity.as_ref().and_then(|identity| identity.info.clone()),
            chan_info,
        }
    }

    fn is_tagged(&self) -> bool {
        lock(&self.identity).as_ref().is_some_and(|identity| identity.tag.is_some())
    }

    pub(crate) fn joined(&self, channel: &Channel) {
        lock(&self.channels).push(channel.clone());
    }

    pub(crate) fn left(&self, channel: &Channel) {
        lock(&self.channels).retain(|joined| joined != channel);
    }

    pub(crate) fn channels(&self) -> Vec<Channel> {
        lock(&self.channels).clone()
    }

    /// Counts how often a right of this connection was taken away, so that an answer that was being prepared
    /// meanwhile can be checked again.
    pub(crate) fn revocations(&self) -> u64 {
        self.revocations.load(Ordering::SeqCst)
    }

    pub(crate) fn revoke(&self) {
        self.revocations.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn overview(&self) -> ConnectionOverview {
        let identity = self.identity();
        ConnectionOverview {
            client: self.id.to_string(),
            user: identity.as_ref().map_or_else(String::new, |identity| identity.user.clone()),
            tag: identity.and_then(|identity| identity.tag.clone()),
            open_for: self.opened.elapsed(),
            channels: self.channels(),
            queued_bytes: self.outbox.queued_bytes(),
        }
    }
}

/// All open connections.
pub(crate) struct Registry {
    connections: Sharded<Uuid, Arc<Handle>>,
    users: Names,
    tags: Names,
}

impl Registry {
    pub(crate) fn new() -> Self {
        Self { connections: Sharded::new(), users: Sharded::new(), tags: Sharded::new() }
    }

    pub(crate) fn add(&self, handle: &Arc<Handle>) {
        self.connections.shard(&handle.id).insert(handle.id, handle.clone());
        let identity = handle.identity();
        name(&self.users, user_of(&identity), handle);
        name(&self.tags, tag_of(&identity), handle);
    }

    pub(crate) fn remove(&self, handle: &Arc<Handle>) {
        self.connections.shard(&handle.id).remove(&handle.id);
        let identity = handle.identity();
        unname(&self.users, user_of(&identity), handle);
        unname(&self.tags, tag_of(&identity), handle);
    }

    /// Gives a connection another identity. A name that stays finds it at every moment, and a new one before the old is
    /// gone: whoever must be closed is always found.
    pub(crate) fn identify(&self, handle: &Arc<Handle>, identity: Identity) {
        let (old, new) = (handle.identity(), Some(Arc::new(identity)));
        let another_user = user_of(&old) != user_of(&new);
        let another_tag = tag_of(&old) != tag_of(&new);
        if another_user {
            name(&self.users, user_of(&new), handle);
        }
        if another_tag {
            name(&self.tags, tag_of(&new), handle);
        }
        lock(&handle.identity).clone_from(&new);
        if another_user {
            unname(&self.users, user_of(&old), handle);
        }
        if another_tag {
            unname(&self.tags, tag_of(&old), handle);
        }
    }

    pub(crate) fn find(&self, target: Target<'_>) -> Vec<Arc<Handle>> {
        match target {
            Target::User(user) => self.users.shard(user).get(user).cloned().unwrap_or_default(),
            Target::Tag(tag) => self.tags.shard(tag).get(tag).cloned().unwrap_or_default(),
            Target::Client(id) => Uuid::parse_str(id)
                .ok()
                .and_then(|id| self.connections.shard(&id).get(&id).cloned())
                .into_iter()
                .collect(),
            Target::All => {
                self.connections.all().flat_map(|shard| shard.values().cloned().collect::<Vec<_>>()).collect()
            }
        }
    }

    /// How many other connections have the same user and, like this one, a tag or none.
    pub(crate) fn others_alike(&self, handle: &Handle, identity: &Identity) -> usize {
        let alike = |other: &&Arc<Handle>| other.key != handle.key && other.is_tagged() == identity.tag.is_some();
        let users = self.users.shard(&identity.user);
        users.get(&identity.user).map_or(0, |handles| handles.iter().filter(alike).count())
    }

    pub(crate) fn users(&self) -> usize {
        self.users.all().map(|shard| shard.len()).sum()
    }
}

type Names = Sharded<String, Vec<Arc<Handle>>>;

fn user_of(identity: &Option<Arc<Identity>>) -> Option<&str> {
    identity.as_ref().map(|identity| &*identity.user).filter(|user| !user.is_empty())
}

fn tag_of(identity: &Option<Arc<Identity>>) -> Option<&str> {
    identity.as_ref()?.tag.as_deref()
}

fn name(names: &Names, name: Option<&str>, handle: &Arc<Handle>) {
    if let Some(name) = name {
        names.shard(name).entry(name.to_owned()).or_default().push(handle.clone());
    }
}

fn unname(names: &Names, name: Option<&str>, handle: &Handle) {
    let Some(name) = name else { return };
    let mut shard = names.shard(name);
    if let Some(handles) = shard.get_mut(name) {
        handles.retain(|other| other.key != handle.key);
        if handles.is_empty() {
            shard.remove(name);
        }
    }
}

/// A map cut into pieces, each behind a lock that is held for a few lines.
pub(crate) struct Sharded<K, V>(Vec<Mutex<HashMap<K, V>>>);

impl<K: Hash + Eq, V> Sharded<K, V> {
    pub(crate) fn new() -> Self {
        Self((0..SHARDS).map(|_| Mutex::default()).collect())
    }

    pub(crate) fn shard<Q: Hash + ?Sized>(&self, key: &Q) -> MutexGuard<'_, HashMap<K, V>>
    where
        K: std::borrow::Borrow<Q>,
    {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let index = usize::try_from(hasher.finish() % SHARDS as u64).unwrap_or(0);
        lock(&self.0[index])
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = MutexGuard<'_, HashMap<K, V>>> {
        self.0.iter().map(lock)
    }
}

/// A panic while a lock is held leaves a map that is still whole: nothing in this crate panics halfway.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    fn identity(user: &str, tag: &str) -> Identity {
        Identity { user: user.into(), tag: Some(tag.into()), ..Identity::default() }
    }

    fn handle(identity: Identity) -> Arc<Handle> {
        let format = Format { encoding: Encoding::Json, framing: Framing::NONE };
        Arc::new(Handle::new(1, Uuid::new_v4(), format, Some(identity)))
    }

    #[test]
    fn a_connection_is_found_at_every_moment_while_it_gets_the_identity_that_it_had() {
        let registry = Registry::new();
        let handle = handle(identity("ana", "session"));
        registry.add(&handle);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..50_000 {
                    registry.identify(&handle, identity("ana", "session"));
                }
                done.store(true, Ordering::SeqCst);
            });
            let mut missed = 0;
            while !done.load(Ordering::SeqCst) {
                missed += usize::from(registry.find(Target::Tag("session")).len() != 1);
                missed += usize::from(registry.find(Target::User("ana")).len() != 1);
            }
            assert_eq!(missed, 0);
        });
    }

    #[test]
    fn a_connection_with_another_identity_is_found_by_that_one_only() {
        let registry = Registry::new();
        let handle = handle(identity("", "old"));
        registry.add(&handle);
        registry.identify(&handle, identity("ana", "new"));
        let found = |target| registry.find(target).len();
        assert_eq!((found(Target::Tag("old")), found(Target::User("")), registry.users()), (0, 0, 1));
        assert_eq!((found(Target::Tag("new")), found(Target::User("ana"))), (1, 1));
        registry.remove(&handle);
        assert_eq!((found(Target::Tag("new")), found(Target::User("ana")), registry.users()), (0, 0, 0));
    }
}

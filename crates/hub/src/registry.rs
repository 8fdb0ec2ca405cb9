//! Who is connected: by connection, by user, and by the tag that the policy gave, such as a session.

use std::sync::Arc;

use uuid::Uuid;

use crate::handle::Handle;
use crate::sharded::Sharded;
use crate::{Identity, SomeOf, Target};

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
        handle.set_identity(new.clone());
        if another_user {
            unname(&self.users, user_of(&old), handle);
        }
        if another_tag {
            unname(&self.tags, tag_of(&old), handle);
        }
    }

    pub(crate) fn find(&self, target: &Target) -> Vec<Arc<Handle>> {
        match target {
            Target::User(user) => self.users.shard(user.as_str()).get(user.as_str()).cloned().unwrap_or_default(),
            Target::Tag(tag) => self.tags.shard(tag.as_str()).get(tag.as_str()).cloned().unwrap_or_default(),
            Target::Client(id) => self.client(id).into_iter().collect(),
            Target::Some(some) => self.some(some),
            Target::All => self.all().collect(),
        }
    }

    fn client(&self, id: &str) -> Option<Arc<Handle>> {
        let id = Uuid::parse_str(id).ok()?;
        self.connections.shard(&id).get(&id).cloned()
    }

    fn all(&self) -> impl Iterator<Item = Arc<Handle>> {
        self.connections.all().flat_map(|shard| shard.values().cloned().collect::<Vec<_>>())
    }

    fn some(&self, SomeOf { user, client, session, except, has_tag }: &SomeOf) -> Vec<Arc<Handle>> {
        let is_meant = |handle: &Arc<Handle>| {
            let id = handle.id.to_string();
            let peer = handle.peer();
            let is_tagged = peer.identity().is_some_and(|identity| identity.tag.is_some());
            peer.user() == user
                && has_tag.is_none_or(|has_tag| has_tag == is_tagged)
                && client.as_ref().is_none_or(|client| *client == id)
                && session.as_ref().is_none_or(|session| {
                    handle.emulation.as_ref().is_some_and(|emulation| emulation.session == *session)
                })
                && !except.contains(&id)
        };
        match client {
            Some(client) => self.client(client).into_iter().filter(is_meant).collect(),
            // Those of nobody in particular have no name to be found by.
            None if user.is_empty() => self.all().filter(is_meant).collect(),
            None => self.find(&Target::User(user.clone())).into_iter().filter(is_meant).collect(),
        }
    }

    /// How many other connections have the same user and, like this one, a tag or none.
    pub(crate) fn others_alike(&self, handle: &Handle, identity: &Identity) -> usize {
        let alike = |other: &&Arc<Handle>| other.key != handle.key && other.is_tagged() == identity.tag.is_some();
        let users = self.users.shard(identity.user.as_str());
        users.get(identity.user.as_str()).map_or(0, |handles| handles.iter().filter(alike).count())
    }

    pub(crate) fn users(&self) -> usize {
        self.users.all().map(|shard| shard.len()).sum()
    }
}

type Names = Sharded<Box<str>, Vec<Arc<Handle>>>;

fn user_of(identity: &Option<Arc<Identity>>) -> Option<&str> {
    identity.as_ref().map(|identity| &*identity.user).filter(|user| !user.is_empty())
}

fn tag_of(identity: &Option<Arc<Identity>>) -> Option<&str> {
    identity.as_ref()?.tag.as_deref()
}

fn name(names: &Names, name: Option<&str>, handle: &Arc<Handle>) {
    if let Some(name) = name {
        let mut shard = names.shard(name);
        // Most have one connection.
        shard.entry(name.into()).or_insert_with(|| Vec::with_capacity(1)).push(handle.clone());
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::ConnectionOptions;
    use crate::account::Accounts;
    use crate::delivery::Loops;

    fn identity(user: &str, tag: &str) -> Identity {
        Identity { user: user.into(), tag: Some(tag.into()), ..Identity::default() }
    }

    fn handle(identity: Identity) -> Arc<Handle> {
        let accounts = Accounts::new(Arc::default());
        Arc::new(Handle::new(
            1,
            ConnectionOptions { identity: Some(identity), ..ConnectionOptions::default() },
            None,
            &accounts,
            &Loops::new(1, &Arc::default(), &Arc::default()),
        ))
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
                missed += usize::from(registry.find(&Target::Tag("session".into())).len() != 1);
                missed += usize::from(registry.find(&Target::User("ana".into())).len() != 1);
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
        let tagged = |tag: &str| registry.find(&Target::Tag(tag.into())).len();
        let of = |user: &str| registry.find(&Target::User(user.into())).len();
        assert_eq!((tagged("old"), of(""), registry.users()), (0, 0, 1));
        assert_eq!((tagged("new"), of("ana")), (1, 1));
        registry.remove(&handle);
        assert_eq!((tagged("new"), of("ana"), registry.users()), (0, 0, 0));
    }
}

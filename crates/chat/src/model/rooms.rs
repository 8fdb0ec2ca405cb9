//! Rooms and who is in them.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

use super::{
    ids::{PersonId, RoomId},
    names::{Description, Name, Topic},
    people::{Role, Who},
    preferences::Preferences,
    reading::Reading,
    secrets::fresh_epoch,
    time::Time,
};

/// Whom a room is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoomKind {
    /// Everybody but guests sees it and may come in.
    Public,
    /// Nobody but its members learns of it; members bring others in.
    Private,
    /// A conversation of the same people for ever: nobody comes in, nobody leaves, and it never becomes anything else (S39).
    Direct,
}

impl RoomKind {
    /// `public`, `private` or `direct`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
            Self::Direct => "direct",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Public, Self::Private, Self::Direct].into_iter().find(|kind| kind.as_str() == name)
    }
}

/// What a member is in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoomRole {
    /// Looks after the room: changes and archives it, removes members, renews and revokes the invite.
    Owner,
    /// Reads, writes and, unless a guest, brings others in.
    Member,
}

impl RoomRole {
    /// `owner` or `member`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Member => "member",
        }
    }

    /// The role of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Owner, Self::Member].into_iter().find(|role| role.as_str() == name)
    }
}

/// A room, as one person sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// Also in the name of its channel, `room:<id>`.
    pub id: RoomId,
    /// Its name. That of a direct message is empty: see [`people`](Self::people).
    pub name: Name,
    /// What it is about, in a line.
    pub topic: Topic,
    /// The same at length.
    pub description: Description,
    /// Whom it is for.
    pub kind: RoomKind,
    /// Since when nothing is written there any more.
    pub archived: Option<Time>,
    /// Who made it.
    pub creator: PersonId,
    /// The name of its stream of events.
    pub epoch: String,
    /// The number of its last event.
    pub offset: u64,
    /// When it was made.
    pub created: Time,
    /// How many members it has.
    pub members: u32,
    /// What the person who asks is in it; `None` when they are no member.
    pub role: Option<RoomRole>,
    /// How far the person has read it, if they are one of them.
    pub reading: Option<Reading>,
    /// How the person keeps it, if they are one of them.
    pub preferences: Option<Preferences>,
    /// When the last message was posted there that stands; `None` while there is none.
    pub last_message: Option<Time>,
    /// Whether another room that the person sees has the same name, or one that looks alike.
    pub same_name: bool,
    /// Whether the person may see it and come in without being brought in: it is public, and they are no guest.
    pub is_open: bool,
    /// Of a direct message, the others in it by name; nobody where one writes to oneself.
    pub people: Vec<Who>,
}

impl Room {
    /// Whether the person who asks is a member.
    #[must_use]
    pub fn is_member(&self) -> bool {
        self.role.is_some()
    }

    /// The one rule of who sees a room, which whoever may not must not learn anything of (S37): not its name, how many
    /// members it has, nor the number of its last event.
    pub(crate) fn is_seen(&self) -> bool {
        self.is_open || self.is_member()
    }
}

/// What all who see a room know of it, and whoever looks after it may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomFacts {
    /// Its name.
    pub name: Name,
    /// What it is about, in a line.
    pub topic: Topic,
    /// The same at length.
    pub description: Description,
    /// Whom it is for.
    pub kind: RoomKind,
    /// Since when nothing is written there any more.
    pub archived: Option<Time>,
}

impl From<&Room> for RoomFacts {
    fn from(room: &Room) -> Self {
        Self {
            name: room.name.clone(),
            topic: room.topic.clone(),
            description: room.description.clone(),
            kind: room.kind,
            archived: room.archived,
        }
    }
}

/// What is to become of a room; what is `None` stays as it is.
#[derive(Debug, Clone, Default)]
pub struct RoomEdit {
    /// Another name.
    pub name: Option<Name>,
    /// Another topic.
    pub topic: Option<Topic>,
    /// Another description.
    pub description: Option<Description>,
    /// Whom it is for from now on; never a direct message.
    pub kind: Option<RoomKind>,
    /// Whether nothing is to be written there any more.
    pub is_archived: Option<bool>,
}

/// Some of the rooms that a person sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomPage {
    /// On the first page, those they are a member of come first, all of them; then the others, by name.
    pub rooms: Vec<Room>,
    /// Whether there are others behind the last one.
    pub more: bool,
}

/// A member of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Which person.
    pub id: PersonId,
    /// Their name.
    pub name: Name,
    /// Whether somebody else on this server has the same name, or one that looks alike.
    pub same_name: bool,
    /// What they are in the room.
    pub role: RoomRole,
    /// What they may do on the whole server.
    pub server_role: Role,
}

/// A room to be made.
#[derive(Debug, Clone)]
pub(crate) struct NewRoom {
    pub(crate) id: RoomId,
    pub(crate) name: Name,
    pub(crate) topic: Topic,
    pub(crate) kind: RoomKind,
    /// The name of its stream of events.
    pub(crate) epoch: String,
}

impl NewRoom {
    pub(crate) fn fresh(name: Name, topic: Topic, kind: RoomKind) -> Self {
        Self { id: RoomId::fresh(), name, topic, kind, epoch: fresh_epoch() }
    }

    /// A conversation that has no name of its own.
    pub(crate) fn direct() -> Self {
        Self::fresh(Name::stored(String::new()), Topic::default(), RoomKind::Direct)
    }
}

/// The same for the same people, whoever names them and in whichever order: what makes their conversation one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PeopleKey(pub(crate) [u8; 32]);

impl PeopleKey {
    /// Of everybody in the conversation.
    pub(crate) fn of(people: &BTreeSet<PersonId>) -> Self {
        let mut hash = Sha256::new();
        people.iter().for_each(|person| hash.update(person.bytes()));
        Self(hash.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_people_have_the_same_key_and_others_another() {
        let [ana, ben, eva] = [1, 2, 3].map(|byte| PersonId::from_bytes([byte; 16]));
        let key = |people: &[PersonId]| PeopleKey::of(&people.iter().copied().collect());
        assert_eq!(key(&[ana, ben, eva]), key(&[eva, ana, ben, ana]));
        let keys: BTreeSet<_> = [key(&[ana]), key(&[ana, ben]), key(&[ana, ben, eva]), key(&[ana, eva])].into();
        assert_eq!(keys.len(), 4);
    }
}

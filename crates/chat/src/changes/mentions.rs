//! Whom a message mentions, and who is told.
//!
//! Only members of its room are: of anybody else nothing is written down, and so nobody learns their name by their id (S40).

use crate::{
    limits::{EVERYBODY_ASKED_ABOVE, HERE_TOLD_MAX, MENTIONS_MAX},
    markup::may_mention,
    model::{Answered, Mentions, Message, MessageId, Notice, NoticeKind, PersonId, Role, RoomId, Text, Time, Who},
    store::{StoreError, Tables},
};

/// Why nobody was mentioned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MentionRefusal {
    /// More than [`MENTIONS_MAX`] by name.
    #[error("too many people are mentioned")]
    TooMany,
    /// A guest mentions everybody.
    #[error("guests do not mention everybody")]
    IsGuest,
    /// The room has more than [`EVERYBODY_ASKED_ABOVE`] members, and nobody said that they are meant.
    #[error("the room is large")]
    IsLarge {
        /// How many it has.
        members: u32,
    },
}

/// Of the message that is about to be there: where, by whom, brought by which event.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) room: RoomId,
    pub(super) message: MessageId,
    pub(super) number: u64,
    pub(super) event: u64,
    pub(super) author: PersonId,
    pub(super) time: Time,
}

impl Place {
    fn notice(&self, place: usize, person: Option<PersonId>, kind: NoticeKind) -> Notice {
        let Self { room, message, number, event, author: actor, time } = *self;
        let place = u32::try_from(place).unwrap_or(u32::MAX);
        Notice { room, event, place, person, kind, message, number, actor, emoji: None, time }
    }
}

/// The beginning of a message with the names of those whom it mentions, which are asked for where there are any.
pub(super) fn with_names(tables: &dyn Tables, answered: Answered) -> Result<Answered, StoreError> {
    if !may_mention(&answered.body) {
        return Ok(answered);
    }
    let mut names = tables.names_of(answered.id)?;
    names.push(answered.author.clone());
    Ok(Answered { body: Text::new(answered.body.as_str(), names), ..answered })
}

/// Whom it mentions by name, of the members of the room; `None` where those are too many.
pub(super) fn named(tables: &dyn Tables, room: RoomId, mentions: &Mentions) -> Result<Option<Vec<Who>>, StoreError> {
    if mentions.people.len() > MENTIONS_MAX {
        return Ok(None);
    }
    let mut names = Vec::new();
    for person in &mentions.people {
        names.extend(tables.member(room, *person)?);
    }
    Ok(Some(names))
}

/// Whether the author may mention everybody in the room.
pub(super) fn may_mention_everybody(
    tables: &dyn Tables,
    room: RoomId,
    author: PersonId,
    mentions: &Mentions,
) -> Result<Result<(), MentionRefusal>, StoreError> {
    if !mentions.here && !mentions.room {
        return Ok(Ok(()));
    }
    if tables.person(author)?.is_none_or(|person| person.role == Role::Guest) {
        return Ok(Err(MentionRefusal::IsGuest));
    }
    let members = tables.room(room, author)?.map_or(0, |room| room.members);
    let is_large = members > EVERYBODY_ASKED_ABOVE && !mentions.everybody;
    Ok(if is_large { Err(MentionRefusal::IsLarge { members }) } else { Ok(()) })
}

/// Writes down whom a new message concerns: those who are named, those who listen or all in the room, and whose message it
/// answers.
pub(super) fn tell(
    tables: &mut dyn Tables,
    place: Place,
    mentions: &Mentions,
    names: &[Who],
    answered: Option<PersonId>,
) -> Result<(), StoreError> {
    let mut told: Vec<(Option<PersonId>, NoticeKind)> = Vec::new();
    let others = names.iter().map(|who| who.id).filter(|person| *person != place.author);
    told.extend(others.map(|person| (Some(person), NoticeKind::Mention)));
    if mentions.room {
        told.push((None, NoticeKind::Room));
    } else if mentions.here {
        for person in mentions.listening.iter().take(HERE_TOLD_MAX) {
            let is_told = *person == place.author || told.iter().any(|(told, _)| *told == Some(*person));
            if !is_told && tables.member(place.room, *person)?.is_some() {
                told.push((Some(*person), NoticeKind::Here));
            }
        }
    }
    told.extend(answered.filter(|person| *person != place.author).map(|person| (Some(person), NoticeKind::Reply)));
    let notices: Vec<_> =
        told.into_iter().enumerate().map(|(at, (person, kind))| place.notice(at, person, kind)).collect();
    if notices.is_empty() { Ok(()) } else { tables.insert_notices(&notices) }
}

/// What a message says from now on, with whom it mentions: those who are new are told by name, and those whom it no longer
/// mentions are not. Who listens, and all in the room, are told when it is posted or never.
pub(super) fn edited(
    tables: &mut dyn Tables,
    message: &Message,
    body: &str,
    (event, now): (u64, Time),
) -> Result<Option<Text>, StoreError> {
    if !may_mention(&message.body) && !may_mention(body) {
        return Ok(Some(body.into()));
    }
    let mentions = Mentions::of(body);
    let Some(mut names) = named(tables, message.room, &mentions)? else { return Ok(None) };
    let before = tables.mentions_of(message.id)?;
    for notice in &before {
        let stands = match (notice.kind, notice.person) {
            (NoticeKind::Mention | NoticeKind::Past, Some(person)) => mentions.people.contains(&person),
            (NoticeKind::Here, person) => mentions.here || person.is_some_and(|it| mentions.people.contains(&it)),
            (NoticeKind::Room, _) => mentions.room,
            _ => false,
        };
        let is_member = names.iter().any(|who| Some(who.id) == notice.person);
        let kind = match notice.kind {
            _ if !stands => NoticeKind::Past,
            NoticeKind::Past if is_member => NoticeKind::Mention,
            NoticeKind::Here if is_member && !mentions.here => NoticeKind::Mention,
            kind => kind,
        };
        if kind != notice.kind {
            tables.set_notice_kind(notice, kind)?;
        }
    }
    let Message { id, room, number, author, .. } = message;
    let place = Place { room: *room, message: *id, number: *number, event, author: author.id, time: now };
    let is_new = |who: &&Who| who.id != author.id && !before.iter().any(|notice| notice.person == Some(who.id));
    let new: Vec<_> = names.iter().filter(is_new).enumerate().collect();
    let notices: Vec<_> =
        new.into_iter().map(|(at, who)| place.notice(at, Some(who.id), NoticeKind::Mention)).collect();
    if !notices.is_empty() {
        tables.insert_notices(&notices)?;
    }
    // Whoever has left since is named as before.
    names.extend(tables.names_of(*id)?);
    names.push(author.clone());
    Ok(Some(Text::new(body, names)))
}

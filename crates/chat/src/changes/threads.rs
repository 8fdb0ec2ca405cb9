//! Answers stand in threads, and people follow and read these.

use super::{mentions::with_names, messages::PostRefusal};
use crate::{
    model::{
        Answered, InThread, MessageId, Move, NewMessage, PersonEvent, PersonId, RoomId, Root, ThreadReading,
        ThreadStanding, Time,
    },
    store::{
        Applied, Change,
        ChangeError::{self, Refused},
        ChangeResult, StoreError, Tables,
    },
};

/// Where an answer in a thread is to stand, and what it answers.
pub(super) fn enter(
    tables: &dyn Tables,
    new: &NewMessage,
    InThread { root: id, .. }: InThread,
) -> Result<(Root, Answered), ChangeError<PostRefusal>> {
    let root = tables.thread_root(new.room, id, new.author)?.ok_or(Refused(PostRefusal::NoSuchThread))?;
    if root.thread.is_some() {
        return Err(Refused(PostRefusal::InThread));
    }
    let answered = match new.reply_to {
        None => with_names(tables, root.answered.clone())?,
        Some(answers) if answers == id => with_names(tables, root.answered.clone())?,
        Some(answers) => {
            let found = tables.message(new.room, answers)?.ok_or(Refused(PostRefusal::NothingToAnswer))?.message;
            if found.thread != Some(id) {
                return Err(Refused(PostRefusal::OutsideThread));
            }
            Answered::from(&found)
        }
    };
    Ok((root, answered))
}

/// Whoever answers in a thread follows it from then on, and so do whoever wrote the message that it is under and whoever is
/// mentioned: unless they have said that they do not want to. Gives back who is to be told, and what.
pub(super) fn answered(
    tables: &mut dyn Tables,
    room: RoomId,
    root: &Root,
    (author, mentioned): (PersonId, &[PersonId]),
    number: u64,
) -> Result<Vec<(PersonId, PersonEvent)>, StoreError> {
    let mut told = Vec::new();
    let id = root.answered.id;
    if !root.is_settled {
        told.push(follow(tables, room, id, author, (number, 0), number)?);
    }
    let writer = root.answered.author.id;
    if !root.is_settled_for_author && writer != author {
        told.push(follow(tables, room, id, writer, (number - 1, 1), number)?);
    }
    for person in mentioned.iter().filter(|person| ![author, writer].contains(person)) {
        let standing = tables.thread_standing(room, id, *person)?;
        if standing.is_some_and(|standing| standing.position.is_none()) {
            told.push(follow(tables, room, id, *person, (number - 1, 1), number)?);
        }
    }
    Ok(told)
}

/// Somebody of whom it is not settled yet follows a thread: they have read up to that number, behind which so many answers wait.
pub(super) fn follow(
    tables: &mut dyn Tables,
    room: RoomId,
    id: MessageId,
    person: PersonId,
    (read, unread): (u64, u32),
    offset: u64,
) -> Result<(PersonId, PersonEvent), StoreError> {
    tables.follow_thread(id, person, read)?;
    let thread = ThreadReading { id, room, offset, following: true, read, unread };
    Ok((person, PersonEvent::ThreadFollowed { thread }))
}

/// Why a thread is neither followed nor read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ThreadRefusal {
    /// There is no such message, or the person is not a member of its room: the same answer.
    #[error("no such message for this person")]
    NoSuchMessage,
    /// It is in a thread itself.
    #[error("the message is in a thread itself")]
    InThread,
}

/// A member follows the thread under a message, or does not want to.
#[derive(Debug, Clone)]
pub(crate) struct FollowThread {
    pub(crate) person: PersonId,
    pub(crate) room: RoomId,
    pub(crate) root: MessageId,
    pub(crate) follows: bool,
}

impl Change for FollowThread {
    type Answer = ThreadReading;
    type Refusal = ThreadRefusal;

    // Beside the answers in the room's threads, which write the same rows.
    fn room(&self) -> Option<RoomId> {
        Some(self.room)
    }

    fn apply(&self, tables: &mut dyn Tables, _now: Time) -> ChangeResult<Self> {
        let Self { person, room, root: id, follows } = *self;
        let ThreadStanding { offset, position, .. } = standing(tables, room, id, person)?;
        let read = position.map_or(offset, |(read, _)| read);
        let unread = tables.thread_unread(id, person, read)?;
        let thread = ThreadReading { id, room, offset, following: follows, read, unread };
        if position.map(|(_, following)| following) == Some(follows) {
            return Ok(Applied::quietly(thread));
        }
        tables.set_thread_position(id, person, read, follows)?;
        Ok(Applied::quietly(thread).telling(person, PersonEvent::ThreadFollowed { thread }))
    }
}

/// A member has read a thread, or wants to have read less of it. Of one that they never followed nothing is written down.
#[derive(Debug, Clone)]
pub(crate) struct ReadThread {
    pub(crate) person: PersonId,
    pub(crate) room: RoomId,
    pub(crate) root: MessageId,
    pub(crate) to: Move,
}

impl Change for ReadThread {
    type Answer = ThreadReading;
    type Refusal = ThreadRefusal;

    fn apply(&self, tables: &mut dyn Tables, _now: Time) -> ChangeResult<Self> {
        let Self { person, room, root: id, to } = *self;
        let ThreadStanding { offset, position, .. } = standing(tables, room, id, person)?;
        let Some((read, following)) = position else {
            let thread = ThreadReading { id, room, offset, following: false, read: offset, unread: 0 };
            return Ok(Applied::quietly(thread));
        };
        let number = to.from(read, offset);
        let unread = tables.thread_unread(id, person, number)?;
        let thread = ThreadReading { id, room, offset, following, read: number, unread };
        if number == read {
            return Ok(Applied::quietly(thread));
        }
        tables.set_thread_position(id, person, number, following)?;
        Ok(Applied::quietly(thread).telling(person, PersonEvent::ThreadRead { thread }))
    }
}

fn standing(
    tables: &dyn Tables,
    room: RoomId,
    root: MessageId,
    person: PersonId,
) -> Result<ThreadStanding, ChangeError<ThreadRefusal>> {
    let standing = tables.thread_standing(room, root, person)?.ok_or(Refused(ThreadRefusal::NoSuchMessage))?;
    match standing.thread {
        Some(_) => Err(Refused(ThreadRefusal::InThread)),
        None => Ok(standing),
    }
}

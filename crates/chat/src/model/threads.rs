//! Threads: the answers to one message that stand beside the room, and how far somebody has read them.

use std::collections::HashMap;

use serde::Serialize;

use super::{
    ids::{MessageId, RoomId},
    messages::{Answered, Message},
    people::Who,
    time::Time,
};
use crate::limits::THREAD_PEOPLE_SHOWN;

/// Where a message stands that is an answer in a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InThread {
    /// The message that the thread is under: of the same room, and in no thread itself.
    pub root: MessageId,
    /// Whether it stands among the room's messages too.
    pub also_in_room: bool,
}

/// What stands in the thread under a message. Of answers that were deleted nothing is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Replies {
    /// How many there are: at most [`REPLIES_COUNTED_MAX`](crate::limits::REPLIES_COUNTED_MAX), which is "so many or more".
    pub count: u32,
    /// The newest.
    pub last: LastReply,
    /// Who answered last, the last one first: the first [`THREAD_PEOPLE_SHOWN`] of them.
    pub people: Vec<Who>,
}

/// The newest answer of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LastReply {
    /// The server's identity of it.
    pub id: MessageId,
    /// Its place in the room.
    pub number: u64,
    /// When it was committed.
    pub time: Time,
}

/// How far one person has read a thread, as it was when the room's last event had the number `offset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ThreadReading {
    /// The message that it is under.
    pub id: MessageId,
    /// Where.
    pub room: RoomId,
    /// The number of the room's last event.
    pub offset: u64,
    /// Whether the person follows it.
    pub following: bool,
    /// The number up to which the person has read it. Of a thread that they never followed, everything is read.
    pub read: u64,
    /// How many answers of others stand behind it: at most
    /// [`UNREAD_COUNTED_MAX`](crate::limits::UNREAD_COUNTED_MAX), which is "so many or more".
    pub unread: u32,
}

/// A page of a thread, all at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadPage {
    /// The message that it is under.
    pub root: Message,
    /// Its answers, in ascending order of their numbers.
    pub messages: Vec<Message>,
    /// Whether there are more in the direction of the page.
    pub more: bool,
    /// The name of the room's stream.
    pub epoch: String,
    /// How far the reader has read it.
    pub reading: ThreadReading,
}

/// A thread among those that somebody follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ThreadCard {
    /// How far they have read it, and where it is.
    #[serde(flatten)]
    pub reading: ThreadReading,
    /// How the message begins that it is under.
    pub root: Answered,
    /// What stands in it.
    pub replies: Replies,
    /// How its newest answer begins.
    pub last: Answered,
}

impl ThreadCard {
    /// The beginnings of messages that it has.
    pub(crate) fn beginnings(&mut self) -> [&mut Answered; 2] {
        [&mut self.root, &mut self.last]
    }
}

/// A page of the threads that somebody follows, the one that was answered last first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ThreadsPage {
    /// Those in rooms that they are in.
    pub threads: Vec<ThreadCard>,
    /// Whether there are more.
    pub more: bool,
    /// In how many of all these threads something is unread.
    pub unread: u32,
}

/// The message that an answer in a thread is to stand under, as the one who answers meets it.
#[derive(Debug, Clone)]
pub(crate) struct Root {
    /// As it stands above what answers it.
    pub(crate) answered: Answered,
    /// The thread that it is in itself.
    pub(crate) thread: Option<MessageId>,
    /// Whether it is written down of its author, and of the one who answers, that they follow the thread or do not want to; of an
    /// author who is no member nothing will be.
    pub(crate) is_settled: bool,
    pub(crate) is_settled_for_author: bool,
}

/// What somebody meets who wants to follow or to read a thread.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ThreadStanding {
    /// The number of the room's last event.
    pub(crate) offset: u64,
    /// Of a message that is in a thread itself, that one.
    pub(crate) thread: Option<MessageId>,
    /// Up to where they have read it, and whether they follow it; nothing where that is not settled.
    pub(crate) position: Option<(u64, bool)>,
}

/// What stands in threads, gathered from rows that come sorted by thread, the newest answer first.
pub(crate) fn gather_replies(
    all: &mut HashMap<MessageId, Replies>,
    root: MessageId,
    count: u32,
    last: LastReply,
    by: Who,
) {
    let replies = all.entry(root).or_insert_with(|| Replies { count, last, people: Vec::new() });
    if replies.people.len() < THREAD_PEOPLE_SHOWN as usize {
        replies.people.push(by);
    }
}

/// Gives each of the messages what stands in the thread under it.
pub(crate) fn show_replies<'a>(all: &HashMap<MessageId, Replies>, messages: impl Iterator<Item = &'a mut Message>) {
    for message in messages {
        message.replies = all.get(&message.id).cloned();
    }
}

//! History in pages: which part is asked for, and the answers.

use super::{
    events::Event,
    messages::{Edit, Message},
};
use crate::limits::PAGE_MAX;

/// Which part of a room's events or messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageQuery {
    /// From where.
    pub from: PageFrom,
    /// How many at most. 0 asks for the position alone.
    pub limit: u32,
}

impl PageQuery {
    /// No more than one page of history has.
    pub(crate) fn bounded(self) -> Self {
        Self { limit: self.limit.min(PAGE_MAX), ..self }
    }
}

/// Where a page lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageFrom {
    /// The newest.
    End,
    /// Those right before this number.
    Before(u64),
    /// Those right after this number.
    After(u64),
}

/// A page of a room's events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventPage {
    /// In ascending order of their numbers.
    pub events: Vec<Event>,
    /// The name of the stream.
    pub epoch: String,
    /// The number of the room's last event.
    pub offset: u64,
    /// Whether there are more in the direction of the page.
    pub more: bool,
    /// In a database that others write to: the last number of what was taken away, by whomever, when it was read.
    pub(crate) revoked: u64,
}

/// A page of a room's messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessagePage {
    /// In ascending order of their numbers.
    pub messages: Vec<Message>,
    /// Whether there are more in the direction of the page.
    pub more: bool,
}

/// A page of what a message said before it was edited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditPage {
    /// In ascending order of their numbers.
    pub edits: Vec<Edit>,
    /// Whether there are more in the direction of the page.
    pub more: bool,
}

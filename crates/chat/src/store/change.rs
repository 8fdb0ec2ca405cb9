//! What a change is, and how changes of different types wait and are applied together.

use std::future::Future;

use tokio::sync::oneshot;

use super::{error::StoreError, tables::Tables};
use crate::model::{
    Changed, ClientId, DenialKey, Denied, Event, EventKind, MessageId, PersonEvent, PersonId, RoomId, SecretDigest,
    SessionId, Time,
};

/// Something to be changed, with its rules: it decides, inside the transaction, whether it may happen and what follows,
/// so two changes can never both pass a check that only one of them may pass.
pub(crate) trait Change: Sized + Send + 'static {
    /// For whoever asked.
    type Answer: Send + 'static;
    /// The rules that it could break; [`Infallible`](std::convert::Infallible) when there are none.
    type Refusal: Send + 'static;

    /// The room whose rows it reads and writes; the changes of a batch come sorted by it. `None` when it concerns no room,
    /// or one that only its invite names: a store that locks the rows of rooms looks that up before it locks any.
    fn room(&self) -> Option<RoomId> {
        None
    }

    /// The invite by whose room it is, when it names none itself.
    fn invite(&self) -> Option<SecretDigest> {
        None
    }

    /// For a post: by whom and under which client id. A store behind a network reads beforehand what posts will ask of it.
    fn send(&self) -> Option<(PersonId, ClientId)> {
        None
    }

    /// For a post: who will be looked for among the members of its room, beside its author.
    fn looks_for(&self) -> Vec<PersonId> {
        Vec::new()
    }

    /// Of a post that is an answer in a thread, the message that it is under; likewise.
    fn thread(&self) -> Option<MessageId> {
        None
    }

    /// Whether somebody may receive less after it than before; what it then announces says whether they do. A batch ends
    /// with such a change.
    fn revokes(&self) -> bool {
        false
    }

    /// Whether it must go through even when the disk is full, by the room that is kept for it: what takes rights away.
    fn is_urgent(&self) -> bool {
        self.revokes()
    }

    /// Reads and writes the tables. It may be called more than once, when the transaction around it was taken back, or when
    /// the tables had to wait for an answer; so it has no effect but through the tables, asks the same when it is answered
    /// the same, and gives every error of theirs back.
    fn apply(&self, tables: &mut dyn Tables, now: Time) -> ChangeResult<Self>;
}

/// A change that was made, with what must be told as soon as it is durable.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Applied<A> {
    pub(crate) answer: A,
    pub(crate) announcements: Announcements,
}

impl<A> Applied<A> {
    /// Nothing to tell but the answer; also when the change had been made before.
    pub(crate) fn quietly(answer: A) -> Self {
        Self { answer, announcements: Announcements::default() }
    }

    pub(crate) fn happened(answer: A, event: Event) -> Self {
        Self { answer, announcements: Announcements { events: vec![event], ..Announcements::default() } }
    }

    pub(crate) fn ended(answer: A, sessions: Vec<SessionId>) -> Self {
        Self { answer, announcements: Announcements { ended: sessions, ..Announcements::default() } }
    }

    /// Something is denied from now on, as said, or no more.
    pub(crate) fn denied(answer: A, key: DenialKey, denied: Option<Denied>) -> Self {
        Self { answer, announcements: Announcements { denied: vec![(key, denied)], ..Announcements::default() } }
    }

    /// Also ends these sessions.
    pub(crate) fn ending(mut self, sessions: Vec<SessionId>) -> Self {
        self.announcements.ended.extend(sessions);
        self
    }

    /// Also makes the person's connections begin anew.
    pub(crate) fn connecting_again(mut self, person: PersonId) -> Self {
        self.announcements.connecting_again.push(person);
        self
    }

    /// Also tells who shares a room with somebody that their profile is another one.
    pub(crate) fn changing(mut self, changed: Vec<Changed>) -> Self {
        self.announcements.changed.extend(changed);
        self
    }

    /// Also tells one person, on the channel that only they have, so that their other devices know.
    pub(crate) fn telling(mut self, person: PersonId, what: PersonEvent) -> Self {
        self.announcements.personal.push((person, what));
        self
    }
}

/// What must be told when a change is durable, in this order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Announcements {
    /// Sessions that ended.
    pub(crate) ended: Vec<SessionId>,
    /// What client tokens are refused for from now on, and what no more.
    pub(crate) denied: Vec<(DenialKey, Option<Denied>)>,
    /// What happened in rooms, each room's in the order of its numbers.
    pub(crate) events: Vec<Event>,
    /// Whose connections begin anew.
    pub(crate) connecting_again: Vec<PersonId>,
    /// Whose profile changed.
    pub(crate) changed: Vec<Changed>,
    /// What one person is told.
    pub(crate) personal: Vec<(PersonId, PersonEvent)>,
}

impl Announcements {
    /// Whether somebody receives less from now on.
    fn revoke(&self) -> bool {
        let is_left = |event: &Event| matches!(event.kind, EventKind::MemberLeft { .. });
        !self.ended.is_empty() || !self.connecting_again.is_empty() || self.events.iter().any(is_left)
    }
}

/// Why a change was not made. Nothing of it is left.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ChangeError<R> {
    /// The rules say no.
    #[error("{0}")]
    Refused(R),
    /// The database could not.
    #[error(transparent)]
    Store(StoreError),
}

impl<R> From<StoreError> for ChangeError<R> {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl<R> ChangeError<R> {
    /// As the error of an operation, which has its own words for both.
    pub(crate) fn into_error<E: From<R> + From<StoreError>>(self) -> E {
        match self {
            Self::Refused(refusal) => refusal.into(),
            Self::Store(error) => error.into(),
        }
    }
}

/// What becomes of a change.
pub(crate) type ChangeResult<C> = Result<Applied<<C as Change>::Answer>, ChangeError<<C as Change>::Refusal>>;

/// Changes to be applied in their order, in one transaction.
pub(crate) type Batch = Vec<Box<dyn Submission>>;

/// A change in a batch, whatever its type, with the place where whoever asked for it waits.
///
/// Of a submission that is dropped unanswered they learn that the server is stopping.
pub(crate) trait Submission: Send {
    fn room(&self) -> Option<RoomId>;
    fn invite(&self) -> Option<SecretDigest>;
    fn send(&self) -> Option<(PersonId, ClientId)>;
    fn looks_for(&self) -> Vec<PersonId>;
    fn thread(&self) -> Option<MessageId>;
    fn revokes(&self) -> bool;
    fn is_urgent(&self) -> bool;
    /// Applies the change and remembers what became of it, in the place of what became of it before.
    fn apply(&mut self, tables: &mut dyn Tables, now: Time) -> Result<(), NotApplied>;
    /// The transaction around it failed: that is what became of it.
    fn fail(&mut self, error: StoreError);
    /// Whether a right was in fact taken away, as far as anybody can say.
    fn has_revoked(&self) -> bool;
    /// Why the database could not, if it could not.
    fn failure(&self) -> Option<&StoreError>;
    /// Gives away what must be told; nothing unless the change was made.
    fn take_announcements(&mut self) -> Announcements;
    /// Tells whoever asked, if they still wait.
    fn answer(self: Box<Self>);
}

/// What a store must know of a change that was not made: what it wrote is to be taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotApplied {
    Refused,
    Failed(StoreError),
}

/// Makes a change ready for a batch. The future answers when the submission does; dropping it changes nothing.
pub(crate) fn submit<C: Change>(change: C) -> (Box<dyn Submission>, impl Future<Output = ChangeResult<C>> + Send) {
    let (sender, receiver) = oneshot::channel();
    let submission = Submitted { change, outcome: Err(ChangeError::Store(StoreError::Closed)), sender };
    let outcome = async move { receiver.await.unwrap_or(Err(ChangeError::Store(StoreError::Closed))) };
    (Box::new(submission), outcome)
}

struct Submitted<C: Change> {
    change: C,
    outcome: ChangeResult<C>,
    sender: oneshot::Sender<ChangeResult<C>>,
}

impl<C: Change> Submission for Submitted<C> {
    fn room(&self) -> Option<RoomId> {
        self.change.room()
    }

    fn invite(&self) -> Option<SecretDigest> {
        self.change.invite()
    }

    fn send(&self) -> Option<(PersonId, ClientId)> {
        self.change.send()
    }

    fn looks_for(&self) -> Vec<PersonId> {
        self.change.looks_for()
    }

    fn thread(&self) -> Option<MessageId> {
        self.change.thread()
    }

    fn revokes(&self) -> bool {
        self.change.revokes()
    }

    fn is_urgent(&self) -> bool {
        self.change.is_urgent()
    }

    fn apply(&mut self, tables: &mut dyn Tables, now: Time) -> Result<(), NotApplied> {
        self.outcome = self.change.apply(tables, now);
        match &self.outcome {
            Ok(_) => Ok(()),
            Err(ChangeError::Refused(_)) => Err(NotApplied::Refused),
            Err(ChangeError::Store(error)) => Err(NotApplied::Failed(error.clone())),
        }
    }

    fn fail(&mut self, error: StoreError) {
        self.outcome = Err(ChangeError::Store(error));
    }

    fn has_revoked(&self) -> bool {
        match &self.outcome {
            Ok(applied) => applied.announcements.revoke(),
            Err(ChangeError::Refused(_)) => false,
            // A commit that failed may be on the disk all the same.
            Err(ChangeError::Store(_)) => true,
        }
    }

    fn failure(&self) -> Option<&StoreError> {
        match &self.outcome {
            Err(ChangeError::Store(error)) => Some(error),
            Ok(_) | Err(ChangeError::Refused(_)) => None,
        }
    }

    fn take_announcements(&mut self) -> Announcements {
        self.outcome
            .as_mut()
            .map_or_else(|_| Announcements::default(), |applied| std::mem::take(&mut applied.announcements))
    }

    fn answer(self: Box<Self>) {
        self.sender.send(self.outcome).ok();
    }
}

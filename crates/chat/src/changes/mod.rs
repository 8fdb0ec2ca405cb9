//! The changes of the chat and their rules: who may do what, and what follows from it.
//!
//! Each is a type that says its answer and what it can be refused for, and decides inside the transaction, over the
//! store's [`Tables`](crate::store::Tables). They know no statement of any database, no clock, and nobody who waits.

mod denials;
mod invites;
mod messages;
mod people;
mod reactions;
mod reading;
mod rooms;
mod sessions;

pub(crate) use denials::{Allow, Deny, SweepDenials};
pub(crate) use invites::{AcceptInvite, EnsureInvite, InviteInvalid, RenewInvite, RevokeInvite};
pub(crate) use messages::{
    DeleteMessage, DeleteRefusal, EditMessage, EditRefusal, EraseDeleted, KeyDigests, Post, PostRefusal,
    RestoreMessage, RestoreRefusal,
};
#[cfg(test)]
pub(crate) use people::NoSuchPerson;
pub(crate) use people::{
    AlreadySetUp, CreateAccount, CreateAccountRefusal, Rehash, SetActive, SetPassword, SetUpServer, TakeDeviceKey,
};
pub(crate) use reactions::{React, ReactRefusal};
pub(crate) use reading::{Read, ReadAll};
#[cfg(any(test, feature = "test-kit"))]
pub(crate) use rooms::SetOpen;
pub(crate) use rooms::{CreateRoom, CreateRoomRefusal, Join, Leave, ManageRefusal, NotMember, Remove};
pub(crate) use sessions::{EndSession, NoSuchSession, OpenSession, PasswordChanged, SweepSessions, TouchSession};

//! The changes of the chat and their rules: who may do what, and what follows from it.
//!
//! Each is a type that says its answer and what it can be refused for, and decides inside the transaction, over the
//! store's [`Tables`](crate::store::Tables). They know no statement of any database, no clock, and nobody who waits.

mod account;
mod denials;
mod directs;
mod invites;
mod members;
mod mentions;
mod messages;
mod people;
mod personal_tokens;
mod preferences;
mod profiles;
mod reactions;
mod reading;
mod roles;
mod rooms;
mod sessions;
mod threads;

pub(crate) use account::{EndOtherSessions, SetEmail, SetEmailRefusal};
pub(crate) use denials::{Allow, Deny, SweepDenials};
pub(crate) use directs::{StartDirect, StartDirectRefusal};
pub(crate) use invites::{AcceptInvite, EnsureInvite, InviteInvalid, RenewInvite, RevokeInvite};
pub(crate) use members::{AddMember, AddMemberRefusal, SetRoomRole, SetRoomRoleRefusal};
pub(crate) use mentions::MentionRefusal;
pub(crate) use messages::{
    DeleteMessage, DeleteRefusal, EditMessage, EditRefusal, EraseDeleted, KeyDigests, Post, PostRefusal,
    RestoreMessage, RestoreRefusal,
};
pub(crate) use people::{
    AlreadySetUp, CreateAccount, CreateAccountRefusal, Rehash, SetActive, SetActiveRefusal, SetPassword, SetUpServer,
    TakeDeviceKey,
};
pub(crate) use personal_tokens::{MakeToken, MakeTokenRefusal, NoSuchToken, RevokeToken, TouchToken};
pub(crate) use preferences::Prefer;
pub(crate) use profiles::EditProfile;
pub(crate) use reactions::{React, ReactRefusal};
pub(crate) use reading::{Read, ReadAll};
pub(crate) use roles::{SetRole, SetRoleRefusal};
pub(crate) use rooms::{
    CreateRoom, CreateRoomRefusal, EditRoom, EditRoomRefusal, Join, Leave, LeaveRefusal, ManageRefusal, NotMember,
    Remove, manages,
};
pub(crate) use sessions::{EndSession, NoSuchSession, OpenSession, PasswordChanged, SweepSessions, TouchSession};
pub(crate) use threads::{FollowThread, ReadThread, ThreadRefusal};

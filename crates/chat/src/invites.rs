//! Invites: a link that lets people into a room, with or without an account. A room has one at a time.

use std::net::IpAddr;

use crate::{
    changes::{
        AcceptInvite, CreateAccount, CreateAccountRefusal, CurrentInvite, InviteInvalid, ManageRefusal, RenewInvite,
        RevokeInvite,
    },
    chat::Chat,
    model::{
        Code, Email, Entered, Invite, InviteCard, Name, NewPassword, NewPerson, NewSession, PersonId, Room, RoomId,
        digest,
    },
    rates::{RetryAfter, network_of},
    store::StoreError,
};

/// What the form of somebody invited says.
#[derive(Debug, Clone)]
pub struct NewAccount {
    /// The code in the invite link.
    pub invite: String,
    /// The new person's name.
    pub name: Name,
    /// Their address to sign in with.
    pub email: Email,
    /// Their password.
    pub password: NewPassword,
    /// What the browser says about itself.
    pub user_agent: String,
    /// Where the request came from.
    pub address: IpAddr,
}

/// Why an invite could not be looked up or accepted.
#[derive(Debug, thiserror::Error)]
pub enum LookUpError {
    /// There is no such invite, or it is used up, expired, revoked or renewed.
    #[error("this invite is not valid any more")]
    Invalid,
    /// Too many codes tried.
    #[error(transparent)]
    TooMany(#[from] RetryAfter),
    /// The store could not; nothing was changed.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

/// Why an account was not made.
#[derive(Debug, thiserror::Error)]
pub enum CreateAccountError {
    /// There is no such invite, or it is used up, expired, revoked or renewed.
    #[error("this invite is not valid any more")]
    InviteInvalid,
    /// An account cannot be made with this address: it has one.
    #[error("an account with this e-mail address exists; sign in instead")]
    AccountExists,
    /// Too many attempts from this address.
    #[error(transparent)]
    TooMany(#[from] RetryAfter),
    /// The store could not, or too many are signing up.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

/// Why a room's invite was not given, renewed or revoked.
#[derive(Debug, thiserror::Error)]
pub enum InviteError {
    /// There is no such room, or the person is not a member: the same answer.
    #[error("no such room")]
    NotMember,
    /// Only the room's creator, while a member, or an administrator may; also the answer to a member who asks for an
    /// invite that was revoked.
    #[error("only the room's creator or an administrator may do this")]
    NotAllowed,
    /// Too many invites.
    #[error(transparent)]
    TooMany(#[from] RetryAfter),
    /// The store could not; nothing was changed.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

impl Chat {
    /// What the invite of this code leads to.
    ///
    /// # Errors
    /// See [`LookUpError`].
    pub async fn look_up_invite(&self, code: &str, address: IpAddr) -> Result<InviteCard, LookUpError> {
        let now = self.0.clock.now();
        self.0.limiters.codes.take(network_of(address), now)?;
        self.0.store.invite(digest(code), now).await?.ok_or(LookUpError::Invalid)
    }

    /// Makes an account for somebody invited, signs them in, and makes them a member of the invite's room.
    ///
    /// # Errors
    /// See [`CreateAccountError`].
    pub async fn create_account(&self, form: NewAccount) -> Result<(Entered, Room), CreateAccountError> {
        let now = self.0.clock.now();
        self.0.limiters.codes.take(network_of(form.address), now)?;
        let invite = digest(&form.invite);
        // Looked at first, because a password's hash is dear; it is used up inside the change.
        self.0.store.invite(invite, now).await?.ok_or(CreateAccountError::InviteInvalid)?;
        let hash = self.0.hasher.hash(form.password).await.map_err(StoreError::from)?;
        let (session, token) = NewSession::with_token(&form.user_agent);
        let id = session.id;
        let person = NewPerson { id: PersonId::fresh(), name: form.name, email: form.email, hash };
        let (person, room) = self.write::<_, CreateAccountError>(CreateAccount { invite, person, session }).await?;
        Ok((Entered { person, session: id, token }, room))
    }

    /// Makes somebody who has an account a member of the invite's room.
    ///
    /// # Errors
    /// See [`LookUpError`].
    pub async fn accept_invite(&self, person: PersonId, code: &str, address: IpAddr) -> Result<Room, LookUpError> {
        self.0.limiters.codes.take(network_of(address), self.0.clock.now())?;
        self.write(AcceptInvite { invite: digest(code), person }).await
    }

    /// The room's present invite, for any member. One that has expired or is used up is followed by a new one, which
    /// counts as making an invite. One that was revoked is not: the creator or an administrator who asks here, as a
    /// member, renews it; others are not allowed until one of them has.
    ///
    /// # Errors
    /// See [`InviteError`].
    pub async fn room_invite(&self, person: PersonId, room: RoomId) -> Result<Invite, InviteError> {
        let now = self.0.clock.now();
        if let Some(invite) = self.0.store.room_invite(room, person, now).await? {
            return Ok(invite);
        }
        self.0.limiters.invites.take(person, now)?;
        self.write(CurrentInvite { person, room, code: Code::fresh() }).await
    }

    /// A new invite in the place of the present one, which is dead at once; for the creator, while a member, and
    /// administrators.
    ///
    /// # Errors
    /// See [`InviteError`].
    pub async fn renew_room_invite(&self, person: PersonId, room: RoomId) -> Result<Invite, InviteError> {
        self.0.limiters.invites.take(person, self.0.clock.now())?;
        self.write(RenewInvite { person, room, code: Code::fresh() }).await
    }

    /// Makes the room's present invite dead at once; for the creator, while a member, and administrators. Who has an
    /// account may still join: rooms are open.
    ///
    /// # Errors
    /// See [`InviteError`].
    pub async fn revoke_room_invite(&self, person: PersonId, room: RoomId) -> Result<(), InviteError> {
        self.0.limiters.invites.take(person, self.0.clock.now())?;
        self.write(RevokeInvite { person, room }).await
    }
}

impl From<InviteInvalid> for LookUpError {
    fn from(InviteInvalid: InviteInvalid) -> Self {
        Self::Invalid
    }
}

impl From<CreateAccountRefusal> for CreateAccountError {
    fn from(refusal: CreateAccountRefusal) -> Self {
        match refusal {
            CreateAccountRefusal::InviteInvalid => Self::InviteInvalid,
            CreateAccountRefusal::EmailTaken => Self::AccountExists,
        }
    }
}

impl From<ManageRefusal> for InviteError {
    fn from(refusal: ManageRefusal) -> Self {
        match refusal {
            ManageRefusal::NotMember => Self::NotMember,
            ManageRefusal::NotAllowed => Self::NotAllowed,
        }
    }
}

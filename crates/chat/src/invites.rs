//! Invites: a link that lets people into a room, with or without an account. A room has one at a time.

use std::net::IpAddr;

use crate::{
    changes::{
        AcceptInvite, CreateAccount, CreateAccountRefusal, EnsureInvite, InviteInvalid, ManageRefusal, RenewInvite,
        RevokeInvite, manages,
    },
    chat::Chat,
    hashing::Asker,
    model::{
        Browser, Code, Email, Entered, Invite, InviteCard, Name, NewPassword, NewPerson, NewSession, Person, PersonId,
        Role, Room, RoomId, RoomKind, digest,
    },
    rates::{RetryAfter, network_of},
    security::SECURITY_LOG,
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
    /// Where they are.
    pub browser: Browser,
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
    /// As many accounts as may be made in a day, from this address or by invites of this room.
    #[error("too many accounts were made today")]
    TooManyAccounts(RetryAfter),
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
    /// The room's invite has expired or is used up; or was revoked, and the person may undo that.
    #[error("the room has no invite that is good")]
    NoInvite,
    /// Only an owner of the room or an administrator may; also the answer to a member who asks for an invite that was
    /// revoked, and to a guest.
    #[error("only an owner of the room or an administrator may do this")]
    NotAllowed,
    /// There is no invite to a direct message.
    #[error("nobody is brought into a direct message; begin another one with everybody who should be in it")]
    IsDirect,
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
        self.0.limiters.codes.take(network_of(address), self.0.steady.now())?;
        self.0.store.invite(digest(code), self.0.clock.now()).await?.ok_or(LookUpError::Invalid)
    }

    /// Makes an account for somebody invited, signs them in, and makes them a member of the invite's room.
    ///
    /// # Errors
    /// See [`CreateAccountError`].
    pub async fn create_account(&self, form: NewAccount) -> Result<(Entered, Room), CreateAccountError> {
        let (now, network) = (self.0.steady.now(), network_of(form.browser.address));
        let limiters = &self.0.limiters;
        limiters.codes.take(network, now)?;
        // Looked at first, because a password's hash is dear; it is used up inside the change.
        let invite = self.0.store.invite(digest(&form.invite), self.0.clock.now()).await?;
        let invite = invite.ok_or(CreateAccountError::InviteInvalid)?;
        limiters.accounts_at.take(network, now).map_err(CreateAccountError::TooManyAccounts)?;
        if let Err(wait) = limiters.accounts_in.take(invite.room, now) {
            limiters.accounts_at.give_back(&network);
            return Err(CreateAccountError::TooManyAccounts(wait));
        }
        let made = self.make_account(form, network).await;
        if made.is_err() {
            limiters.accounts_at.give_back(&network);
            limiters.accounts_in.give_back(&invite.room);
        }
        made
    }

    async fn make_account(&self, form: NewAccount, network: IpAddr) -> Result<(Entered, Room), CreateAccountError> {
        let hash = self.0.hasher.hash(form.password, Asker::Network(network)).await.map_err(StoreError::from)?;
        let (session, token) = NewSession::with_token(&form.browser);
        let id = session.id;
        let person = NewPerson { id: PersonId::fresh(), name: form.name, email: form.email, hash: hash.clone() };
        let change = CreateAccount { invite: digest(&form.invite), person, session };
        let (person, room) = self.write::<_, CreateAccountError>(change).await?;
        tracing::info!(target: SECURITY_LOG, person = %person.id, room = %room.id, address = %form.browser.address,
            "an account was made by invite");
        let device = self.mark_device(person.id, &hash).await;
        Ok((Entered { person, session: id, token, device }, room))
    }

    /// Makes somebody who has an account a member of the invite's room.
    ///
    /// # Errors
    /// See [`LookUpError`].
    pub async fn accept_invite(&self, person: PersonId, code: &str, address: IpAddr) -> Result<Room, LookUpError> {
        self.0.limiters.codes.take(network_of(address), self.0.steady.now())?;
        self.write(AcceptInvite { invite: digest(code), person }).await
    }

    /// The room's present invite, for any member who is no guest. Reading it changes nothing (S45).
    ///
    /// # Errors
    /// See [`InviteError`].
    pub async fn room_invite(&self, person: PersonId, room: RoomId) -> Result<Invite, InviteError> {
        let asking = self.who_invites(person, room).await?;
        if let Some(invite) = self.0.store.room_invite(room, person, self.0.clock.now()).await? {
            return Ok(invite);
        }
        // Whoever may not undo a revocation is told so; everybody else may have a new one made.
        let seen = self.0.store.room(room, person).await?.filter(Room::is_member).ok_or(InviteError::NotMember)?;
        if seen.kind == RoomKind::Direct {
            return Err(InviteError::IsDirect);
        }
        let is_final = !manages(&seen, &asking) && self.0.store.invite_is_revoked(room).await?;
        Err(if is_final { InviteError::NotAllowed } else { InviteError::NoInvite })
    }

    /// Whoever asks for an invite, unless they are a guest.
    async fn who_invites(&self, person: PersonId, room: RoomId) -> Result<Person, InviteError> {
        let asking = self.0.store.person(person).await?.ok_or(InviteError::NotMember)?;
        if asking.role != Role::Guest {
            return Ok(asking);
        }
        let seen = self.0.store.room(room, person).await?.filter(Room::is_member).ok_or(InviteError::NotMember)?;
        Err(if seen.kind == RoomKind::Direct { InviteError::IsDirect } else { InviteError::NotAllowed })
    }

    /// The room's present invite, for any member. One that has expired or is used up is followed by a new one, which
    /// counts as making an invite. One that was revoked is not: an owner of the room or an administrator who asks here, as a
    /// member, renews it; others are not allowed until one of them has.
    ///
    /// # Errors
    /// See [`InviteError`].
    pub async fn ensure_room_invite(&self, person: PersonId, room: RoomId) -> Result<Invite, InviteError> {
        self.who_invites(person, room).await?;
        if let Some(invite) = self.0.store.room_invite(room, person, self.0.clock.now()).await? {
            return Ok(invite);
        }
        self.0.limiters.invites.take(person, self.0.steady.now())?;
        self.write(EnsureInvite { person, room, code: Code::fresh() }).await
    }

    /// A new invite in the place of the present one, which is dead at once; for the room's owners and
    /// administrators.
    ///
    /// # Errors
    /// See [`InviteError`].
    pub async fn renew_room_invite(&self, person: PersonId, room: RoomId) -> Result<Invite, InviteError> {
        self.0.limiters.invites.take(person, self.0.steady.now())?;
        let invite = self.write::<_, InviteError>(RenewInvite { person, room, code: Code::fresh() }).await?;
        tracing::info!(target: SECURITY_LOG, %room, by = %person, "an invite was renewed; the one before is dead");
        Ok(invite)
    }

    /// Makes the room's present invite dead at once; for the room's owners and administrators. Who has an account may
    /// still join a room that is public.
    ///
    /// # Errors
    /// See [`InviteError`].
    pub async fn revoke_room_invite(&self, person: PersonId, room: RoomId) -> Result<(), InviteError> {
        self.0.limiters.invites.take(person, self.0.steady.now())?;
        self.write::<_, InviteError>(RevokeInvite { person, room }).await?;
        tracing::info!(target: SECURITY_LOG, %room, by = %person, "an invite was revoked");
        Ok(())
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
            ManageRefusal::IsDirect => Self::IsDirect,
        }
    }
}

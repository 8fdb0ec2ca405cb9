//! Personal tokens: made and revoked by who is signed in, and what a program shows instead of a session.

use crate::{
    changes::{MakeToken, MakeTokenRefusal, NoSuchToken, RevokeToken, TouchToken},
    chat::Chat,
    limits::{PERSONAL_TOKEN_TOUCH_INTERVAL, PERSONAL_TOKENS_MAX},
    model::{
        Name, PERSONAL_TOKEN_PREFIX, PersonId, PersonalToken, PersonalTokenId, Scope, SessionId, Time, TokenBearer,
        digest, fresh_secret,
    },
    rates::RetryAfter,
    security::SECURITY_LOG,
    store::StoreError,
};

/// Why a token was not made, or not revoked.
#[derive(Debug, thiserror::Error)]
pub enum PersonalTokenError {
    /// A token without any scope is good for nothing.
    #[error("choose at least one scope")]
    NoScope,
    /// It would have ended already.
    #[error("a token ends in the future, or not at all")]
    Expired,
    /// The person has as many as one may have.
    #[error("you have {PERSONAL_TOKENS_MAX} tokens; revoke one that is not used any more")]
    TooMany,
    /// The session that asked has ended meanwhile.
    #[error("the session has ended")]
    Ended,
    /// The person has no such token.
    #[error("no such token")]
    NoSuchToken,
    /// Too many at once.
    #[error(transparent)]
    TooFast(#[from] RetryAfter),
    /// The store could not; nothing was changed.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

impl Chat {
    /// Makes a personal token; its secret, which is not stored and cannot be had again, is the other answer.
    ///
    /// # Errors
    /// See [`PersonalTokenError`].
    pub async fn make_token(
        &self,
        (person, session): (PersonId, SessionId),
        name: Name,
        mut scopes: Vec<Scope>,
        expires: Option<Time>,
    ) -> Result<(PersonalToken, String), PersonalTokenError> {
        let now = self.0.clock.now();
        scopes.sort_unstable();
        scopes.dedup();
        if scopes.is_empty() {
            return Err(PersonalTokenError::NoScope);
        }
        if expires.is_some_and(|expires| expires <= now) {
            return Err(PersonalTokenError::Expired);
        }
        self.0.limiters.profiles.take(person, self.0.steady.now())?;
        let id = PersonalTokenId::fresh();
        let token = PersonalToken { id, name, scopes, created: now, expires, last_used: None };
        let (secret, digest) = fresh_secret();
        self.write::<_, PersonalTokenError>(MakeToken { person, session, token: token.clone(), digest }).await?;
        let scopes = token.scope_names();
        tracing::info!(target: SECURITY_LOG, %person, token = %id, scopes, "a personal token was made");
        Ok((token, secret))
    }

    /// The person's tokens that have not ended, the newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn personal_tokens(&self, person: PersonId) -> Result<Vec<PersonalToken>, StoreError> {
        let now = self.0.clock.now();
        let all = self.0.store.personal_tokens(person).await?;
        Ok(all.into_iter().filter(|token| token.is_good(now)).collect())
    }

    /// Revokes a token of the person: from the next request on it is none.
    ///
    /// # Errors
    /// See [`PersonalTokenError`].
    pub async fn revoke_personal_token(
        &self,
        person: PersonId,
        token: PersonalTokenId,
    ) -> Result<(), PersonalTokenError> {
        self.write::<_, PersonalTokenError>(RevokeToken { person, token }).await?;
        tracing::info!(target: SECURITY_LOG, %person, %token, "a personal token was revoked");
        Ok(())
    }

    /// Who comes with this secret; `None` when there is no such token, it has ended, or its person may not sign in.
    ///
    /// # Errors
    /// When it is used too often, or the store cannot be read.
    pub async fn token_bearer(&self, secret: &str) -> Result<Option<TokenBearer>, PersonalTokenError> {
        if !secret.starts_with(PERSONAL_TOKEN_PREFIX) {
            return Ok(None);
        }
        let now = self.0.clock.now();
        let found = self.0.store.token_bearer(digest(secret)).await?;
        let Some(bearer) = found.filter(|bearer| bearer.person.is_active && bearer.token.is_good(now)) else {
            return Ok(None);
        };
        self.0.limiters.token_calls.take(bearer.token.id, self.0.steady.now())?;
        let last = bearer.token.last_used;
        if last.is_none_or(|last| now.since(last) >= PERSONAL_TOKEN_TOUCH_INTERVAL) {
            self.0.writer.write_later(TouchToken { token: bearer.token.id });
        }
        Ok(Some(bearer))
    }
}

impl From<MakeTokenRefusal> for PersonalTokenError {
    fn from(refusal: MakeTokenRefusal) -> Self {
        match refusal {
            MakeTokenRefusal::TooMany => Self::TooMany,
            MakeTokenRefusal::Ended => Self::Ended,
        }
    }
}

impl From<NoSuchToken> for PersonalTokenError {
    fn from(NoSuchToken: NoSuchToken) -> Self {
        Self::NoSuchToken
    }
}

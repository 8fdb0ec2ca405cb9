//! Client tokens that are refused although they are good in themselves: revoked by an application, or of a user that it has
//! blocked. Kept in the database, and in memory on every server, where each token is held against it.
//!
//! What a token is, and which connections came with which, is not known here: whoever does gives the orders that end them.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock, PoisonError, RwLock},
};

use tidings_hub::Order;

use crate::{
    changes::{Allow, Deny},
    chat::Chat,
    limits::{DENIAL_NAME_BYTES_MAX, DENIALS_MAX},
    model::{Denial, DenialKey, Denied, Presented, Time, Verdict},
    security::SECURITY_LOG,
    store::StoreError,
};

/// What client tokens are refused for. Cheap to clone; clones are the same.
#[derive(Clone, Default)]
pub struct Denials(Arc<Known>);

#[derive(Default)]
struct Known {
    all: RwLock<BTreeMap<DenialKey, Denied>>,
    enforce: OnceLock<Box<Enforce>>,
}

/// Which connections and subscriptions a new denial ends.
type Enforce = dyn Fn(&Denial) -> Vec<Order> + Send + Sync;

/// Why something was not denied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DenyError {
    /// It can be no token's id, and no user's name.
    #[error("must have 1 to {DENIAL_NAME_BYTES_MAX} bytes, and no zero byte")]
    Name,
    /// There are as many as may be: some have to be given an end, or to be taken back.
    #[error("{DENIALS_MAX} tokens and users are denied at once; give denials an end, so that they make room")]
    TooMany,
    /// The database could not.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Denials {
    /// Has `enforce` say what a new denial ends, on this server; a second one is not taken. It is asked when tokens are refused
    /// for the denial already: whoever connects meanwhile must be found by it before their token is checked, or check it again.
    pub fn enforce_by(&self, enforce: impl Fn(&Denial) -> Vec<Order> + Send + Sync + 'static) {
        self.0.enforce.set(Box::new(enforce)).ok();
    }

    /// Why a token is refused that is good in itself; `None` when it is not.
    #[must_use]
    pub fn check(&self, token: &Presented<'_>, now: Time) -> Option<Verdict> {
        let all = self.0.all.read().unwrap_or_else(PoisonError::into_inner);
        if all.is_empty() {
            return None;
        }
        let found = Denial::keys_of(token).filter_map(|key| all.get(&key)).filter(|denied| !denied.is_over(now));
        // That the user is blocked is said first: another token would not help.
        found.filter_map(|denied| denied.denial.denies(token)).next()
    }

    /// Everything that is denied at `now`, in no order that means anything: at most `limit`, behind the one that is given.
    #[must_use]
    pub fn list(&self, after: Option<&Denial>, limit: usize, now: Time) -> Vec<Denied> {
        use std::ops::Bound::{Excluded, Unbounded};
        let all = self.0.all.read().unwrap_or_else(PoisonError::into_inner);
        let from = after.map_or(Unbounded, |denial| Excluded(denial.key()));
        let behind = all.range((from, Unbounded)).map(|(_, denied)| denied);
        behind.filter(|denied| !denied.is_over(now)).take(limit).cloned().collect()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.all.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether nothing is denied.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// From now on it is as said. Answers what that ends here.
    pub(crate) fn set(&self, key: DenialKey, denied: Option<Denied>) -> Vec<Order> {
        let mut all = self.0.all.write().unwrap_or_else(PoisonError::into_inner);
        let Some(denied) = denied else {
            all.remove(&key);
            return Vec::new();
        };
        let denial = denied.denial.clone();
        all.insert(key, denied);
        drop(all);
        self.0.enforce.get().map_or_else(Vec::new, |enforce| enforce(&denial))
    }

    pub(crate) fn replace(&self, all: Vec<Denied>) {
        let all = all.into_iter().map(|denied| (denied.denial.key(), denied)).collect();
        *self.0.all.write().unwrap_or_else(PoisonError::into_inner) = all;
    }

    /// Answers how many have ended.
    pub(crate) fn forget_ended(&self, now: Time) -> usize {
        let mut all = self.0.all.write().unwrap_or_else(PoisonError::into_inner);
        let before = all.len();
        all.retain(|_, denied| !denied.is_over(now));
        before - all.len()
    }

    fn has_room_for(&self, key: &DenialKey) -> bool {
        let all = self.0.all.read().unwrap_or_else(PoisonError::into_inner);
        all.len() < DENIALS_MAX || all.contains_key(key)
    }
}

impl Chat {
    /// What client tokens are refused for.
    #[must_use]
    pub fn denials(&self) -> &Denials {
        self.0.announcer.denials()
    }

    /// The token with this id (`jti`) is refused until `ends`, which is best the end of the token itself; for ever without one.
    /// What came with it ends. Said again it ends at the later of both.
    ///
    /// # Errors
    /// See [`DenyError`].
    pub async fn revoke_token(&self, id: &str, ends: Option<Time>) -> Result<Denied, DenyError> {
        let denied = self.deny(Denial::Token { id: checked(id)? }, ends).await?;
        tracing::info!(target: SECURITY_LOG, token = id, "a client token was revoked");
        Ok(denied)
    }

    /// The tokens of a user that were issued before a time, by default now, are refused until `ends`, which is best when the
    /// last of them has ended; for ever without one. Also those that do not say when they were issued (`iat`). With a channel,
    /// these are the subscription tokens for it alone. What came with one of them ends.
    ///
    /// # Errors
    /// See [`DenyError`].
    pub async fn revoke_user(
        &self,
        user: &str,
        channel: Option<&str>,
        issued_before: Option<Time>,
        ends: Option<Time>,
    ) -> Result<Denied, DenyError> {
        let issued_before = issued_before.unwrap_or_else(|| self.0.clock.now());
        let channel = channel.map(checked).transpose()?;
        let denied = self.deny(Denial::Tokens { user: checked(user)?, channel, issued_before }, ends).await?;
        tracing::info!(target: SECURITY_LOG, user, issued_before = issued_before.millis(), "a user's client tokens were revoked");
        Ok(denied)
    }

    /// The user is refused, whatever their token, until `ends` or for ever; their connections end. Said again it is as it was said
    /// last.
    ///
    /// # Errors
    /// See [`DenyError`].
    pub async fn block(&self, user: &str, ends: Option<Time>) -> Result<Denied, DenyError> {
        let denied = self.deny(Denial::User { user: checked(user)? }, ends).await?;
        tracing::info!(target: SECURITY_LOG, user, "a user with client tokens was blocked");
        Ok(denied)
    }

    /// The user is refused no more. Answers whether they were.
    ///
    /// # Errors
    /// See [`DenyError`].
    pub async fn unblock(&self, user: &str) -> Result<bool, DenyError> {
        let was = self.write::<_, DenyError>(Allow { denial: Denial::User { user: checked(user)? } }).await?;
        tracing::info!(target: SECURITY_LOG, user, was, "a user with client tokens is blocked no more");
        Ok(was)
    }

    /// The token with this id is revoked no more. Answers whether it was.
    ///
    /// # Errors
    /// See [`DenyError`].
    pub async fn unrevoke_token(&self, id: &str) -> Result<bool, DenyError> {
        let was = self.write::<_, DenyError>(Allow { denial: Denial::Token { id: checked(id)? } }).await?;
        tracing::info!(target: SECURITY_LOG, token = id, was, "a client token is revoked no more");
        Ok(was)
    }

    /// The tokens of a user are revoked no more, with a channel the subscription tokens for it alone. Answers whether they were.
    ///
    /// # Errors
    /// See [`DenyError`].
    pub async fn unrevoke_user(&self, user: &str, channel: Option<&str>) -> Result<bool, DenyError> {
        let (user, channel) = (checked(user)?, channel.map(checked).transpose()?);
        // Of which the time does not matter.
        let denial = Denial::Tokens { user: user.clone(), channel, issued_before: self.0.clock.now() };
        let was = self.write::<_, DenyError>(Allow { denial }).await?;
        tracing::info!(target: SECURITY_LOG, user, was, "a user's client tokens are revoked no more");
        Ok(was)
    }

    async fn deny(&self, denial: Denial, ends: Option<Time>) -> Result<Denied, DenyError> {
        // What is counted here may be some more than that where several servers deny at once.
        if !self.denials().has_room_for(&denial.key()) {
            return Err(DenyError::TooMany);
        }
        self.write(Deny { denied: Denied { denial, created: self.0.clock.now(), ends } }).await
    }
}

/// No zero byte, which no text of Postgres can have, and by which keys are told apart.
fn checked(name: &str) -> Result<String, DenyError> {
    let fits = !name.is_empty() && name.len() <= DENIAL_NAME_BYTES_MAX && !name.contains('\0');
    if fits { Ok(name.to_owned()) } else { Err(DenyError::Name) }
}

impl From<std::convert::Infallible> for DenyError {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

//! Who is connected with which client token, and subscribed with which: what a denial ends is found here.
//!
//! A connection is entered before its token is held against what is denied, and whoever denies something looks here after that
//! holds. So none slips between. It is entered under its id, and leaves with the context that the hub keeps of it.

use crate::tokens::{Caps, Claims, Given, Operation, Operations};
use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;
use tidings_chat::{Denial, Presented, Time, Verdict};
use tidings_hub::{ChannelName, Order, Peer, Rate, Target};
use tidings_protocol::{Disconnect, Payload, Unsubscribe};
use uuid::Uuid;

/// All who are connected with a client token, or without any. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Bearers(Arc<Mutex<HashMap<Uuid, Weak<Bearer>>>>);

/// The context of such a connection.
pub(crate) struct Bearer {
    all: Bearers,
    client: Uuid,
    /// The application's name for the user; empty: nobody in particular.
    user: Box<str>,
    /// Of what the token gave: a refresh must give the same.
    given: u64,
    caps: Caps,
    /// What the token says to the server alone.
    #[expect(dead_code, reason = "who lists connections will show it")]
    meta: Option<Payload>,
    /// It came without a token to a server that lets such do everything.
    is_insecure: bool,
    /// It was told that it is connected: whoever comes later is newer.
    is_welcome: AtomicBool,
    holds: Mutex<Holds>,
}

/// What changes while it is connected.
#[derive(Default)]
struct Holds {
    connection: Mark,
    /// Of subscriptions that were opened by a token of their own.
    subscriptions: BTreeMap<ChannelName, Mark>,
    /// How much it may still publish in the namespaces that bound it.
    publishes: BTreeMap<String, Bucket>,
}

/// What is remembered of a token.
#[derive(Debug, Default)]
struct Mark {
    id: Option<Box<str>>,
    issued: Option<Time>,
    allow: Operations,
}

impl Bearers {
    /// A connection that comes with a token.
    pub(crate) fn enter(&self, client: &Peer, claims: &mut Claims) -> Arc<Bearer> {
        let connection = Mark::of(claims);
        self.add(Bearer {
            all: self.clone(),
            client: id_of(client),
            user: claims.user.as_str().into(),
            given: digest(&claims.given),
            caps: claims.given.caps.clone(),
            meta: claims.meta.take(),
            is_insecure: false,
            is_welcome: AtomicBool::new(false),
            holds: Mutex::new(Holds { connection, ..Holds::default() }),
        })
    }

    /// A connection that comes without one.
    pub(crate) fn enter_nobody(&self, client: &Peer, is_insecure: bool) -> Arc<Bearer> {
        let (all, client) = (self.clone(), id_of(client));
        let (user, given, caps, meta, is_welcome, holds) = Default::default();
        self.add(Bearer { all, client, user, given, caps, meta, is_insecure, is_welcome, holds })
    }

    fn add(&self, bearer: Bearer) -> Arc<Bearer> {
        let bearer = Arc::new(bearer);
        self.lock().insert(bearer.client, Arc::downgrade(&bearer));
        bearer
    }

    /// What a denial ends: the connections whose token it denies, and of the others the subscriptions.
    pub(crate) fn ended_by(&self, denial: &Denial) -> Vec<Order> {
        // Not held while each is looked at: whoever is the last to let one go comes back here to take it out.
        let all: Vec<_> = self.lock().values().filter_map(Weak::upgrade).collect();
        all.iter().flat_map(|bearer| bearer.ended_by(denial)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Weak<Bearer>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Bearer {
    fn drop(&mut self) {
        self.all.lock().remove(&self.client);
    }
}

impl Bearer {
    pub(crate) fn is_insecure(&self) -> bool {
        self.is_insecure
    }

    pub(crate) fn is_welcome(&self) -> bool {
        self.is_welcome.load(Ordering::SeqCst)
    }

    pub(crate) fn welcome(&self) {
        self.is_welcome.store(true, Ordering::SeqCst);
    }

    /// Whether a token gives what the first one gave.
    pub(crate) fn was_given(&self, given: &Given) -> bool {
        self.given == digest(given)
    }

    /// Another token is in the place of the connection's.
    pub(crate) fn renew(&self, claims: &Claims) {
        self.holds().connection = Mark::of(claims);
    }

    /// A subscription is opened, or goes on, by a token of its own.
    pub(crate) fn open(&self, channel: &ChannelName, claims: &Claims) {
        self.holds().subscriptions.insert(channel.clone(), Mark::of(claims));
    }

    /// A subscription has ended, or did not begin.
    pub(crate) fn close(&self, channel: &ChannelName) {
        self.holds().subscriptions.remove(channel);
    }

    /// Whether a token says that it may do that in the channel: what a subscription token says holds while there is a
    /// subscription by it, and it opens no other.
    pub(crate) fn token_allows(
        &self,
        channel: &ChannelName,
        operation: Operation,
        is_subscribed: impl FnOnce() -> bool,
    ) -> bool {
        let by_subscription = |mark: &Mark| operation != Operation::Subscribe && mark.allow.contains(operation);
        self.caps.allow(channel, operation)
            || (self.holds().subscriptions.get(channel).is_some_and(by_subscription) && is_subscribed())
    }

    /// Takes one publication from what it may still publish in a namespace.
    pub(crate) fn may_publish(&self, namespace: &str, rate: Rate, now: Instant) -> bool {
        self.holds().publishes.entry(namespace.to_owned()).or_default().take(rate, now)
    }

    fn ended_by(&self, denial: &Denial) -> Vec<Order> {
        let holds = self.holds();
        let to = || Target::Client(self.client.to_string());
        match denial.denies(&holds.connection.presented(&self.user, None)) {
            Some(Verdict::Blocked) => return vec![Order::disconnect(to(), Disconnect::FORCE_DISCONNECT)],
            Some(Verdict::Revoked) => return vec![Order::disconnect(to(), Disconnect::INVALID_TOKEN)],
            None => {}
        }
        let denied = |(channel, mark): &(&ChannelName, &Mark)| {
            denial.denies(&mark.presented(&self.user, Some(channel.as_str()))).is_some()
        };
        let ended = holds.subscriptions.iter().filter(denied);
        ended.map(|(channel, _)| Order::unsubscribe(to(), Some(channel.clone()), Unsubscribe::SERVER)).collect()
    }

    fn holds(&self) -> MutexGuard<'_, Holds> {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mark {
    fn of(claims: &Claims) -> Self {
        let allow = claims.subscription.as_ref().map_or_else(Operations::default, |subscription| subscription.allow);
        Self { id: claims.id.as_deref().map(Box::from), issued: claims.issued, allow }
    }

    fn presented<'a>(&'a self, user: &'a str, channel: Option<&'a str>) -> Presented<'a> {
        Presented { user, id: self.id.as_deref(), issued: self.issued, channel }
    }
}

fn id_of(client: &Peer) -> Uuid {
    Uuid::parse_str(&client.id()).unwrap_or_default()
}

/// By which what two tokens give is compared; a connection need not hold it for that.
fn digest(given: &Given) -> u64 {
    let mut hasher = DefaultHasher::new();
    given.hash(&mut hasher);
    hasher.finish()
}

/// What is left of a rate.
#[derive(Default)]
struct Bucket {
    /// What was taken and is not earned again yet.
    taken: f64,
    counted_at: Option<Instant>,
}

impl Bucket {
    fn take(&mut self, rate: Rate, now: Instant) -> bool {
        let since = self.counted_at.map_or(std::time::Duration::ZERO, |at| now.saturating_duration_since(at));
        self.taken = (self.taken - since.as_secs_f64() * f64::from(rate.per_second)).max(0.0);
        self.counted_at = Some(now);
        let may = self.taken + 1.0 <= f64::from(rate.burst);
        self.taken += if may { 1.0 } else { 0.0 };
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::Subscription;
    use tidings_hub::{Act, Remote};

    fn bearer(all: &Bearers, user: &str, id: &str, issued: i64) -> Arc<Bearer> {
        let client = Peer::new(Uuid::new_v4(), None, Remote::default());
        let mut claims = Claims {
            user: user.into(),
            id: Some(id.into()),
            issued: Some(Time::from_millis(issued)),
            ..Claims::default()
        };
        all.enter(&client, &mut claims)
    }

    fn opened(bearer: &Bearer, channel: &str, id: &str, issued: i64) {
        let subscription = Subscription { channel: channel.into(), ..Subscription::default() };
        let (id, issued) = (Some(id.to_owned()), Some(Time::from_millis(issued)));
        bearer.open(
            &ChannelName::parse(channel).unwrap(),
            &Claims { id, issued, subscription: Some(subscription), ..Claims::default() },
        );
    }

    fn revoked(user: &str, channel: Option<&str>, before: i64) -> Denial {
        let channel = channel.map(str::to_owned);
        Denial::Tokens { user: user.into(), channel, issued_before: Time::from_millis(before) }
    }

    /// Whom it ends, with the code or, of a subscription, the channel.
    fn ended(all: &Bearers, denial: &Denial) -> Vec<(Uuid, String)> {
        let read = |order: Order| {
            let Target::Client(client) = order.to else { panic!("{:?}", order.to) };
            let what = match order.act {
                Act::Disconnect(why) => why.code.to_string(),
                Act::Unsubscribe(Some(channel), why) => format!("{channel} {}", why.code),
                other => panic!("{other:?}"),
            };
            (client.parse().unwrap(), what)
        };
        all.ended_by(denial).into_iter().map(read).collect()
    }

    #[test]
    fn a_denial_ends_the_connections_whose_token_it_denies_and_no_others() {
        let all = Bearers::default();
        let (old, new, other) = (bearer(&all, "ana", "a", 1), bearer(&all, "ana", "b", 5), bearer(&all, "bea", "c", 1));
        assert_eq!(ended(&all, &Denial::Token { id: "b".into() }), [(new.client, "3500".into())]);
        assert_eq!(ended(&all, &revoked("ana", None, 5)), [(old.client, "3500".into())]);
        assert_eq!(ended(&all, &Denial::User { user: "bea".into() }), [(other.client, "3503".into())]);
        drop(other);
        assert_eq!(ended(&all, &Denial::User { user: "bea".into() }), []);
        assert_eq!(all.lock().len(), 2);
    }

    #[test]
    fn a_connection_goes_by_the_token_that_it_has_now() {
        let all = Bearers::default();
        let ana = bearer(&all, "ana", "a", 1);
        ana.renew(&Claims { id: Some("b".into()), issued: Some(Time::from_millis(9)), ..Claims::default() });
        assert_eq!(ended(&all, &Denial::Token { id: "a".into() }), []);
        assert_eq!(ended(&all, &revoked("ana", None, 9)), []);
        assert_eq!(ended(&all, &Denial::Token { id: "b".into() }), [(ana.client, "3500".into())]);
    }

    #[test]
    fn of_subscriptions_those_end_that_were_opened_by_a_token_that_is_denied() {
        let all = Bearers::default();
        let ana = bearer(&all, "ana", "a", 9);
        opened(&ana, "news", "n", 1);
        opened(&ana, "sport", "s", 1);
        let news = [(ana.client, "news 2000".to_owned())];
        assert_eq!(ended(&all, &Denial::Token { id: "n".into() }), news);
        assert_eq!(ended(&all, &revoked("ana", Some("news"), 5)), news);
        assert_eq!(ended(&all, &revoked("ana", None, 5)).len(), 2);
        ana.close(&ChannelName::parse("news").unwrap());
        assert_eq!(ended(&all, &revoked("ana", Some("news"), 5)), []);
    }
}

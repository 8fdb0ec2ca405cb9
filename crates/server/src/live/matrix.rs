//! Who may do what with a client token, in every kind of channel and by every rule (S34): the rows are made from the list
//! of the protocol's operations, so that one without a row does not compile.

use super::{Doors, TokenPolicy};
use crate::channels::{Channels, Format, Namespace, Rule, Rules, Table};
use crate::tokens::{Issuer, Issuers, Order, Parties, Signer, Tokens};
use futures_util::FutureExt;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;
use tidings_chat::Denials;
use tidings_hub::{ChannelOptions, Connection, ConnectionOptions, Hub, Offered, Source, Step};
use tidings_protocol::{
    ConnectRequest, HistoryRequest, Payload, PresenceRequest, PresenceStatsRequest, PublishRequest, RefreshRequest,
    Request, RpcRequest, SendRequest, SubRefreshRequest, SubscribeRequest, UnsubscribeRequest,
};

const SECRET: &str = "a-secret-of-thirty-two-bytes-or-so";

/// What an operation needs of who asks for it.
#[derive(Clone, Copy, Debug)]
enum Needs {
    /// A rule of the channel's namespace.
    Rule(fn(&Rules) -> Rule),
    /// To be let in by the channel's namespace.
    Entry,
    /// Nothing of a channel that the client is not in: it is its own.
    Own,
    /// No channel: something else decides, and is tested there.
    NoChannel,
}

/// The row of an operation. Every operation of the protocol has one, or this does not compile.
fn needs(request: &Request) -> Needs {
    match request {
        Request::Subscribe(_) => Needs::Entry,
        Request::Publish(_) => Needs::Rule(|rules| rules.publish),
        Request::Presence(_) | Request::PresenceStats(_) => Needs::Rule(|rules| rules.presence),
        Request::History(_) => Needs::Rule(|rules| rules.history),
        Request::Unsubscribe(_) | Request::SubRefresh(_) => Needs::Own,
        Request::Connect(_) | Request::Ping(_) | Request::Rpc(_) | Request::Send(_) | Request::Refresh(_) => {
            Needs::NoChannel
        }
    }
}

/// One of each operation, in a channel.
fn operations(channel: &str) -> Vec<Request> {
    let channel = channel.to_owned();
    let data = Some(Payload::parse(b"1").unwrap());
    vec![
        Request::Connect(Box::<ConnectRequest>::default()),
        Request::Subscribe(Box::new(SubscribeRequest { channel: channel.clone(), ..Default::default() })),
        Request::Unsubscribe(UnsubscribeRequest { channel: channel.clone() }),
        Request::Publish(PublishRequest { channel: channel.clone(), data: data.clone(), ..Default::default() }),
        Request::Presence(PresenceRequest { channel: channel.clone() }),
        Request::PresenceStats(PresenceStatsRequest { channel: channel.clone() }),
        Request::History(HistoryRequest { channel: channel.clone(), ..Default::default() }),
        Request::Rpc(RpcRequest { data: data.clone(), method: "m".into() }),
        Request::Send(SendRequest { data }),
        Request::Refresh(RefreshRequest { token: "t".into() }),
        Request::SubRefresh(SubRefreshRequest { channel, token: "t".into(), ..Default::default() }),
    ]
}

/// A rule by its four bits.
fn rule(bits: u8) -> Rule {
    let bit = |number: u8| bits & (1 << number) != 0;
    Rule { token: bit(0), user: bit(1), anonymous: bit(2), subscriber: bit(3) }
}

const NOBODY: Rule = Rule { token: false, user: false, anonymous: false, subscriber: false };

fn namespace(name: &str, rules: Rules) -> Namespace {
    let options = ChannelOptions {
        history: Source::memory(10, Duration::from_secs(60)),
        recovery: Offered::Always,
        presence: true,
        ..ChannelOptions::default()
    };
    Namespace {
        name: name.to_owned(),
        options: Arc::new(options),
        rules,
        user_limited: name == "limited",
        personal: false,
        single_connection: false,
        format: Format::Json,
        name_regex: None,
        publication_bytes_max: 100,
        channels_per_connection_max: None,
        publishes: None,
    }
}

struct World {
    hub: Hub,
    signer: Signer,
    channels: Arc<Channels>,
}

impl World {
    fn new() -> Self {
        let issuers = Issuers::new(Issuer::own(SECRET, Parties::default()), Vec::new());
        let tokens = Arc::new(Tokens::new(issuers, false));
        let channels = Arc::new(Channels::new(table(NOBODY, NOBODY)));
        let doors = Doors { anonymous_tokens: true, ..Doors::default() };
        let policy = TokenPolicy::new(tokens, Denials::default(), crate::serve::clock(), doors, channels.clone());
        let signer = Signer::own(SECRET, Parties::default());
        Self { hub: Hub::builder(Arc::new(policy)).build(), signer, channels }
    }

    fn token(&self, user: &str, channel: Option<&str>) -> String {
        let (user, channel) = (user.to_owned(), channel.map(ToOwned::to_owned));
        let order = Order { user, channel, ttl: Some(Duration::from_secs(60)), more: Map::new() };
        self.signer.sign(order).unwrap()
    }

    fn client(&self, user: &str) -> Client {
        let mut client =
            Client { hub: self.hub.clone(), connection: self.hub.connect(ConnectionOptions::default()), id: 0 };
        let token = self.token(user, None);
        assert!(client.ask("connect", &json!({"token": token})).get("connect").is_some());
        client
    }
}

/// A table in which everything has these rules: how one enters, and what one may do.
fn table(subscribe: Rule, other: Rule) -> Table {
    let rules = Rules { subscribe, publish: other, presence: other, history: other };
    let mut table = Table::new(namespace("", rules));
    table.add(namespace("open", rules), None).unwrap();
    table.add(namespace("limited", rules), None).unwrap();
    table.add(namespace("pattern", rules), Some("/users/{user}/orders")).unwrap();
    table
}

struct Client {
    hub: Hub,
    connection: Connection,
    id: u32,
}

impl Client {
    /// Says one command, and returns its reply, or `{"closed": code}`.
    fn ask(&mut self, method: &str, params: &Value) -> Value {
        self.id += 1;
        let id = self.id;
        self.connection.receive(json!({"id": id, method: params}).to_string().as_bytes());
        self.hub.run_loops();
        while let Some(step) = self.connection.next().now_or_never() {
            match step {
                Step::Send(frames) => {
                    let replies = frames.iter().flat_map(|frame| frame.split(|byte| *byte == b'\n'));
                    let mut replies = replies.map(|reply| serde_json::from_slice::<Value>(reply).unwrap());
                    if let Some(reply) = replies.find(|reply| reply["id"] == id) {
                        return reply;
                    }
                }
                Step::Close(why) => return json!({"closed": why.code}),
                Step::Flush | Step::Read => {}
            }
            self.hub.run_loops();
        }
        panic!("no reply to {method} {params}")
    }

    /// Whether an operation is allowed. Whatever is not is refused by one of the codes that the protocol has for it.
    fn may(&mut self, request: &Request) -> bool {
        let (method, params) = match request {
            Request::Subscribe(request) => ("subscribe", serde_json::to_value(request)),
            Request::Publish(request) => ("publish", serde_json::to_value(request)),
            Request::Presence(request) => ("presence", serde_json::to_value(request)),
            Request::PresenceStats(request) => ("presence_stats", serde_json::to_value(request)),
            Request::History(request) => ("history", serde_json::to_value(request)),
            Request::Unsubscribe(request) => ("unsubscribe", serde_json::to_value(request)),
            Request::SubRefresh(request) => ("sub_refresh", serde_json::to_value(request)),
            other => panic!("{other:?} is about no channel"),
        };
        let reply = self.ask(method, &params.unwrap());
        match reply["error"]["code"].as_u64() {
            None => true,
            Some(102 | 103) => false,
            Some(_) => panic!("{reply}"),
        }
    }
}

/// What a name says of who is let in.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Says {
    Nothing,
    /// These, and no others without a token.
    Users(&'static [&'static str]),
    /// Private: those alone whom the backend lets in.
    Private,
    /// Nobody, by whatever rule.
    Closed,
}

const PLACES: [(&str, Says); 10] = [
    ("news", Says::Nothing),
    ("open:news", Says::Nothing),
    ("open:news#ana", Says::Nothing),
    ("$open:news", Says::Private),
    ("$news", Says::Private),
    ("limited:x#ana,ben", Says::Users(&["ana", "ben"])),
    ("/users/ana/orders", Says::Users(&["ana"])),
    ("room:01a202c4-0000-7000-8000-000000000000", Says::Closed),
    ("user:01a202c4-0000-7000-8000-000000000000", Says::Closed),
    ("unknown:news", Says::Closed),
];

/// The oracle, written apart from the policy.
fn is_let_in(says: Says, rule: Rule, user: &str) -> bool {
    match says {
        Says::Closed | Says::Private => false,
        Says::Users(named) => named.contains(&user),
        Says::Nothing if user.is_empty() => rule.anonymous,
        Says::Nothing => rule.user,
    }
}

fn is_allowed(says: Says, rule: Rule, user: &str, is_subscribed: bool) -> bool {
    let by_rule = if user.is_empty() { rule.anonymous } else { rule.user } || rule.subscriber && is_subscribed;
    by_rule
        && match says {
            Says::Closed => false,
            Says::Private => is_subscribed,
            Says::Users(named) => named.contains(&user) || is_subscribed,
            Says::Nothing => true,
        }
}

#[tokio::test(start_paused = true)]
async fn s34_who_may_subscribe_by_rule_and_name() {
    let world = World::new();
    for bits in 0..16 {
        world.channels.replace(table(rule(bits), NOBODY));
        for (channel, says) in PLACES {
            for user in ["ana", "ben", "eve", ""] {
                let mut client = world.client(user);
                for request in operations(channel).iter().filter(|request| matches!(needs(request), Needs::Entry)) {
                    let expected = is_let_in(says, rule(bits), user);
                    assert_eq!(client.may(request), expected, "{user:?} in {channel} by {:?}: {request:?}", rule(bits));
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn s34_a_subscription_token_opens_what_takes_tokens_to_its_own_user_alone() {
    let world = World::new();
    for bits in 0..16 {
        world.channels.replace(table(rule(bits), NOBODY));
        for (channel, says) in PLACES {
            let token = world.token("ana", Some(channel));
            let ask = |user: &str| world.client(user).ask("subscribe", &json!({"channel": channel, "token": token}));
            let answer = ask("ana");
            let expected = says != Says::Closed && rule(bits).token;
            assert_eq!(answer.get("subscribe").is_some(), expected, "{channel} by {:?}: {answer}", rule(bits));
            assert!(ask("eve").get("subscribe").is_none(), "{channel}: it is ana's");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn s34_who_may_do_what_by_rule_by_name_and_by_being_subscribed() {
    let world = World::new();
    // Whoever is to be subscribed comes in by a token, which works for all that is not closed.
    let entry = rule(1);
    for bits in 0..16 {
        world.channels.replace(table(entry, rule(bits)));
        for (channel, says) in PLACES {
            for user in ["ana", "eve", ""] {
                for is_subscribed in [false, true] {
                    if is_subscribed && says == Says::Closed {
                        continue;
                    }
                    let mut client = world.client(user);
                    if is_subscribed {
                        let token = world.token(user, Some(channel));
                        let answer = client.ask("subscribe", &json!({"channel": channel, "token": token}));
                        assert!(answer.get("subscribe").is_some(), "{user:?} {channel}: {answer}");
                    }
                    for request in operations(channel) {
                        let Needs::Rule(_) = needs(&request) else { continue };
                        let expected = is_allowed(says, rule(bits), user, is_subscribed);
                        let who = format!("{user:?} subscribed: {is_subscribed}");
                        assert_eq!(
                            client.may(&request),
                            expected,
                            "{who} in {channel} by {:?}: {request:?}",
                            rule(bits)
                        );
                    }
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn s34_each_rule_is_asked_for_its_own_operation_and_what_is_ones_own_needs_none() {
    let world = World::new();
    let all = rule(0b1111);
    type Change = fn(&mut Rules);
    let opened: [Change; 3] = [
        |rules| rules.publish = rule(0b1111),
        |rules| rules.presence = rule(0b1111),
        |rules| rules.history = rule(0b1111),
    ];
    for open in opened {
        let mut rules = Rules { subscribe: all, publish: NOBODY, presence: NOBODY, history: NOBODY };
        open(&mut rules);
        world.channels.replace(Table::new(namespace("", rules)));
        let mut client = world.client("ana");
        for request in operations("news") {
            match needs(&request) {
                Needs::Rule(of) => assert_eq!(client.may(&request), of(&rules) == all, "{request:?} by {rules:?}"),
                Needs::Own if matches!(request, Request::Unsubscribe(_)) => assert!(client.may(&request)),
                // Without a subscription there is nothing to extend.
                Needs::Own => assert!(!client.may(&request), "{request:?}"),
                Needs::Entry => assert!(client.may(&request)),
                Needs::NoChannel => {}
            }
        }
    }
}

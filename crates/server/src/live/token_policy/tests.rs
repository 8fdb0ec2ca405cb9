//! Revoked tokens and blocked users: live connections end before whoever denied is answered, and nobody comes back with them.
//! What a token gives is held against the namespaces, and whoever has one connection at a time has one.

use super::super::LivePolicy;
use super::*;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::tokens::{Issuer, Issuers, Order as TokenOrder, Parties, Signer};
use serde_json::{Map, Value, json};
use std::collections::VecDeque;
use tempfile::TempDir;
use tidings_chat::{Options, Time};
use tidings_hub::{Connection, ConnectionOptions, Hub, Step};
use tokio::time::timeout;

const SECRET: &str = "a-secret-of-thirty-two-bytes-or-so";

/// A server without its sockets.
struct World {
    chat: Chat,
    hub: Hub,
    channels: Arc<Channels>,
    dir: TempDir,
}

struct Client {
    connection: Connection,
    seen: VecDeque<Value>,
}

impl World {
    async fn new() -> Self {
        Self::configured("").await
    }

    /// With a `tidings.toml`.
    async fn configured(file: &str) -> Self {
        Self::in_folder(tempfile::tempdir().unwrap(), file).await
    }

    async fn in_folder(dir: TempDir, file: &str) -> Self {
        let clock = crate::serve::clock();
        let chat = Chat::open(Options::new(dir.path(), clock.clone())).await.unwrap();
        let tokens = Tokens::new(Issuers::new(Issuer::own(SECRET, Parties::default()), Vec::new()), false);
        let channels = Arc::new(Channels::new(Config::parse_for_tests(file).channels()));
        let denials = chat.denials().clone();
        let policy = TokenPolicy::new(Arc::new(tokens), denials, clock, Doors::default(), channels.clone());
        chat.denials().enforce_by(policy.ended_by());
        let policy = Arc::new(LivePolicy::new(chat.clone(), policy, Arc::new(Metrics::new())));
        let hub = Hub::builder(policy.clone()).application(policy.clone()).build();
        chat.announce_to(hub.clone());
        policy.close_by(hub.clone());
        Self { chat, hub, channels, dir }
    }

    fn configure(&self, channels: &str) {
        self.channels.replace(Config::parse_for_tests(channels).channels());
    }

    /// The same data after a restart.
    async fn restart(self) -> Self {
        self.chat.close().await;
        Self::in_folder(self.dir, "").await
    }

    fn client(&self) -> Client {
        Client { connection: self.hub.connect(ConnectionOptions::default()), seen: VecDeque::new() }
    }

    async fn connected(&self, token: &str) -> Client {
        let mut client = self.client();
        let answer = client.ask(json!({"connect": {"token": token}})).await;
        assert!(answer["connect"].is_object(), "{answer}");
        client
    }

    /// With what a connect with this token ends; 0 when it is welcome.
    async fn outcome(&self, token: &str) -> u64 {
        self.client().outcome(json!({"connect": {"token": token}})).await
    }
}

impl Client {
    async fn step(&mut self) -> Result<(), u16> {
        match timeout(Duration::from_secs(10), self.connection.next()).await.expect("the server says something") {
            Step::Send(frames) => {
                let lines = frames.iter().flat_map(|frame| frame.split(|byte| *byte == b'\n'));
                self.seen.extend(lines.map(|line| serde_json::from_slice::<Value>(line).unwrap()));
            }
            Step::Close(why) => return Err(why.code),
            Step::Flush | Step::Read => {}
        }
        Ok(())
    }

    async fn next(&mut self) -> Result<Value, u16> {
        loop {
            if let Some(seen) = self.seen.pop_front() {
                return Ok(seen);
            }
            self.step().await?;
        }
    }

    /// The answer to a command.
    async fn ask(&mut self, command: Value) -> Value {
        self.answer(command).await.unwrap_or_else(|code| panic!("closed with {code}"))
    }

    async fn answer(&mut self, mut command: Value) -> Result<Value, u16> {
        command["id"] = 7.into();
        self.connection.receive(command.to_string().as_bytes());
        loop {
            let answer = self.next().await?;
            if answer["id"] == 7 {
                return Ok(answer);
            }
        }
    }

    async fn outcome(&mut self, command: Value) -> u64 {
        match self.answer(command).await {
            Ok(answer) => answer["error"]["code"].as_u64().unwrap_or_default(),
            Err(code) => code.into(),
        }
    }

    async fn subscribe(&mut self, channel: &str, token: &str) -> u64 {
        self.outcome(json!({"subscribe": {"channel": channel, "token": token}})).await
    }

    /// The code with which it is closed.
    async fn closed(&mut self) -> u16 {
        loop {
            if let Err(code) = self.next().await {
                return code;
            }
        }
    }

    /// The subscription that the server has ended, and with which code.
    async fn unsubscribed(&mut self) -> (String, u64) {
        loop {
            let push = self.next().await.unwrap()["push"].take();
            if let Some(code) = push["unsubscribe"]["code"].as_u64() {
                return (push["channel"].as_str().unwrap().to_owned(), code);
            }
        }
    }
}

fn token(user: &str, id: &str, issued: Option<i64>) -> String {
    signed(user, None, id, issued)
}

fn signed(user: &str, channel: Option<&str>, id: &str, issued: Option<i64>) -> String {
    let more = Map::from_iter([("jti".to_owned(), id.into()), ("iat".to_owned(), json!(issued))]);
    let (user, channel, ttl) = (user.to_owned(), channel.map(str::to_owned), Some(Duration::from_secs(600)));
    Signer::own(SECRET, Parties::default()).sign(TokenOrder { user, channel, ttl, more }).unwrap()
}

fn giving(claims: Value) -> String {
    let Value::Object(more) = claims else { panic!("{claims}") };
    let order = TokenOrder { user: "ana".into(), channel: None, ttl: Some(Duration::from_secs(600)), more };
    Signer::own(SECRET, Parties::default()).sign(order).unwrap()
}

fn at(second: i64) -> Time {
    Time::from_millis(second * 1_000)
}

#[tokio::test]
async fn a_revoked_token_is_closed_with_3500_at_once_and_refused_when_it_comes_back_also_after_a_restart() {
    let world = World::new().await;
    let (stolen, own) = (token("ana", "stolen", Some(5)), token("ana", "own", Some(5)));
    let (mut thief, mut ana) = (world.connected(&stolen).await, world.connected(&own).await);
    world.chat.revoke_token("stolen", None).await.unwrap();
    assert_eq!(thief.closed().await, 3500);
    assert_eq!(ana.subscribe("open", "").await, 0, "another token of the same user is good");
    assert_eq!((world.outcome(&stolen).await, world.outcome(&own).await), (3500, 0));
    let world = world.restart().await;
    assert_eq!((world.outcome(&stolen).await, world.outcome(&own).await), (3500, 0));
}

#[tokio::test]
async fn of_a_users_tokens_those_from_before_are_revoked_and_those_that_do_not_say_when_they_are_from() {
    let world = World::new().await;
    let (old, new, undated) = (token("ana", "a", Some(5)), token("ana", "b", Some(9)), token("ana", "c", None));
    let mut clients = Vec::new();
    for token in [&old, &new, &undated] {
        clients.push(world.connected(token).await);
    }
    let mut bea = world.connected(&token("bea", "d", Some(5))).await;
    world.chat.revoke_user("ana", None, Some(at(9)), None).await.unwrap();
    assert_eq!((clients[0].closed().await, clients[2].closed().await), (3500, 3500));
    assert_eq!((clients[1].subscribe("open", "").await, bea.subscribe("open", "").await), (0, 0));
    assert_eq!(world.outcome(&old).await, 3500);
    assert_eq!((world.outcome(&new).await, world.outcome(&undated).await), (0, 3500));
    // A refresh with one is no better.
    assert_eq!(clients[1].outcome(json!({"refresh": {"token": old}})).await, 3500);
}

#[tokio::test]
async fn a_blocked_user_is_closed_with_3503_at_once_and_refused_with_3507_until_they_are_let_in_again() {
    let world = World::new().await;
    let token = token("ana", "a", Some(5));
    let mut ana = world.connected(&token).await;
    world.chat.block("ana", None).await.unwrap();
    assert_eq!(ana.closed().await, 3503);
    assert_eq!(world.outcome(&token).await, 3507);
    world.chat.unblock("ana").await.unwrap();
    assert_eq!(world.outcome(&token).await, 0);
    world.chat.block("ana", Some(at(5))).await.unwrap();
    assert_eq!(world.outcome(&token).await, 0, "it has ended");
}

#[tokio::test]
async fn a_revoked_subscription_token_ends_its_subscription_alone() {
    let world = World::new().await;
    let mut ana = world.connected(&token("ana", "a", Some(20))).await;
    let (one, other) = (signed("ana", Some("$one"), "s", Some(5)), signed("ana", Some("$two"), "t", Some(5)));
    assert_eq!((ana.subscribe("$one", &one).await, ana.subscribe("$two", &other).await), (0, 0));
    world.chat.revoke_token("s", None).await.unwrap();
    assert_eq!(ana.unsubscribed().await, ("$one".into(), 2000));
    assert_eq!(ana.subscribe("$one", &one).await, 103);
    assert_eq!(ana.subscribe("$one", &signed("ana", Some("$one"), "u", Some(5))).await, 0);
    // Of one channel, by time: the connection and the others go on.
    world.chat.revoke_user("ana", Some("$two"), Some(at(9)), None).await.unwrap();
    assert_eq!(ana.unsubscribed().await, ("$two".into(), 2000));
    assert_eq!(ana.subscribe("$two", &other).await, 103);
    assert_eq!(ana.subscribe("$two", &signed("ana", Some("$two"), "v", Some(9))).await, 0);
    let refresh = json!({"sub_refresh": {"channel": "$two", "token": other}});
    assert_eq!(ana.outcome(refresh).await, 3500);
}

#[tokio::test]
async fn a_subscription_that_ended_by_itself_is_ended_by_nobody() {
    let world = World::new().await;
    let mut ana = world.connected(&token("ana", "a", Some(20))).await;
    let one = signed("ana", Some("$one"), "s", Some(5));
    assert_eq!(ana.subscribe("$one", &one).await, 0);
    ana.ask(json!({"unsubscribe": {"channel": "$one"}})).await;
    assert_eq!(ana.subscribe("$one", &signed("ana", Some("$one"), "t", Some(9))).await, 0);
    world.chat.revoke_token("s", None).await.unwrap();
    assert_eq!(ana.subscribe("$one", "").await, 105, "it is still there");
}

#[tokio::test]
async fn a_token_of_one_connection_opens_nothing_for_another() {
    let world = World::new().await;
    let mut ana = world.connected(&token("ana", "a", Some(20))).await;
    let named = |client: &str| {
        let more = Map::from_iter([("client".to_owned(), client.into())]);
        let (channel, ttl) = (Some("$one".into()), Some(Duration::from_secs(600)));
        let order = TokenOrder { user: String::new(), channel, ttl, more };
        Signer::own(SECRET, Parties::default()).sign(order).unwrap()
    };
    let own = named(ana.connection.id().as_str());
    assert_eq!(ana.subscribe("$one", &own).await, 0);
    assert_eq!(world.connected(&token("ana", "b", Some(20))).await.subscribe("$one", &own).await, 3500);
}

/// Whoever comes while the token is revoked is closed or refused, at whichever moment.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_slips_in_while_their_token_is_being_revoked() {
    let world = Arc::new(World::new().await);
    for round in 0..50 {
        let id = format!("token {round}");
        let token = token("ana", &id, Some(5));
        let coming = tokio::spawn({
            let world = world.clone();
            async move {
                let mut client = world.client();
                match client.answer(json!({"connect": {"token": token}})).await {
                    Ok(_) => client.closed().await,
                    Err(code) => code,
                }
            }
        });
        if round % 2 == 0 {
            tokio::task::yield_now().await;
        }
        world.chat.revoke_token(&id, None).await.unwrap();
        assert_eq!(coming.await.unwrap(), 3500, "{round}");
    }
}

/// A subscription token that lets its subscriber publish.
fn for_publishing(channel: &str) -> String {
    let more = Map::from_iter([("allow".to_owned(), json!(["pub"]))]);
    let (user, channel, ttl) = ("ana".to_owned(), Some(channel.to_owned()), Some(Duration::from_secs(600)));
    Signer::own(SECRET, Parties::default()).sign(TokenOrder { user, channel, ttl, more }).unwrap()
}

#[tokio::test]
async fn what_a_token_allows_goes_with_the_subscription_that_it_did_not_open() {
    let world = World::new().await;
    world.configure(
        "[channels]\nsubscribe = ['user', 'token']\npublish = ['token']\nhistory_size = 5\nrecovery = 'always'",
    );
    let mut ana = world.connected(&token("ana", "a", None)).await;
    let publish = json!({"publish": {"channel": "news", "data": 1}});
    let lost = json!({"subscribe": {
        "channel": "news", "token": for_publishing("news"), "recover": true, "epoch": "other", "offset": 7, "flag": 2,
    }});
    assert_eq!(ana.outcome(lost).await, 112);
    assert_eq!(ana.subscribe("news", "").await, 0);
    assert_eq!(ana.outcome(publish.clone()).await, 103);
    ana.ask(json!({"unsubscribe": {"channel": "news"}})).await;
    assert_eq!(ana.subscribe("news", &for_publishing("news")).await, 0);
    assert_eq!(ana.outcome(publish).await, 0);
}

#[tokio::test]
async fn a_subscription_is_not_extended_where_tokens_open_nothing_any_more() {
    let world = World::new().await;
    let mut ana = world.connected(&token("ana", "a", None)).await;
    assert_eq!(ana.subscribe("n:news", &for_publishing("n:news")).await, 0);
    let refresh = || json!({"sub_refresh": {"channel": "n:news", "token": for_publishing("n:news")}});
    assert_eq!(ana.outcome(refresh()).await, 0);
    world.configure("[namespaces.n]\nsubscribe = ['user']");
    assert_eq!(ana.outcome(refresh()).await, 103);
    world.configure("[namespaces.other]");
    assert_eq!(ana.outcome(refresh()).await, 102);
}

/// Whatever letters their names have.
#[tokio::test]
async fn channels_of_users_own_do_not_have_to_match_what_other_names_must() {
    let world = World::new().await;
    world.configure("[namespaces.own]\npersonal = true\nname_regex = '^[a-z]+$'\npublish = ['user']");
    let mut ana = world.connected(&token("ana", "a", None)).await;
    assert_eq!(ana.outcome(json!({"publish": {"channel": "own:#ana", "data": 1}})).await, 0);
    assert_eq!(ana.outcome(json!({"publish": {"channel": "own:7", "data": 1}})).await, 107);
}

#[tokio::test]
async fn what_a_token_gives_is_held_against_the_namespaces_as_what_a_client_asks_for_is() {
    const FILE: &str = "[namespaces.news]\nname_regex = \"^[a-z]+$\"\nchannels_per_connection_max = 2\nsubscribe = []\n\
                        [namespaces.me]\npersonal = true\nchannels_per_connection_max = 2\n";
    let world = World::configured(FILE).await;
    for (channels, code) in [
        (&["news:a", "news:b", "$secret", "lobby", "room:1"][..], 0),
        (&["me:#ana", "me:b"], 0),
        (&["other:a"], 102),
        (&["$other:a"], 102),
        (&["news:1"], 107),
        (&["lobby", "news:a", "news:b", "$news:c"], 3505),
        (&["me:a", "me:b"], 3505),
    ] {
        let subs: Map<_, _> = channels.iter().map(|name| ((*name).to_owned(), json!({}))).collect();
        assert_eq!(world.outcome(&giving(json!({"channels": channels}))).await, code, "channels {channels:?}");
        assert_eq!(world.outcome(&giving(json!({"subs": subs}))).await, code, "subs {channels:?}");
    }
    let both = giving(json!({"channels": ["news:a", "news:b"], "subs": {"news:b": {}, "news:c": {}}}));
    assert_eq!(world.outcome(&both).await, 3505, "they count together");
    // A client that asks for one more than it was given is refused too.
    let mut ana = world.connected(&giving(json!({"channels": ["me:b"]}))).await;
    assert_eq!(ana.subscribe("me:c", "").await, 106);
}

#[tokio::test]
async fn a_namespace_for_one_personal_channel_has_room_for_it_and_for_none_beside_it() {
    let world = World::configured("[namespaces.me]\npersonal = true\nchannels_per_connection_max = 0\n").await;
    let mut ana = world.connected(&token("ana", "a", None)).await;
    assert_eq!(ana.subscribe("me:#ana", "").await, 105);
    assert_eq!(world.outcome(&giving(json!({"channels": ["me:a"]}))).await, 3505);
}

const SINGLE: &str = "[namespaces.me]\npersonal = true\nsingle_connection = true\n";

#[tokio::test]
async fn a_new_connection_ends_the_one_before_it_where_a_user_has_one_at_a_time() {
    let world = World::configured(SINGLE).await;
    let (ana, bea) = (token("ana", "a", None), token("bea", "b", None));
    let (mut first, mut other) = (world.connected(&ana).await, world.connected(&bea).await);
    let mut second = world.connected(&ana).await;
    assert_eq!(first.closed().await, 3504);
    let mut third = world.connected(&ana).await;
    assert_eq!(second.closed().await, 3504);
    // Who is refused is no new connection.
    assert_eq!(world.outcome(&giving(json!({"channels": ["other:a"]}))).await, 102);
    assert_eq!((third.subscribe("lobby", "").await, other.subscribe("lobby", "").await), (0, 0));
}

#[tokio::test]
async fn a_user_has_as_many_connections_as_they_like_where_nothing_else_is_said() {
    let world = World::configured("[namespaces.me]\npersonal = true\n").await;
    let ana = token("ana", "a", None);
    let (mut first, mut second) = (world.connected(&ana).await, world.connected(&ana).await);
    assert_eq!((first.subscribe("lobby", "").await, second.subscribe("lobby", "").await), (0, 0));
}

/// They do not end each other, so that none would stay.
#[tokio::test(flavor = "multi_thread")]
async fn of_connections_that_come_at_once_one_stays() {
    let world = Arc::new(World::configured(SINGLE).await);
    let ana = token("ana", "a", None);
    for _ in 0..20 {
        let mut coming = tokio::task::JoinSet::new();
        for _ in 0..10 {
            let (world, ana) = (world.clone(), ana.clone());
            coming.spawn(async move {
                let mut client = world.client();
                match client.answer(json!({"connect": {"token": ana}})).await {
                    Ok(_) => client.closed().await,
                    Err(code) => code,
                }
            });
        }
        for _ in 1..10 {
            let ended = timeout(Duration::from_secs(10), coming.join_next()).await.expect("all but one end");
            assert_eq!(ended.unwrap().unwrap(), 3504);
        }
        assert!(coming.try_join_next().is_none());
        // Who is told of the end is still counted for a moment.
        let one_left = async {
            while world.hub.num_connections("ana", false) > 1 {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(10), one_left).await.expect("one stays");
        assert_eq!(world.hub.num_connections("ana", false), 1);
    }
}

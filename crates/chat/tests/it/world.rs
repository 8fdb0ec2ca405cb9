//! One small world for all tests: a chat on its own data directory, its hub, people, and what their browsers see.

use std::{
    collections::VecDeque,
    net::{IpAddr, Ipv4Addr},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::FutureExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use tidings_chat::{
    Body, Chat, ClientId, Clock, Database, Draft, Email, Entered, FreshDatabase, InThread, MessageId, MessageKey, Name,
    NewAccount, NewPassword, Options, PageFrom, PageQuery, PersonId, PostError, Posted, Room, RoomId, RoomKind, SetUp,
    SignedIn, Time, Topic, limits::Rates,
};
use tidings_hub::{Connection, ConnectionOptions, Hub, Step};
use tokio::time::timeout;

use crate::database::{Other, worlds_are_on_postgres};

pub(crate) const PASSWORD: &str = "correct horse battery";
pub(crate) const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Long enough for a busy machine; a test that waits longer has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// A chat with its hub. Dropping it is no shutdown; see [`restart`](Self::restart).
pub(crate) struct World {
    pub(crate) chat: Chat,
    pub(crate) hub: Hub,
    pub(crate) clocks: Clocks,
    pub(crate) dir: TempDir,
    postgres: Option<FreshDatabase>,
}

/// Somebody with an account, signed in once.
#[derive(Debug, Clone)]
pub(crate) struct Somebody {
    pub(crate) id: PersonId,
    pub(crate) token: String,
}

/// The two clocks of a world, which only the test moves.
#[derive(Clone)]
pub(crate) struct Clocks {
    /// What the clock on the wall shows, in milliseconds since the Unix epoch.
    wall: Arc<AtomicI64>,
    /// How much time has passed, in milliseconds, whatever the wall says.
    passed: Arc<AtomicU64>,
    start: Instant,
}

impl Clocks {
    pub(crate) fn new() -> Self {
        let (wall, passed) = (Arc::new(AtomicI64::new(1_763_630_000_000)), Arc::default());
        Self { wall, passed, start: Instant::now() }
    }
}

fn options(dir: &Path, clocks: &Clocks, postgres: Option<&FreshDatabase>) -> Options {
    let Clocks { wall, passed, start } = clocks.clone();
    let clock = Clock::new(move || Time::from_millis(wall.load(Relaxed)));
    let steady = Clock::new(move || start + Duration::from_millis(passed.load(Relaxed)));
    let database = postgres.map(FreshDatabase::database).unwrap_or_default();
    let message_key = MessageKey::new(b"the key of the tests");
    Options { rates: Rates::unlimited(), steady, database, message_key, ..Options::new(dir, clock) }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|options| options).await
    }

    pub(crate) async fn with(change: impl FnOnce(Options) -> Options) -> Self {
        let (dir, clocks) = (tempfile::tempdir().unwrap(), Clocks::new());
        let postgres = worlds_are_on_postgres().then(FreshDatabase::named);
        let options = change(options(dir.path(), &clocks, postgres.as_ref()));
        if let (Some(postgres), Database::Postgres(_)) = (&postgres, &options.database) {
            postgres.make().await;
        }
        let chat = Chat::open(options).await.unwrap();
        let hub = hub_of(&chat);
        Self { chat, hub, clocks, dir, postgres }
    }

    /// On a database that others are on, too.
    pub(crate) async fn on(database: Database, clocks: Clocks) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let chat = Chat::open(Options { database, ..options(dir.path(), &clocks, None) }).await.unwrap();
        let hub = hub_of(&chat);
        Self { chat, hub, clocks, dir, postgres: None }
    }

    /// How another program on the same data opens it.
    pub(crate) fn options(&self) -> Options {
        options(self.dir.path(), &self.clocks, self.postgres.as_ref())
    }

    /// Somebody else in the same database.
    pub(crate) async fn other(&self) -> Other {
        Other::of(self.postgres.as_ref(), self.dir.path()).await
    }

    /// Another server process on the same data.
    pub(crate) async fn restart(self) -> Self {
        self.restart_with(|options| options).await
    }

    pub(crate) async fn restart_with(self, change: impl FnOnce(Options) -> Options) -> Self {
        self.chat.close().await;
        let chat = Chat::open(change(self.options())).await.unwrap();
        let hub = hub_of(&chat);
        Self { chat, hub, ..self }
    }

    pub(crate) fn later(&self, span: Duration) {
        self.set_wall(i64::try_from(span.as_millis()).unwrap());
        self.clocks.passed.fetch_add(u64::try_from(span.as_millis()).unwrap(), Relaxed);
    }

    /// Sets the clock on the wall forward or back by so many milliseconds, in no time.
    pub(crate) fn set_wall(&self, by_ms: i64) {
        self.clocks.wall.fetch_add(by_ms, Relaxed);
    }

    /// The administrator, with the first room and the code of its invite.
    pub(crate) async fn set_up(&self) -> (Somebody, Room, String) {
        let code = self.chat.set_up_code().await.unwrap().unwrap();
        let done = self.chat.set_up(set_up_form(code.reveal(), "Ana")).await.unwrap();
        (somebody(&done.entered), done.room, done.invite.code.reveal().to_owned())
    }

    pub(crate) async fn invited(&self, name: &str, invite: &str) -> Somebody {
        let (entered, _) = self.chat.create_account(account_form(invite, name)).await.unwrap();
        somebody(&entered)
    }

    pub(crate) async fn room(&self, creator: &Somebody, name: &str) -> RoomId {
        self.chat
            .create_room(creator.id, Name::parse(name).unwrap(), Topic::default(), RoomKind::Public)
            .await
            .unwrap()
            .id
    }

    pub(crate) async fn say(&self, author: &Somebody, room: RoomId, body: &str) -> Posted {
        self.send(author, room, ClientId::fresh(), body).await.unwrap()
    }

    pub(crate) async fn send(
        &self,
        author: &Somebody,
        room: RoomId,
        client_id: ClientId,
        body: &str,
    ) -> Result<Posted, PostError> {
        let body = Body::parse(body.to_owned()).unwrap();
        self.chat.post(author.id, Draft { room, client_id, body, reply_to: None, thread: None, everybody: false }).await
    }

    pub(crate) async fn answer_in_thread(
        &self,
        author: &Somebody,
        room: RoomId,
        root: MessageId,
    ) -> Result<Posted, PostError> {
        let (client_id, body) = (ClientId::fresh(), Body::parse("in a thread".to_owned()).unwrap());
        let thread = Some(InThread { root, also_in_room: false });
        self.chat.post(author.id, Draft { room, client_id, body, reply_to: None, thread, everybody: false }).await
    }

    pub(crate) async fn signed_in(&self, who: &Somebody) -> Option<SignedIn> {
        self.chat.session(&who.token, None).await.unwrap()
    }

    /// All that happened in a room, as the REST pages tell it.
    pub(crate) async fn history(&self, reader: &Somebody, room: RoomId) -> Vec<Value> {
        self.history_after(reader, room, 0).await
    }

    pub(crate) async fn history_after(&self, reader: &Somebody, room: RoomId, after: u64) -> Vec<Value> {
        let (mut events, mut from) = (Vec::new(), after);
        loop {
            let page = PageQuery { from: PageFrom::After(from), limit: 50 };
            let page = self.chat.events(reader.id, room, page).await.unwrap();
            events.extend(page.events.iter().map(|event| serde_json::to_value(event).unwrap()));
            from = page.events.last().map_or(from, |event| event.number);
            if !page.more {
                return events;
            }
        }
    }

    /// A browser of somebody signed in, connected.
    pub(crate) async fn browser(&self, who: &Somebody) -> Browser {
        let signed_in = self.signed_in(who).await.expect("signed in");
        let mut browser = self.browser_of(&signed_in);
        let connected = browser.ask(json!({"connect": {}})).await;
        let own = format!("user:{}", who.id);
        assert!(connected["connect"]["subs"].get(&own).is_some(), "{connected}");
        browser
    }

    /// A browser that has done no more than the handshake.
    pub(crate) fn browser_of(&self, signed_in: &SignedIn) -> Browser {
        let identity = Some(self.chat.identity(signed_in));
        self.browser_with(ConnectionOptions { identity, ..ConnectionOptions::default() })
    }

    /// A browser whose handshake the server has read from its cookie.
    pub(crate) async fn arriving(&self, who: &Somebody) -> Browser {
        let identity = self.chat.arrive(&who.token).await.unwrap();
        assert!(identity.is_some(), "signed in");
        self.browser_with(ConnectionOptions { identity, ..ConnectionOptions::default() })
    }

    pub(crate) fn browser_with(&self, options: ConnectionOptions) -> Browser {
        Browser { connection: self.hub.connect(options), seen: VecDeque::new(), commands: 0 }
    }

    /// The code of a room's invite.
    pub(crate) async fn invite(&self, who: &Somebody, room: RoomId) -> String {
        self.chat.room_invite(who.id, room).await.unwrap().code.reveal().to_owned()
    }
}

fn hub_of(chat: &Chat) -> Hub {
    let hub = Hub::builder(Arc::new(chat.clone())).application(Arc::new(chat.clone())).build();
    chat.announce_to(hub.clone());
    hub
}

pub(crate) fn somebody(entered: &Entered) -> Somebody {
    Somebody { id: entered.person.id, token: entered.token.reveal().to_owned() }
}

pub(crate) fn email(name: &str) -> Email {
    Email::parse(&format!("{name}@example.com")).unwrap()
}

pub(crate) fn set_up_form(code: &str, name: &str) -> SetUp {
    SetUp {
        code: code.to_owned(),
        name: Name::parse(name).unwrap(),
        password: NewPassword::parse(PASSWORD, &email(name)).unwrap(),
        email: email(name),
        browser: browser_at(HOME),
    }
}

/// A browser that was never here before.
pub(crate) fn browser_at(address: IpAddr) -> tidings_chat::Browser {
    tidings_chat::Browser { address, user_agent: "a browser".to_owned(), session: None, device: None }
}

pub(crate) fn account_form(invite: &str, name: &str) -> NewAccount {
    let SetUp { code, name, email, password, browser } = set_up_form(invite, name);
    NewAccount { invite: code, name, email, password, browser }
}

/// One live connection, as a browser sees it.
pub(crate) struct Browser {
    connection: Connection,
    seen: VecDeque<Value>,
    commands: u64,
}

impl Browser {
    /// Sends a command.
    pub(crate) fn tell(&mut self, command: &Value) {
        self.connection.receive(command.to_string().as_bytes());
    }

    /// Lets the server do with what was sent all that it can do at once; nothing must be on its way to the browser.
    pub(crate) fn begin(&mut self) {
        assert!(self.connection.next().now_or_never().is_none());
    }

    /// Sends a command and waits for its answer; what is pushed meanwhile is kept for later.
    pub(crate) async fn ask(&mut self, mut command: Value) -> Value {
        self.commands += 1;
        command["id"] = json!(self.commands);
        self.connection.receive(command.to_string().as_bytes());
        let mut before = VecDeque::new();
        loop {
            let frame = self.next().await;
            if frame["id"] == command["id"] {
                before.append(&mut self.seen);
                self.seen = before;
                return frame;
            }
            before.push_back(frame);
        }
    }

    pub(crate) async fn subscribe(&mut self, room: RoomId) -> Value {
        self.ask(json!({"subscribe": {"channel": format!("room:{room}")}})).await
    }

    pub(crate) async fn resume(&mut self, room: RoomId, epoch: &str, offset: u64) -> Value {
        let subscribe = json!({"channel": format!("room:{room}"), "recover": true, "epoch": epoch, "offset": offset});
        self.ask(json!({"subscribe": subscribe})).await["subscribe"].take()
    }

    pub(crate) async fn rpc(&mut self, method: &str, data: Value) -> Value {
        self.ask(json!({"rpc": {"method": method, "data": data}})).await
    }

    /// The next message from the server.
    pub(crate) async fn next(&mut self) -> Value {
        loop {
            if let Some(frame) = self.seen.pop_front() {
                return frame;
            }
            match self.step().await {
                Step::Send(frames) => self.keep(&frames),
                Step::Flush => unreachable!("nobody writes past the task"),
                Step::Read => {}
                Step::Close(why) => panic!("closed: {why:?}"),
            }
        }
    }

    /// Waits until the server closes the connection, and returns the code.
    pub(crate) async fn closed(&mut self) -> u16 {
        loop {
            if let Step::Close(why) = self.step().await {
                return why.code;
            }
        }
    }

    /// What the server still sends before it closes the connection, and the code.
    pub(crate) async fn closed_after(&mut self) -> (Vec<Value>, u16) {
        loop {
            match self.step().await {
                Step::Send(frames) => self.keep(&frames),
                Step::Close(why) => return (self.seen.drain(..).collect(), why.code),
                Step::Flush | Step::Read => {}
            }
        }
    }

    fn keep(&mut self, frames: &[Bytes]) {
        // One frame may have several messages, each on a line of its own.
        let lines = frames.iter().flat_map(|frame| frame.split(|&byte| byte == b'\n'));
        self.seen.extend(lines.map(|line| serde_json::from_slice::<Value>(line).unwrap()));
    }

    async fn step(&mut self) -> Step {
        timeout(PATIENCE, self.connection.next()).await.expect("the server says something")
    }

    /// The data of the next publication in a channel; what comes before it is dropped.
    pub(crate) async fn next_in(&mut self, channel: &str) -> Value {
        loop {
            let mut frame = self.next().await;
            if frame["push"]["channel"] == channel && !frame["push"]["pub"].is_null() {
                return frame["push"]["pub"]["data"].take();
            }
        }
    }

    /// Everything published to this browser so far in a channel. Whatever the server has sent before it answers is in.
    pub(crate) async fn all_in(&mut self, channel: &str) -> Vec<Value> {
        self.all().await.into_iter().filter(|(name, _)| name == channel).map(|(_, data)| data).collect()
    }

    /// Everything published to this browser so far, each with its channel.
    pub(crate) async fn all(&mut self) -> Vec<(Value, Value)> {
        self.rpc("no such method", json!({})).await;
        let published = |mut frame: Value| (frame["push"]["channel"].take(), frame["push"]["pub"]["data"].take());
        self.seen.drain(..).map(published).filter(|(_, data)| !data.is_null()).collect()
    }
}

pub(crate) fn numbers(events: &[Value]) -> Vec<u64> {
    events.iter().filter_map(|event| event["number"].as_u64()).collect()
}

pub(crate) fn channel(room: RoomId) -> String {
    format!("room:{room}")
}

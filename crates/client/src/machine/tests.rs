//! The client's promises in virtual time, against a server that is only a list of frames.

mod connecting;
mod requests;
mod subscriptions;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidings_protocol::{Publication, StreamPosition};

use super::*;
use crate::event::Subscribed;

const SECOND: Duration = Duration::from_secs(1);

struct World {
    machine: Machine,
    now: Instant,
    sent: Vec<Value>,
    told: Vec<String>,
    answers: Vec<(u64, Result<Response, RequestError>)>,
    states: Vec<State>,
    tokens_wanted: Vec<TokenFor>,
    dials: u32,
    hung_up: u32,
}

impl World {
    fn new() -> World {
        World::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Settings)) -> World {
        let mut settings = Settings {
            token: "first".to_owned(),
            has_provider: false,
            name: "test".to_owned(),
            version: "1".to_owned(),
            data: None,
            backoff_first: SECOND,
            backoff_cap: 20 * SECOND,
            seed: 42,
        };
        change(&mut settings);
        let mut world = World {
            machine: Machine::new(settings),
            now: Instant::now(),
            sent: Vec::new(),
            told: Vec::new(),
            answers: Vec::new(),
            states: Vec::new(),
            tokens_wanted: Vec::new(),
            dials: 0,
            hung_up: 0,
        };
        world.run();
        world
    }

    fn connected() -> World {
        let mut world = World::new();
        world.accept();
        world
    }

    fn subscribed(options: SubscriptionSettings, reply: Value) -> World {
        let mut world = World::connected();
        world.subscribe("news", options);
        world.reply_to_last("subscribe", reply);
        world
    }

    fn run(&mut self) {
        while let Some(action) = self.machine.poll_action() {
            match action {
                Action::Dial => self.dials += 1,
                Action::FetchToken(wanted) => self.tokens_wanted.push(wanted),
                Action::Send(frame) => {
                    let commands = frame.split(|&byte| byte == b'\n');
                    self.sent.extend(commands.map(|command| serde_json::from_slice::<Value>(command).unwrap()));
                }
                Action::HangUp => self.hung_up += 1,
                Action::Enter(state) => self.states.push(state),
                Action::Answer { key, answer } => self.answers.push((key, answer)),
                Action::Tell { channel, event } => self.told.push(format!("{channel}: {}", in_words(&event))),
                Action::TellServerSide(ServerEvent { channel, kind: ServerEventKind::Event(event) }) => {
                    self.told.push(format!("server {channel}: {}", in_words(&event)));
                }
                Action::TellServerSide(event) => self.told.push(format!("server {event:?}")),
            }
        }
    }

    /// The server accepts the connection.
    fn accept(&mut self) {
        self.accept_with(json!({"client": "c1", "version": "v", "ping": 25, "pong": true}));
    }

    fn accept_with(&mut self, result: Value) {
        self.machine.handle_opened(self.now);
        self.run();
        self.reply_to_last("connect", result);
    }

    fn reply_to_last(&mut self, method: &str, result: Value) {
        let id = self.last_sent(method)["id"].clone();
        let mut reply = json!({"id": id});
        reply[method] = result;
        self.receive(&reply);
    }

    fn refuse_last(&mut self, method: &str, code: u32, temporary: bool) {
        let id = self.last_sent(method)["id"].clone();
        self.receive(&json!({"id": id, "error": {"code": code, "message": "no", "temporary": temporary}}));
    }

    fn receive(&mut self, message: &Value) {
        self.machine.handle_message(message.to_string().as_bytes(), self.now);
        self.run();
    }

    fn publish(&mut self, offset: u64) {
        self.receive(&json!({"push": {"channel": "news", "pub": {"data": offset, "offset": offset}}}));
    }

    fn closed(&mut self, code: impl Into<Option<u16>>) {
        self.machine.handle_closed(code.into(), "test", self.now);
        self.run();
    }

    fn subscribe(&mut self, channel: &str, settings: SubscriptionSettings) {
        self.machine.subscribe(channel, settings, self.now);
        self.run();
    }

    fn give_token(&mut self, wanted: TokenFor, token: Result<String, TokenError>) {
        self.machine.handle_token(wanted, token, self.now);
        self.run();
    }

    /// Lets time pass, stopping wherever the machine wants to be called.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.machine.next_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.machine.handle_timeout(self.now);
            self.run();
        }
        self.now = end;
    }

    /// How long the client waits before it dials again.
    fn time_to_next_dial(&mut self) -> Duration {
        let (start, dials) = (self.now, self.dials);
        while self.dials == dials {
            let at = self.machine.next_timeout().expect("the client has given up");
            self.pass(at.saturating_duration_since(self.now));
        }
        self.now - start
    }

    fn last_sent(&self, method: &str) -> &Value {
        self.sent.iter().rev().find(|command| command.get(method).is_some()).expect(method)
    }

    fn count_sent(&self, method: &str) -> usize {
        self.sent.iter().filter(|command| command.get(method).is_some()).count()
    }

    fn state(&self) -> &State {
        self.states.last().unwrap()
    }

    fn is_disconnected(&self, with_code: u16) -> bool {
        matches!(self.state(), State::Disconnected(why) if why.code == with_code)
    }

    fn take_told(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told)
    }
}

fn in_words(event: &Event) -> String {
    match event {
        Event::Subscribed(Subscribed { was_recovering: false, .. }) => "subscribed".to_owned(),
        Event::Subscribed(Subscribed { recovered: true, .. }) => "subscribed, recovered".to_owned(),
        Event::Subscribed(_) => "subscribed, not recovered".to_owned(),
        Event::Publication(publication) => format!("{:?}", publication.data.as_ref().unwrap()),
        Event::Join(info) => format!("{} joined", info.user),
        Event::Leave(info) => format!("{} left", info.user),
        Event::Interrupted { code, .. } => format!("interrupted {code}"),
        Event::Unsubscribed { code, .. } => format!("unsubscribed {code}"),
    }
}

fn recoverable() -> SubscriptionSettings {
    SubscriptionSettings { recoverable: true, ..SubscriptionSettings::default() }
}

fn stream(offset: u64) -> Value {
    json!({"recoverable": true, "positioned": true, "epoch": "E", "offset": offset})
}

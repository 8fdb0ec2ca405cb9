//! Random histories of one subscriber and a server that keeps a bounded history: links break, dials fail, frames are
//! late, the reader is slow. Whatever happens, nothing is told twice or out of order, nothing is missing unless the
//! server said so, and in the end everything has arrived.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// Publications that the server remembers.
const HISTORY: u64 = 20;

/// Events that the reader's queue holds.
const ROOM: usize = 5;

#[derive(Debug, Clone)]
enum Step {
    Publish,
    /// This many frames of the server arrive.
    Deliver(usize),
    Read(usize),
    Cut,
    CloseWith(u16),
    FailNextDials(u32),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => Just(Step::Publish),
        8 => (1_usize..6).prop_map(Step::Deliver),
        8 => (1_usize..6).prop_map(Step::Read),
        1 => Just(Step::Cut),
        1 => prop_oneof![Just(3001), Just(3008), Just(3010), Just(3014), Just(1013)].prop_map(Step::CloseWith),
        1 => (1_u32..4).prop_map(Step::FailNextDials),
        4 => (1_u64..5_000).prop_map(Step::Pass),
    ]
}

struct Simulation {
    machine: Machine,
    now: Instant,
    // The server.
    top: u64,
    linked: bool,
    subscribed: bool,
    on_the_way: VecDeque<Value>,
    failing_dials: u32,
    // The reader.
    queue: VecDeque<Event>,
    paused: bool,
    last_read: u64,
    may_jump: bool,
    fault: Option<String>,
}

impl Simulation {
    fn new(seed: u64) -> Simulation {
        let settings = Settings {
            token: "token".to_owned(),
            has_provider: false,
            name: String::new(),
            version: String::new(),
            data: None,
            backoff_first: Duration::from_millis(500),
            backoff_cap: Duration::from_secs(5),
            seed,
        };
        let now = Instant::now();
        let mut machine = Machine::new(settings);
        machine.subscribe("news", SubscriptionSettings { recoverable: true, ..Default::default() }, now);
        Simulation {
            machine,
            now,
            top: 0,
            linked: false,
            subscribed: false,
            on_the_way: VecDeque::new(),
            failing_dials: 0,
            queue: VecDeque::new(),
            paused: false,
            last_read: 0,
            may_jump: false,
            fault: None,
        }
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Publish => {
                self.top += 1;
                if self.subscribed {
                    self.on_the_way.push_back(json!({"push": {"channel": "news", "pub": publication(self.top)}}));
                }
            }
            Step::Deliver(count) => {
                for _ in 0..count {
                    let Some(frame) = self.on_the_way.pop_front() else { break };
                    self.machine.handle_message(frame.to_string().as_bytes(), self.now);
                    self.act();
                }
            }
            Step::Read(count) => self.read(count),
            Step::Cut => self.close(None),
            Step::CloseWith(code) => self.close(Some(code)),
            Step::FailNextDials(count) => self.failing_dials = count,
            Step::Pass(millis) => self.pass(Duration::from_millis(millis)),
        }
        self.act();
    }

    fn close(&mut self, code: Option<u16>) {
        if self.linked {
            self.unlink();
            self.machine.handle_closed(code, "cut", self.now);
        }
    }

    fn unlink(&mut self) {
        self.linked = false;
        self.subscribed = false;
        self.on_the_way.clear();
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.machine.next_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.machine.handle_timeout(self.now);
            self.act();
        }
        self.now = end;
    }

    fn act(&mut self) {
        while let Some(action) = self.machine.poll_action() {
            match action {
                Action::Dial if self.failing_dials > 0 => {
                    self.failing_dials -= 1;
                    self.machine.handle_dial_failed(DialFailure::default(), self.now);
                }
                Action::Dial => {
                    self.check(!self.linked, "two sockets at once");
                    self.linked = true;
                    self.machine.handle_opened(self.now);
                }
                Action::Send(frame) => {
                    self.check(self.linked, "sent without a socket");
                    for command in frame.split(|&byte| byte == b'\n') {
                        self.serve(&serde_json::from_slice(command).unwrap());
                    }
                }
                Action::HangUp => self.unlink(),
                Action::Tell { event, .. } => self.tell(event),
                Action::Enter(_) | Action::Answer { .. } | Action::FetchToken(_) | Action::TellServerSide(_) => {}
            }
        }
    }

    /// What a server answers, by the rules of the protocol.
    fn serve(&mut self, command: &Value) {
        let id = &command["id"];
        if command.get("connect").is_some() {
            self.on_the_way.push_back(json!({"id": id, "connect": {"client": "c", "version": "v"}}));
        } else if command.get("unsubscribe").is_some() {
            self.subscribed = false;
            self.on_the_way.push_back(json!({"id": id, "unsubscribe": {}}));
        } else if let Some(request) = command.get("subscribe") {
            self.check(!self.subscribed, "subscribed twice");
            self.subscribed = true;
            let mut result = json!({"recoverable": true, "epoch": "E", "offset": self.top});
            if request["recover"] == true {
                let since = request["offset"].as_u64().unwrap_or(0);
                self.check(since <= self.top, "claims to have what was never published");
                result["was_recovering"] = json!(true);
                if request["epoch"] == "E" && self.top - since <= HISTORY {
                    result["recovered"] = json!(true);
                    result["offset"] = json!(since);
                    result["publications"] = (since + 1..=self.top).map(publication).collect();
                }
            }
            self.on_the_way.push_back(json!({"id": id, "subscribe": result}));
        }
    }

    /// The driver's bounded queue.
    fn tell(&mut self, event: Event) {
        if !self.paused && self.queue.len() < ROOM {
            return self.queue.push_back(event);
        }
        self.paused = true;
        self.machine.handle_reader_behind("news", &event, self.now);
    }

    fn read(&mut self, count: usize) {
        for event in self.queue.drain(..count.min(self.queue.len())).collect::<Vec<_>>() {
            match event {
                Event::Subscribed(subscribed) => {
                    // The first subscription and a failed recovery begin at the top; the reader is told.
                    if !subscribed.recovered {
                        self.may_jump = true;
                    }
                }
                Event::Publication(publication) => {
                    let number = publication.offset;
                    let fits = if self.may_jump { number > self.last_read } else { number == self.last_read + 1 };
                    self.check(fits, &format!("{number} came after {}", self.last_read));
                    self.last_read = number;
                    self.may_jump = false;
                }
                Event::Interrupted { .. } => {}
                event => self.check(false, &format!("unexpected {event:?}")),
            }
        }
        if self.paused && self.queue.is_empty() {
            self.paused = false;
            self.machine.handle_reader_ready("news", self.now);
        }
    }

    fn check(&mut self, holds: bool, otherwise: &str) {
        if !holds && self.fault.is_none() {
            self.fault = Some(otherwise.to_owned());
        }
    }

    /// No more trouble: everything gets its time.
    fn heal(&mut self) {
        self.failing_dials = 0;
        for _ in 0..20 {
            self.take(&Step::Pass(15_000));
            self.take(&Step::Publish);
            for _ in 0..10 {
                self.take(&Step::Deliver(100));
                self.take(&Step::Read(ROOM));
            }
        }
    }
}

fn publication(offset: u64) -> Value {
    json!({"data": offset, "offset": offset})
}

proptest! {
    #[test]
    fn capability_4_26_whatever_breaks_nothing_is_doubled_reordered_or_silently_missing(
        seed: u64,
        steps in proptest::collection::vec(step(), 1..200),
    ) {
        let mut simulation = Simulation::new(seed);
        simulation.act();
        for step in steps {
            simulation.take(&step);
        }
        simulation.heal();
        prop_assert_eq!(&simulation.fault, &None);
        prop_assert_eq!(simulation.last_read, simulation.top);
    }
}

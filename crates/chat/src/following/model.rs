//! A model of two nodes on one database, which tries every order in which things can happen.
//!
//! What runs is [`Following`] itself. Around it stand a database that is a few numbers, hubs that hold back what comes early
//! and read what is missing, as those of `tidings_hub` do (`channel/sequence.rs`), and people who subscribe. Wherever one
//! of them waits for the database or for another thread there is a *gate*, and only the explorer opens gates, one at a
//! time: all orders of them for a few changes, random ones for more. A state that was seen before is not gone on from; it
//! is known by the database, the hubs, what each node has told, and all that each task was answered.
//!
//! What a node sends to the database goes on there whatever becomes of the node, so a commit may come before its answer is
//! given up, after that, or after a crash. That others have written is noticed at any time later or never by itself: that is
//! a wake-up that comes, and one that is lost with the next look in its place.
//!
//! Held against each step: nobody is told a number twice, or out of order (G3), or anything that was committed after they
//! lost the right to it (G5); nothing is acknowledged that is not committed (G1). Held against each end: everybody has
//! everything (G4), whoever lost a right is out, and nobody waits for ever. The [`Flaw`]s say what finds what.
//!
//! Of the rules inside `Following`, each of these was broken by hand, and is found: `happened` behind `is_heard` in
//! `tell_between` (`who_subscribes…`); not carrying out what a page says (`who_is_removed_before…`), and `carry_out` doing
//! nothing (all of G5); counting as carried out what has yet to be (`what_one_lane…`); `skip` instead of telling what could
//! not be read, and a failed look that is not looked at again (`what_cannot_be_read…`); a look that skips instead of telling
//! (all of G4). Not in it are restores (`begin_anew`), who comes back into a room, and what `Standing` knows of arrivals.

mod scenarios;

use std::{
    collections::{BTreeSet, HashSet},
    future::Future,
    hash::{DefaultHasher, Hash, Hasher},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
};

use futures_util::future::BoxFuture;

use super::*;
use crate::{
    model::{Changed, DenialKey, Denied, EventKind, EventPage, PersonEvent, PersonId, SessionId, Time, Who},
    store::Read,
};

const NODES: usize = 2;
const ROOMS: usize = 2;

/// A rule that is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    TellsBeforeItCarriesOut,
    ReadsWhatWasTakenAwayBeforeItCommits,
    PagesDoNotSayWhatWasTakenAway,
    LostAnswersAreNotLookedFor,
    AcknowledgesBeforeItCommits,
}

/// What is to be done, on which node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Change {
    Post { room: usize },
    Remove { person: usize, room: usize },
    EndSession { person: usize },
}

#[derive(Debug, Clone, Copy, Hash)]
struct Order {
    node: usize,
    change: Change,
    /// Nobody waits for the answer until it comes.
    is_given_up: bool,
}

/// Somebody who listens.
#[derive(Debug, Clone, Copy, Hash)]
struct Listener {
    node: usize,
    person: usize,
    room: usize,
    /// While things happen.
    comes_later: bool,
}

/// What is tried.
#[derive(Debug, Clone, Default)]
struct Scenario {
    orders: Vec<Order>,
    listeners: Vec<Listener>,
    /// Nodes that crash, each once, and come back.
    crashes: Vec<usize>,
    /// How many reads of the database fail.
    failures: usize,
    flaw: Option<Flaw>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Stage {
    /// Wants to listen.
    Out,
    /// Has entered the channel; `after` as in a hub's `Place`.
    Preparing {
        after: Option<u64>,
    },
    Live,
    /// Was told that they have no right.
    Refused,
}

/// A room's channel in a hub.
#[derive(Debug, Clone, Default, Hash)]
struct Channel {
    last: Option<u64>,
    highest: u64,
    ahead: BTreeSet<u64>,
}

#[derive(Debug, Clone, Default, Hash)]
struct Hub {
    /// Nobody comes before the node has begun.
    is_open: bool,
    channels: [Channel; ROOMS],
    /// How many commits of others were there at the last look.
    seen: Option<usize>,
    /// Until then looks are taken as if they had found something: how many commits there were at the last.
    unsettled: Option<usize>,
}

/// All but what is inside the nodes.
#[derive(Debug, Clone, Default, Hash)]
struct World {
    /// When each event of a room was committed.
    rooms: [Vec<usize>; ROOMS],
    /// What was taken away, and when.
    revoked: Vec<(usize, Option<usize>, usize)>,
    /// By which run of which node each commit was made.
    commits: Vec<(usize, usize)>,
    runs: [usize; NODES],
    locked: [bool; ROOMS],
    /// Of each order: as which number.
    committed: Vec<Option<u64>>,
    acknowledged: Vec<bool>,
    hubs: [Hub; NODES],
    stages: Vec<Stage>,
    /// The last number that each listener has.
    has: Vec<u64>,
    failures: usize,
    /// What each task was answered.
    heard: Vec<u64>,
    /// Those who wait for another task, in their order.
    blocked: Vec<usize>,
    wrong: Option<String>,
}

impl World {
    fn may(&self, person: usize, room: usize) -> bool {
        !self.revoked.iter().any(|(who, what, _)| *who == person && what.is_none_or(|what| what == room))
    }

    /// When they lost what they need to hear the room.
    fn lost(&self, person: usize, room: usize) -> usize {
        let theirs =
            self.revoked.iter().filter(|(who, what, _)| *who == person && what.is_none_or(|what| what == room));
        theirs.map(|(_, _, when)| *when).min().unwrap_or(usize::MAX)
    }

    fn commit(&mut self, node: usize, change: Change) -> u64 {
        let when = self.commits.len();
        // What a node has sent before it crashed is not of the run that came after.
        self.commits.push((node, 0));
        let mut happen = |room: usize| {
            self.rooms[room].push(when);
            self.rooms[room].len() as u64
        };
        match change {
            Change::Post { room } => happen(room),
            Change::Remove { person, room } => {
                let number = happen(room);
                self.revoked.push((person, Some(room), when));
                number
            }
            Change::EndSession { person } => {
                self.revoked.push((person, None, when));
                0
            }
        }
    }

    fn of_others(&self, node: usize) -> usize {
        self.commits.iter().filter(|by| **by != (node, self.runs[node])).count()
    }

    fn give(&mut self, all: &[Listener], listener: usize, number: u64) {
        let Listener { person, room, .. } = all[listener];
        if number != self.has[listener] + 1 {
            self.wrong = Some(format!("listener {listener} has {} and gets {number}", self.has[listener]));
        }
        self.has[listener] = number;
        if self.rooms[room][usize::try_from(number).unwrap() - 1] > self.lost(person, room) {
            self.wrong = Some(format!("listener {listener} gets {number}, committed after they lost the right (G5)"));
        }
    }

    fn in_channel<'a>(&self, all: &'a [Listener], node: usize, room: usize) -> impl Iterator<Item = usize> + use<'a> {
        let stages = self.stages.clone();
        (0..all.len()).filter(move |it| {
            all[*it].node == node
                && all[*it].room == room
                && matches!(stages[*it], Stage::Preparing { .. } | Stage::Live)
        })
    }

    fn place_all(&mut self, all: &[Listener], node: usize, room: usize, number: u64) {
        for it in self.in_channel(all, node, room) {
            if let Stage::Preparing { after: after @ None } = &mut self.stages[it] {
                *after = Some(number);
            }
        }
    }

    fn deliver(&mut self, all: &[Listener], node: usize, room: usize, number: u64) {
        self.hubs[node].channels[room].last = Some(number);
        for it in self.in_channel(all, node, room) {
            // Who comes with more than that from the database has it.
            if self.stages[it] == Stage::Live && number > self.has[it] {
                self.give(all, it, number);
            }
        }
    }

    fn deliver_ahead(&mut self, all: &[Listener], node: usize, room: usize) {
        while let Channel { last: Some(last), ahead, .. } = &mut self.hubs[node].channels[room]
            && ahead.first().is_some_and(|first| *first <= *last + 1)
        {
            let (number, last) = (ahead.pop_first().unwrap(), *last);
            if number > last {
                self.deliver(all, node, room, number);
            }
        }
    }

    /// As `Channel::receive` of the hub.
    fn receive(&mut self, all: &[Listener], node: usize, room: usize, number: u64) {
        if self.in_channel(all, node, room).next().is_none() {
            return;
        }
        let channel = &mut self.hubs[node].channels[room];
        channel.highest = channel.highest.max(number);
        match channel.last {
            Some(last) if number <= last => {}
            Some(last) if number > last + 1 => _ = channel.ahead.insert(number),
            counted => {
                if counted.is_none() {
                    self.place_all(all, node, room, number - 1);
                }
                self.deliver(all, node, room, number);
                self.deliver_ahead(all, node, room);
            }
        }
    }

    /// As `Channel::admit` of the hub, of somebody who was given everything up to `has`.
    fn admit(&mut self, all: &[Listener], listener: usize, has: u64) {
        let Listener { node, room, .. } = all[listener];
        let Stage::Preparing { after } = self.stages[listener] else { return };
        for number in self.has[listener] + 1..=has {
            self.give(all, listener, number);
        }
        let channel = &mut self.hubs[node].channels[room];
        channel.highest = channel.highest.max(has);
        let counted = channel.last;
        let last = *channel.last.get_or_insert(has);
        if counted.is_none() {
            self.place_all(all, node, room, has);
        }
        if after.is_some_and(|after| has < after) {
            self.stages[listener] = Stage::Out;
            return self.tidy(all, node, room);
        }
        self.stages[listener] = Stage::Live;
        // What was delivered behind its place is in the log.
        for number in has + 1..=last {
            self.give(all, listener, number);
        }
    }

    /// A channel goes with its last subscriber.
    fn tidy(&mut self, all: &[Listener], node: usize, room: usize) {
        if self.in_channel(all, node, room).next().is_none() {
            self.hubs[node].channels[room] = Channel::default();
        }
    }

    fn cut(&mut self, all: &[Listener], node: usize, person: usize, of: Option<usize>) {
        for room in (0..ROOMS).filter(|room| of.is_none_or(|of| of == *room)) {
            for it in self.in_channel(all, node, room).filter(|it| all[*it].person == person) {
                self.stages[it] = Stage::Refused;
            }
            self.tidy(all, node, room);
        }
    }

    fn begin_again(&mut self, all: &[Listener], node: usize) {
        for room in 0..ROOMS {
            for it in self.in_channel(all, node, room) {
                self.stages[it] = Stage::Out;
            }
            self.tidy(all, node, room);
        }
    }

    /// What must be true when nothing more happens.
    fn at_the_end(&self, scenario: &Scenario) -> Option<String> {
        for (it, Listener { person, room, .. }) in scenario.listeners.iter().enumerate() {
            let (stage, top) = (self.stages[it], self.rooms[*room].len() as u64);
            match self.may(*person, *room) {
                true if stage != Stage::Live || self.has[it] != top => {
                    return Some(format!("listener {it} has {} of {top}, {stage:?} (G4)", self.has[it]));
                }
                false if stage != Stage::Refused => return Some(format!("listener {it} is not out: {stage:?}")),
                _ => {}
            }
        }
        let silent = |(it, order): (usize, &Order)| {
            let is_waited_for = scenario.listeners.iter().any(|listener| listener.node == order.node);
            is_waited_for && !self.acknowledged[it] && !order.is_given_up && scenario.crashes.is_empty()
        };
        scenario.orders.iter().enumerate().any(silent).then(|| "somebody waits for ever".into())
    }
}

fn room_id(room: usize) -> RoomId {
    RoomId::from_bytes([u8::try_from(room).unwrap() + 1; 16])
}

fn room_of(id: RoomId) -> usize {
    usize::from(id.bytes()[0]) - 1
}

fn person_id(person: usize) -> PersonId {
    PersonId::from_bytes([u8::try_from(person).unwrap() + 1; 16])
}

fn event(room: usize, number: u64) -> Event {
    let member = Who { id: person_id(0), name: String::new(), same_name: false };
    Event {
        room: room_id(room),
        number,
        time: Time::from_millis(0),
        kind: EventKind::MemberJoined { member, by: None },
    }
}

/// The world as its tasks have it in their hands.
#[derive(Clone)]
struct Hands(Arc<Inside>);

struct Inside {
    scenario: Scenario,
    world: Mutex<World>,
    desk: Mutex<Desk>,
}

/// What a task may do next: 0 as long as it may not go on, else in how many ways.
type Ways = Box<dyn Fn(&World) -> usize + Send>;

#[derive(Default)]
struct Desk {
    task: usize,
    /// The gate that the task which was polled last has come to.
    came_to: Option<Ways>,
    way: usize,
}

/// Waits until the explorer goes on here; answers which way.
struct Gate {
    hands: Hands,
    ways: Option<Ways>,
}

impl Future for Gate {
    type Output = usize;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<usize> {
        let ways = self.ways.take();
        let mut desk = self.hands.0.desk.lock().unwrap();
        if ways.is_some() {
            desk.came_to = ways;
            return Poll::Pending;
        }
        let way = desk.way;
        drop(desk);
        self.hands.hear(way);
        Poll::Ready(way)
    }
}

impl Hands {
    fn world(&self) -> MutexGuard<'_, World> {
        self.0.world.lock().unwrap()
    }

    fn all(&self) -> &[Listener] {
        &self.0.scenario.listeners
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.0.scenario.flaw == Some(flaw)
    }

    /// The task that is running knows this from now on.
    fn hear(&self, what: impl Hash) {
        let task = self.0.desk.lock().unwrap().task;
        let mut world = self.world();
        let mut hasher = DefaultHasher::new();
        (world.heard[task], what).hash(&mut hasher);
        world.heard[task] = hasher.finish();
    }

    /// The task that is running is where it began: nothing that it was answered counts any more.
    fn forget(&self) {
        let task = self.0.desk.lock().unwrap().task;
        self.world().heard[task] = 0;
    }

    fn gate(&self) -> Gate {
        self.when(|_| true)
    }

    fn when(&self, may: impl Fn(&World) -> bool + Send + 'static) -> Gate {
        self.ways(move |world| usize::from(may(world)))
    }

    fn ways(&self, ways: impl Fn(&World) -> usize + Send + 'static) -> Gate {
        Gate { hands: self.clone(), ways: Some(Box::new(ways)) }
    }

    /// Reads the database: at one moment, if it does not fail.
    async fn read<T: Hash>(&self, read: impl FnOnce(&World) -> T) -> Result<T, StoreError> {
        if self.ways(|world| 1 + usize::from(world.failures > 0)).await == 1 {
            self.world().failures -= 1;
            return Err(StoreError::Away);
        }
        let answer = read(&self.world());
        self.hear(&answer);
        Ok(answer)
    }

    /// What becomes of an order in the database, whoever waits for it.
    async fn carry(self, it: usize) {
        let Order { node, change, .. } = self.0.scenario.orders[it];
        if let Change::Post { room } | Change::Remove { room, .. } = change {
            self.when(move |world| !world.locked[room]).await;
            self.world().locked[room] = true;
            self.gate().await;
            self.world().locked[room] = false;
        } else {
            self.gate().await;
        }
        let mut world = self.world();
        let number = world.commit(node, change);
        world.committed[it] = Some(number);
    }

    /// The lane that has sent an order: as `Work::commit` and the writer's `tell`.
    async fn wait_for(self, it: usize, following: Arc<Following<Node>>) {
        let Order { change, is_given_up, .. } = self.0.scenario.orders[it];
        if is_given_up {
            self.gate().await;
            if !self.has(Flaw::LostAnswersAreNotLookedFor) {
                following.look_again();
            }
            return;
        }
        let mut before = 0;
        if self.has(Flaw::ReadsWhatWasTakenAwayBeforeItCommits) {
            self.gate().await;
            before = self.world().revoked.len() as u64;
            self.hear(before);
        }
        if self.has(Flaw::AcknowledgesBeforeItCommits) {
            self.acknowledge(it);
        }
        self.when(move |world| world.committed[it].is_some()).await;
        let number = self.world().committed[it].unwrap();
        self.hear(number);
        let revoked = match self.has(Flaw::ReadsWhatWasTakenAwayBeforeItCommits) {
            true => before,
            // Behind the commit, in the same exchange: when that fails it is read again.
            false => self.read(|world| world.revoked.len() as u64).await.unwrap_or(u64::MAX),
        };
        let events = match change {
            Change::Post { room } | Change::Remove { room, .. } => vec![event(room, number)],
            Change::EndSession { .. } => Vec::new(),
        };
        let what = Announcements { events, ..Announcements::default() };
        if self.has(Flaw::TellsBeforeItCarriesOut) {
            following.tell(what).await;
            following.carry_out(revoked).await.ok();
        } else if following.carry_out(revoked).await.is_ok() {
            following.tell(what).await;
        } else {
            following.look_again();
        }
        self.acknowledge(it);
    }

    fn acknowledge(&self, it: usize) {
        let mut world = self.world();
        world.acknowledged[it] = true;
        if world.committed[it].is_none() {
            world.wrong = Some(format!("order {it} is acknowledged and not committed (G1)"));
        }
    }

    /// Somebody who comes in whenever they are out: as the hub, the policy and `RoomHistory`.
    async fn listen(self, it: usize, following: Arc<Following<Node>>) {
        let Listener { node, room, .. } = self.0.scenario.listeners[it];
        loop {
            self.forget();
            self.when(move |world| world.hubs[node].is_open && world.stages[it] == Stage::Out).await;
            {
                let mut world = self.world();
                let after = world.hubs[node].channels[room].last;
                world.stages[it] = Stage::Preparing { after };
            }
            let page = self.what_they_missed(it, &following).await;
            let mut world = self.world();
            match page {
                _ if !matches!(world.stages[it], Stage::Preparing { .. }) => {}
                Ok(Some(has)) => world.admit(self.all(), it, has),
                Ok(None) => {
                    world.stages[it] = Stage::Refused;
                    world.tidy(self.all(), node, room);
                }
                Err(_) => {
                    world.stages[it] = Stage::Out;
                    world.tidy(self.all(), node, room);
                }
            }
        }
    }

    /// How far what they are given goes; `None` when they have no right.
    async fn what_they_missed(&self, it: usize, following: &Following<Node>) -> Result<Option<u64>, StoreError> {
        let Listener { person, room, .. } = self.0.scenario.listeners[it];
        if !self.read(|world| world.may(person, room)).await? {
            return Ok(None);
        }
        self.gate().await;
        let (known, has) = (following.standing.position(room_id(room)), self.world().has[it]);
        self.hear((known.as_ref().map(|known| known.offset), has));
        if known.is_some_and(|known| known.offset == has) {
            return Ok(Some(has));
        }
        let (top, revoked) = self.read(|world| (world.rooms[room].len() as u64, world.revoked.len() as u64)).await?;
        following.carry_out(revoked).await?;
        following.standing.was_read(&stand(room, top));
        Ok(Some(top))
    }

    /// Reads what a hub misses: as `Core::repair`.
    async fn heal(self, node: usize, room: usize, following: Arc<Following<Node>>) {
        loop {
            self.forget();
            self.when(move |world| {
                let Channel { last, highest, .. } = &world.hubs[node].channels[room];
                last.is_some_and(|last| last < *highest)
            })
            .await;
            let Some(since) = self.world().hubs[node].channels[room].last else { continue };
            let read = self.read(|world| (world.rooms[room].len() as u64, world.revoked.len() as u64)).await;
            self.hear(since);
            let Ok((top, revoked)) = read else { continue };
            if following.carry_out(revoked).await.is_err() {
                continue;
            }
            let mut world = self.world();
            for number in since + 1..=top {
                if world.hubs[node].channels[room].last.is_some_and(|last| number == last + 1) {
                    world.deliver(self.all(), node, room, number);
                }
            }
            world.deliver_ahead(self.all(), node, room);
        }
    }
}

fn stand(room: usize, offset: u64) -> Stand {
    Stand { room: room_id(room), offset, epoch: "one".into() }
}

/// What a node has of the world: its way to the database, and its hub.
struct Node {
    hands: Hands,
    node: usize,
}

fn revocations_of(world: &[(usize, Option<usize>, usize)], after: u64) -> Revocations {
    let of = |(number, (person, room, _)): (u64, &(usize, Option<usize>, usize))| {
        let revocation = match room {
            Some(room) => Revocation::Membership { room: room_id(*room), person: person_id(*person), is_back: false },
            None => Revocation::Session(SessionId::from_bytes(*person_id(*person).bytes())),
        };
        (number, revocation)
    };
    let these = (1..).zip(world).filter(|(number, _)| *number > after).map(of).collect();
    Revocations { last: world.len() as u64, are_complete: true, these }
}

impl Shared for Node {
    fn stands(&self, revoked: u64) -> Read<'_, (Vec<Stand>, Revocations)> {
        Box::pin(async move {
            let read =
                self.hands.read(|world| (world.rooms.each_ref().map(|room| room.len() as u64), world.revoked.clone()));
            let (tops, taken) = read.await?;
            // A room without events was not made yet.
            let stands = tops.iter().enumerate().filter(|(_, top)| **top > 0).map(|(room, top)| stand(room, *top));
            Ok((stands.collect(), revocations_of(&taken, revoked)))
        })
    }

    fn events_after(&self, room: RoomId, number: u64, _: u32) -> Read<'_, Option<EventPage>> {
        Box::pin(async move {
            let room = room_of(room);
            let (offset, mut revoked) =
                self.hands.read(|world| (world.rooms[room].len() as u64, world.revoked.len() as u64)).await?;
            if self.hands.has(Flaw::PagesDoNotSayWhatWasTakenAway) {
                revoked = 0;
            }
            let events = (number + 1..=offset).map(|number| event(room, number)).collect();
            Ok(Some(EventPage { events, epoch: "one".into(), offset, more: false, revoked }))
        })
    }

    fn revocations(&self, after: u64) -> Read<'_, Revocations> {
        Box::pin(async move { Ok(revocations_of(&self.hands.read(|world| world.revoked.clone()).await?, after)) })
    }

    fn all_denials(&self) -> Read<'_, Vec<Denied>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn look_again(&self) {
        self.hands.world().hubs[self.node].unsettled = Some(usize::MAX);
    }

    fn stirred(&self) -> BoxFuture<'_, Stir> {
        let node = self.node;
        Box::pin(async move {
            self.hands.forget();
            self.hands
                .when(move |world| {
                    let Hub { seen, unsettled, .. } = &world.hubs[node];
                    *seen != Some(world.of_others(node)) || unsettled.is_some_and(|at| at != world.commits.len())
                })
                .await;
            let mut world = self.hands.world();
            let (others, commits) = (world.of_others(node), world.commits.len());
            let hub = &mut world.hubs[node];
            hub.seen = Some(others);
            hub.unsettled = hub.unsettled.map(|_| commits);
            Stir::Changed
        })
    }
}

impl Audience for Node {
    async fn announce_event(&self, event: &Event) {
        // Between whose turn it is and the telling, others run.
        self.hands.gate().await;
        self.hands.world().receive(self.hands.all(), self.node, room_of(event.room), event.number);
    }

    async fn tell_persons(&self, _: Vec<(PersonId, PersonEvent)>) {}

    async fn tell_of_profiles(&self, _: Vec<Changed>) {}

    async fn is_heard(&self, room: RoomId) -> bool {
        let is_heard = self.hands.world().in_channel(self.hands.all(), self.node, room_of(room)).next().is_some();
        self.hands.hear(is_heard);
        self.hands.gate().await;
        is_heard
    }

    async fn connect_person_again(&self, _: PersonId) {}

    async fn end_session(&self, session: SessionId) {
        self.hands.gate().await;
        let person = usize::from(session.bytes()[0]) - 1;
        self.hands.world().cut(self.hands.all(), self.node, person, None);
    }

    async fn cut_off(&self, room: RoomId, person: PersonId, _: bool) {
        self.hands.gate().await;
        let person = usize::from(person.bytes()[0]) - 1;
        self.hands.world().cut(self.hands.all(), self.node, person, Some(room_of(room)));
    }

    async fn deny(&self, _: DenialKey, _: Option<Denied>) {}

    fn deny_only(&self, _: Vec<Denied>) {}

    async fn connect_again(&self) {
        self.hands.world().begin_again(self.hands.all(), self.node);
    }

    async fn start_again(&self) {}
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

struct Task {
    future: Option<BoxFuture<'static, ()>>,
    gate: Option<Ways>,
    woken: Arc<Woken>,
    /// It ends when this node crashes.
    of: Option<usize>,
}

/// One way through a scenario.
struct Run {
    hands: Hands,
    tasks: Vec<Task>,
    nodes: Vec<Arc<Following<Node>>>,
    crashes: Vec<usize>,
}

/// What the explorer may choose.
#[derive(Debug, Clone, Copy)]
enum Step {
    Task { task: usize, way: usize },
    Crash { index: usize },
}

impl Run {
    fn new(scenario: &Scenario) -> Self {
        let world = World {
            // Each room was made before.
            rooms: [vec![0], vec![0]],
            commits: vec![(usize::MAX, 0)],
            committed: vec![None; scenario.orders.len()],
            acknowledged: vec![false; scenario.orders.len()],
            stages: vec![Stage::Out; scenario.listeners.len()],
            has: vec![1; scenario.listeners.len()],
            failures: scenario.failures,
            ..World::default()
        };
        let inside = Inside { scenario: scenario.clone(), world: Mutex::new(world), desk: Mutex::default() };
        let mut run = Self {
            hands: Hands(Arc::new(inside)),
            tasks: Vec::new(),
            nodes: Vec::new(),
            crashes: scenario.crashes.clone(),
        };
        for node in 0..NODES {
            let following = run.start(node, &|listener| !listener.comes_later);
            // Somebody was here before, and has read where the rooms stand.
            (0..ROOMS).for_each(|room| following.standing.was_read(&stand(room, 1)));
            run.nodes.push(following);
        }
        // Before anything happens, all nodes have begun, and whoever listens has come.
        while let Some(step) = run.steps().into_iter().find(|step| matches!(step, Step::Task { way: 0, .. })) {
            run.take(step);
        }
        for (it, listener) in scenario.listeners.iter().enumerate().filter(|(_, listener)| listener.comes_later) {
            let following = run.nodes[listener.node].clone();
            run.spawn(Some(listener.node), run.hands.clone().listen(it, following));
        }
        for (it, order) in scenario.orders.iter().enumerate() {
            run.spawn(None, run.hands.clone().carry(it));
            // Where nobody listens, nothing is told.
            if scenario.listeners.iter().any(|listener| listener.node == order.node) {
                let lane = run.hands.clone().wait_for(it, run.nodes[order.node].clone());
                run.spawn(Some(order.node), lane);
            }
        }
        run
    }

    fn start(&mut self, node: usize, comes: &dyn Fn(&Listener) -> bool) -> Arc<Following<Node>> {
        let hands = self.hands.clone();
        let here = || Arc::new(Node { hands: hands.clone(), node });
        let following = Arc::new(Following::new(here(), here(), Arc::<Standing>::default()));
        let (begun, hands) = (following.clone(), self.hands.clone());
        if !self.hands.all().iter().any(|listener| listener.node == node) {
            return following;
        }
        self.spawn(Some(node), async move {
            while begun.begin().await.is_err() {}
            hands.world().hubs[node].is_open = true;
            begun.run().await;
        });
        for it in 0..self.hands.all().len() {
            if self.hands.all()[it].node == node && comes(&self.hands.all()[it]) {
                self.spawn(Some(node), self.hands.clone().listen(it, following.clone()));
            }
        }
        for room in 0..ROOMS {
            self.spawn(Some(node), self.hands.clone().heal(node, room, following.clone()));
        }
        following
    }

    fn spawn(&mut self, of: Option<usize>, future: impl Future<Output = ()> + Send + 'static) {
        let task = Task { future: Some(Box::pin(future)), gate: None, woken: Arc::default(), of };
        self.tasks.push(task);
        self.hands.world().heard.push(0);
        self.poll(self.tasks.len() - 1, 0);
    }

    fn poll(&mut self, index: usize, way: usize) {
        *self.hands.0.desk.lock().unwrap() = Desk { task: index, came_to: None, way };
        let task = &mut self.tasks[index];
        task.woken.0.store(false, SeqCst);
        let waker = Waker::from(task.woken.clone());
        let Some(future) = &mut task.future else { return };
        let is_over = future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        if is_over {
            task.future = None;
            self.hands.forget();
        }
        task.gate = self.hands.0.desk.lock().unwrap().came_to.take();
        let mut world = self.hands.world();
        world.blocked.retain(|blocked| *blocked != index);
        if !is_over && task.gate.is_none() {
            world.blocked.push(index);
        }
    }

    fn steps(&self) -> Vec<Step> {
        let world = self.hands.world();
        let ways = |task: &Task| match &task.gate {
            Some(gate) => gate(&world),
            None => usize::from(task.future.is_some() && task.woken.0.load(SeqCst)),
        };
        let of_task = |(task, it): (usize, &Task)| (0..ways(it)).map(move |way| Step::Task { task, way });
        let mut steps: Vec<_> = self.tasks.iter().enumerate().flat_map(of_task).collect();
        if !steps.is_empty() {
            steps.extend((0..self.crashes.len()).map(|index| Step::Crash { index }));
        }
        steps
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Task { task, way } => self.poll(task, way),
            Step::Crash { index } => {
                let node = self.crashes.swap_remove(index);
                for task in self.tasks.iter_mut().filter(|task| task.of == Some(node)) {
                    (task.future, task.gate) = (None, None);
                }
                {
                    let mut world = self.hands.world();
                    world.begin_again(self.hands.all(), node);
                    world.hubs[node] = Hub::default();
                    world.runs[node] += 1;
                    let tasks = &self.tasks;
                    world.blocked.retain(|blocked| tasks[*blocked].future.is_some());
                }
                self.nodes[node] = self.start(node, &|_| true);
            }
        }
    }

    /// What tells one state from another.
    fn state(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hands.world().hash(&mut hasher);
        for node in &self.nodes {
            node.carried_out.load(SeqCst).hash(&mut hasher);
            for room in 0..ROOMS {
                node.told().0.get(&room_id(room)).hash(&mut hasher);
                node.standing.position(room_id(room)).map(|position| position.offset).hash(&mut hasher);
            }
        }
        for task in &self.tasks {
            (task.future.is_some(), task.gate.is_some(), task.woken.0.load(SeqCst)).hash(&mut hasher);
        }
        hasher.finish()
    }

    fn wrong(&self) -> Option<String> {
        self.hands.world().wrong.clone()
    }
}

/// How many states there were, or what went wrong and by which steps.
type Explored = Result<usize, (String, Vec<Step>)>;

/// Tries every order, up to so many states.
fn explore(scenario: &Scenario, states_max: usize) -> Explored {
    let mut seen = HashSet::new();
    // Of each step of the present way: which was taken of how many.
    let mut way: Vec<(usize, usize)> = Vec::new();
    loop {
        let (mut run, mut depth, mut taken) = (Run::new(scenario), 0, Vec::new());
        loop {
            let steps = run.steps();
            let failed =
                run.wrong().or_else(|| if steps.is_empty() { run.hands.world().at_the_end(scenario) } else { None });
            if let Some(wrong) = failed {
                return Err((wrong, taken));
            }
            if steps.is_empty() || (depth == way.len() && !seen.insert(run.state())) {
                break;
            }
            if depth == way.len() {
                way.push((0, steps.len()));
            }
            taken.push(steps[way[depth].0]);
            run.take(steps[way[depth].0]);
            depth += 1;
        }
        assert!(seen.len() <= states_max, "more than {states_max} states: nothing is known of the rest");
        while way.last().is_some_and(|(taken, of)| taken + 1 == *of) {
            way.pop();
        }
        match way.last_mut() {
            Some((taken, _)) => *taken += 1,
            None => return Ok(seen.len()),
        }
    }
}

/// Tries random orders.
fn wander(scenario: &Scenario, mut seed: u64, times: usize) -> Explored {
    let mut below = |count: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 11) as usize % count
    };
    for _ in 0..times {
        let (mut run, mut taken) = (Run::new(scenario), Vec::new());
        loop {
            let steps = run.steps();
            let failed =
                run.wrong().or_else(|| if steps.is_empty() { run.hands.world().at_the_end(scenario) } else { None });
            if let Some(wrong) = failed {
                return Err((wrong, taken));
            }
            if steps.is_empty() {
                break;
            }
            let step = steps[below(steps.len())];
            taken.push(step);
            run.take(step);
        }
    }
    Ok(times)
}

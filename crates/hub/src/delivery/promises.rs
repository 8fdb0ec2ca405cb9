//! What a loop promises, one by one: its turns are fair, its budget is kept by whoever holds most, replies do not wait.

use std::io::{self, IoSlice};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use tidings_protocol::Encoding;

use super::sweep::{LogKey, Note, State};
use super::{Base, Class, Loops, Taken, Writer};
use crate::format::{Format, Framing};
use crate::limits::BATCH_BYTES_MAX;
use crate::outbox::{Next, Outbox, Pushed};
use crate::session::Control;
use crate::sharded::lock;
use crate::sync::Mutex;
use crate::{ChannelName, Limits};

const LINES: Framing = Framing::new("lines", |message| [&*message, b"\n"].concat().into());

/// Room, what was seen, rest, takes this much more each time it is flushed.
#[derive(Debug, Default)]
struct Socket(Mutex<(usize, Vec<u8>, Bytes)>);

impl Writer for Socket {
    fn write(&self, slices: &[IoSlice<'_>], rest_of: &dyn Fn(usize) -> Bytes) -> io::Result<Taken> {
        let (room, seen, rest) = &mut *lock(&self.0);
        let mut take = |bytes: &[u8]| {
            let taken = bytes.len().min(*room);
            *room -= taken;
            seen.extend_from_slice(&bytes[..taken]);
            taken
        };
        let taken = take(rest);
        rest.advance(taken);
        if !rest.is_empty() {
            return Ok(Taken { bytes: 0, is_blocked: true });
        }
        let all: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        let taken = take(&all);
        if taken == 0 && !all.is_empty() {
            return Ok(Taken { bytes: 0, is_blocked: true });
        }
        let more = if taken == all.len() { Bytes::new() } else { rest_of(taken) };
        rest.clone_from(&more);
        Ok(Taken { bytes: taken + more.len(), is_blocked: taken < all.len() })
    }

    fn bytes_taken(&self) -> usize {
        0
    }
}

struct World {
    state: State,
    limits: Arc<Limits>,
    loops: Loops,
    outboxes: Vec<Arc<Outbox>>,
    sockets: Vec<Arc<Socket>>,
}

const FORMAT: Format = Format { encoding: Encoding::Json, framing: LINES };

impl World {
    fn new(bytes_max: usize, outbox_bytes_max: usize) -> Self {
        let limits = Arc::new(Limits { outbox_bytes_max, ..Limits::default() });
        let loops = Loops::new(1, &limits, &Arc::default());
        let state = State::new(limits.clone(), bytes_max);
        Self { state, limits, loops, outboxes: Vec::new(), sockets: Vec::new() }
    }
    fn connect(&mut self, room: usize) -> usize {
        let socket = Arc::new(Socket::default());
        lock(&socket.0).0 = room;
        let outbox = Outbox::open(self.loops.assign(), Some(socket.clone()), FORMAT);
        self.state.hear(Note::Opened { slot: outbox.slot, outbox: outbox.clone() });
        self.sockets.push(socket);
        self.outboxes.push(outbox);
        self.outboxes.len() - 1
    }
    fn subscribe(&mut self, connection: usize, channel: u64) {
        let (slot, key) = (self.outboxes[connection].slot, LogKey { channel, audience: 0 });
        let name = ChannelName::parse(&format!("c{channel}")).unwrap();
        self.state.hear(Note::Entered { slot, key, channel: name, takes_differences: false });
        self.state.hear(Note::Admitted { slot, key, after: 0, hears_join_leave: false, base: Base::NotNeeded });
        while self.state.turn(128) {}
    }
    fn publish(&mut self, channel: u64, number: u64, bytes: usize, class: Class) {
        let frame = Bytes::from([vec![b'x'; bytes - 1], vec![b'\n']].concat());
        self.state.hear(Note::Append { key: LogKey { channel, audience: 0 }, frame, number, class });
    }
    fn seen(&self, connection: usize) -> usize {
        lock(&self.sockets[connection].0).1.len()
    }
    fn cut(&self, connection: usize) -> usize {
        let controls = self.outboxes[connection].take_controls().0;
        controls.iter().filter(|control| matches!(control, Control::Lags(_))).count()
    }
}

#[test]
fn a_busy_large_room_does_not_starve_another_channel_of_the_loop() {
    let mut world = World::new(usize::MAX, usize::MAX);
    for _ in 0..1000 {
        let one = world.connect(usize::MAX);
        world.subscribe(one, 1);
    }
    let quiet = world.connect(usize::MAX);
    world.subscribe(quiet, 2);
    world.publish(1, 1, 100, Class::Publication);
    world.state.turn(128);
    world.publish(2, 1, 100, Class::Publication);
    // More is published than a round takes.
    let mut turns = 0;
    for number in 2..2_002 {
        world.publish(1, number, 100, Class::Publication);
        for _ in 0..5 {
            world.state.turn(128);
            turns += 1;
        }
        if world.seen(quiet) > 0 {
            break;
        }
    }
    assert!(turns < 100, "the quiet channel waited {turns} turns of 128 connections");
}

#[test]
fn g7_a_busy_large_room_keeps_to_the_budget() {
    // With 128 of them a turn ends together with a round.
    for readers in [127, 128, 1_000] {
        let mut world = World::new(10_000, 5_000);
        for _ in 0..readers {
            let one = world.connect(usize::MAX);
            world.subscribe(one, 1);
        }
        let deaf = world.connect(0);
        world.subscribe(deaf, 2);
        let mut most = 0;
        for number in 1..=1_000 {
            world.publish(1, number, 100, Class::Publication);
            world.state.turn(128);
            most = most.max(world.state.bytes());
        }
        assert!(most <= 20_000, "{most} bytes wait for {readers} readers, where 10,000 may");
        assert_eq!(world.cut(deaf), 0, "nothing is kept for it");
    }
}

#[test]
fn a_reply_keeps_its_place_when_what_may_be_dropped_before_it_is() {
    let mut world = World::new(usize::MAX, 300);
    let slow = world.connect(0);
    world.subscribe(slow, 1);
    world.publish(1, 0, 50, Class::Ephemeral);
    world.publish(1, 1, 100, Class::Publication);
    while world.state.turn(128) {}
    let slot = world.outboxes[slow].slot;
    assert_eq!(world.outboxes[slow].reply(Bytes::from_static(b"pong"), &world.limits), Pushed::Queued);
    world.state.hear(Note::Reply { slot, message: Bytes::from_static(b"pong") });
    while world.state.turn(128) {}
    world.publish(1, 2, 160, Class::Publication);
    while world.state.turn(128) {}
    assert_eq!(world.state.bytes(), 260, "the ephemeral one was dropped, and what is left keeps to the bound");
    lock(&world.sockets[slow].0).0 = usize::MAX;
    world.state.hear(Note::Ready { slot });
    while world.state.turn(128) {}
    let seen = String::from_utf8(lock(&world.sockets[slow].0).1.clone()).unwrap();
    let lines: Vec<usize> = seen.lines().map(|line| if line == "pong" { 0 } else { line.len() + 1 }).collect();
    assert_eq!(lines, [100, 0, 160]);
}

#[test]
fn a_reply_is_written_in_its_turn_though_publications_go_on() {
    let mut world = World::new(usize::MAX, usize::MAX);
    let one = world.connect(0);
    world.subscribe(one, 1);
    let slot = world.outboxes[one].slot;
    for number in 1..=10 {
        world.publish(1, number, 100, Class::Publication);
    }
    while world.state.turn(128) {}
    world.state.hear(Note::Reply { slot, message: Bytes::from_static(b"pong") });
    assert_eq!(world.outboxes[one].reply(Bytes::from_static(b"x"), &world.limits), Pushed::Queued);
    let mut rounds = 0;
    for number in 11..=2_000 {
        world.publish(1, number, 100, Class::Publication);
        // Its line takes as much as is published.
        lock(&world.sockets[one].0).0 += 100;
        world.sockets[one].write(&[], &|_| Bytes::new()).unwrap();
        world.state.hear(Note::Ready { slot });
        while world.state.turn(128) {}
        rounds += 1;
        if lock(&world.sockets[one].0).1.windows(4).any(|four| four == b"pong") {
            break;
        }
    }
    assert!(rounds < 100, "{rounds} publications that came later went before the reply");
}

#[test]
fn g7_a_reader_of_many_channels_is_cut_before_who_is_a_little_further_behind_in_one() {
    let mut world = World::new(100_000, 50_000);
    let deaf = world.connect(0);
    for channel in 0..128 {
        world.subscribe(deaf, channel);
    }
    let slow = world.connect(0);
    world.subscribe(slow, 500);
    world.publish(500, 1, 1_000, Class::Publication);
    for channel in 0..128 {
        world.publish(channel, 1, 900, Class::Publication);
        while world.state.turn(128) {}
    }
    assert_eq!(world.cut(slow), 0, "it held 1,000 of 100,000 bytes; the other 99,000 of 128 channels");
}

#[test]
fn g7_what_may_be_dropped_cuts_nobody_off() {
    let mut world = World::new(10_000, 50_000);
    let slow = world.connect(0);
    world.subscribe(slow, 1);
    for _ in 0..200 {
        world.publish(1, 0, 100, Class::Ephemeral);
        while world.state.turn(128) {}
    }
    assert_eq!(world.cut(slow), 0, "typing alone filled the budget, and may be dropped");
}

#[test]
fn g7_typing_of_others_does_not_cut_off_who_waits_for_publications() {
    let mut world = World::new(10_000, 50_000);
    let slow = world.connect(0);
    world.subscribe(slow, 1);
    let typing = world.connect(0);
    world.subscribe(typing, 2);
    world.publish(1, 1, 6_000, Class::Publication);
    for _ in 0..55 {
        world.publish(2, 0, 100, Class::Ephemeral);
        while world.state.turn(128) {}
    }
    assert_eq!((world.cut(slow), world.cut(typing)), (0, 0), "ephemeral ones never push durable ones out");
}

#[test]
fn each_channel_of_a_connection_gets_its_turn() {
    let mut world = World::new(usize::MAX, usize::MAX);
    let one = world.connect(0);
    for channel in 0..40 {
        world.subscribe(one, channel);
    }
    let slot = world.outboxes[one].slot;
    world.publish(39, 1, 77, Class::Publication);
    let mut rounds = 0;
    for number in 1..=1_000 {
        world.publish(0, number, 100, Class::Publication);
        world.publish(0, number + 1, 100, Class::Publication);
        lock(&world.sockets[one].0).0 += 150;
        world.sockets[one].write(&[], &|_| Bytes::new()).unwrap();
        world.state.hear(Note::Ready { slot });
        while world.state.turn(128) {}
        rounds += 1;
        let seen = lock(&world.sockets[one].0).1.clone();
        if seen.split(|byte| *byte == b'\n').any(|line| line.len() == 76) {
            break;
        }
    }
    assert!(rounds < 100, "one channel's {rounds} publications went before the other's first");
}

#[test]
fn one_connection_does_not_hold_the_loop_for_all_that_it_is_behind() {
    let mut world = World::new(usize::MAX, usize::MAX);
    let one = world.connect(0);
    for channel in 0..128 {
        world.subscribe(one, channel);
        for number in 0..16 {
            world.publish(channel, number + 1, 64 << 10, Class::Publication);
        }
    }
    while world.state.turn(128) {}
    lock(&world.sockets[one].0).0 = usize::MAX;
    world.state.hear(Note::Ready { slot: world.outboxes[one].slot });
    world.state.turn(1);
    assert!(world.seen(one) <= 1 << 20, "{} MiB in one go", world.seen(one) >> 20);
}

#[test]
fn a_closed_connection_whose_socket_breaks_ends() {
    #[derive(Debug)]
    struct Broken;
    impl Writer for Broken {
        fn write(&self, _: &[IoSlice<'_>], _: &dyn Fn(usize) -> Bytes) -> io::Result<Taken> {
            Err(io::ErrorKind::ConnectionReset.into())
        }

        fn bytes_taken(&self) -> usize {
            0
        }
    }
    let world = World::new(usize::MAX, usize::MAX);
    let outbox = Outbox::open(world.loops.assign(), Some(Arc::new(Broken)), FORMAT);
    outbox.reply(Bytes::from_static(b"x"), &world.limits);
    outbox.close(tidings_protocol::Disconnect::BAD_REQUEST);
    world.loops.run_dry();
    let cx = std::task::Context::from_waker(std::task::Waker::noop());
    let next = outbox.poll_next(&cx);
    assert!(matches!(next, std::task::Poll::Ready(Next::Close(_))), "it waits for ever");
}

#[test]
fn who_pins_frames_that_it_does_not_want_is_not_left_to_pin_the_whole_budget() {
    let mut world = World::new(64 << 20, 4 << 20);
    let one = world.connect(0);
    let (slot, key) = (world.outboxes[one].slot, LogKey { channel: 1, audience: 0 });
    world.state.hear(Note::Entered { slot, key, channel: ChannelName::parse("c1").unwrap(), takes_differences: false });
    // It catches up by itself, and hears who comes and goes.
    world.state.hear(Note::Admitted { slot, key, after: u64::MAX, hears_join_leave: true, base: Base::NotNeeded });
    while world.state.turn(128) {}
    world.publish(1, 0, 100, Class::JoinLeave);
    for number in 1..=800 {
        world.publish(1, number, 64 << 10, Class::Publication);
        while world.state.turn(128) {}
    }
    assert!(world.state.bytes() <= 8 << 20, "{} MiB wait for it", world.state.bytes() >> 20);
}

#[test]
fn g7_rests_of_frames_that_were_cut_are_shared_and_counted() {
    let mut world = World::new(2 << 20, 4 << 20);
    let deaf: Vec<usize> = (0..100).map(|_| world.connect(1_000)).collect();
    for &one in &deaf[..50] {
        world.subscribe(one, 1);
    }
    world.publish(1, 1, 1 << 20, Class::Publication);
    while world.state.turn(128) {}
    assert_eq!(world.state.copies(), 1 << 20, "one copy for fifty sockets that were cut in it");
    // And one each of fifty channels: more than may be kept.
    for (channel, &one) in (2..).zip(&deaf[50..]) {
        world.subscribe(one, channel);
        world.publish(channel, 1, 100 << 10, Class::Publication);
        while world.state.turn(128) {}
    }
    let closed = deaf.iter().filter(|one| world.outboxes[**one].take_controls().1.is_some()).count();
    assert!((1..100).contains(&closed), "{closed} of those who hold most are closed");
}

#[test]
fn tasks_that_are_equally_far_share_what_they_write() {
    let limits = Arc::new(Limits { delivery_bytes_max: 1 << 20, ..Limits::default() });
    let loops = Loops::new(1, &limits, &Arc::default());
    let key = LogKey { channel: 1, audience: 0 };
    let outboxes: Vec<_> = (0..200).map(|_| Outbox::open(loops.assign(), None, FORMAT)).collect();
    let cx = std::task::Context::from_waker(std::task::Waker::noop());
    for outbox in &outboxes {
        let slot = outbox.slot;
        outbox.of.leave(Note::Entered {
            slot,
            key,
            channel: ChannelName::parse("c1").unwrap(),
            takes_differences: false,
        });
        outbox.of.leave(Note::Admitted { slot, key, after: 0, hears_join_leave: false, base: Base::NotNeeded });
    }
    for number in 1..=250 {
        let frame = Bytes::from(vec![b'x'; 1 << 10]);
        outboxes[0].of.post(Note::Append { key, frame, number, class: Class::Publication });
    }
    loops.run_dry();
    let mut held = std::collections::HashSet::new();
    for outbox in &outboxes {
        let std::task::Poll::Ready(Next::Send(frames)) = outbox.poll_next(&cx) else { panic!("all have something") };
        let bytes: usize = frames.iter().map(Bytes::len).sum();
        assert!(bytes <= BATCH_BYTES_MAX, "{bytes} bytes at once");
        held.extend(frames.iter().map(|frame| (frame.as_ptr(), frame.len())));
    }
    assert_eq!(held.len(), BATCH_BYTES_MAX >> 10, "one copy of each frame for all");
}

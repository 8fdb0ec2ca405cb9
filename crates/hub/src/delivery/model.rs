//! Random histories of a loop: readers who take little at a time, come, go, prepare, are admitted somewhere and are cut
//! off, against what each of them must and must not see (G3, G5, G7, G8).

use std::io::{self, IoSlice};
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use tidings_protocol::Encoding;

use super::sweep::{LogKey, Note, State};
use super::{Base, Class, Loops, Taken, Writer};
use crate::format::{Format, Framing};
use crate::outbox::Outbox;
use crate::session::Control;
use crate::sharded::lock;
use crate::sync::Mutex;
use crate::{ChannelName, Limits};

const CONNECTIONS: usize = 4;
const CHANNELS: usize = 3;
/// Publications of this one come as differences to the one before.
const WITH_DIFFERENCES: usize = 2;
/// What a reader may be behind, and all logs together.
const BEHIND_MAX: usize = 200;
const BYTES_MAX: usize = 400;

const LINES: Framing = Framing::new("lines", |message| [&*message, b"\n"].concat().into());

#[derive(Clone, Debug)]
enum Step {
    Publish {
        channel: usize,
        class: Class,
    },
    Enter {
        connection: usize,
        channel: usize,
    },
    /// Its reply says that it has this many less than all there are, and may have the last of these with it.
    Admit {
        connection: usize,
        channel: usize,
        less: u64,
        brings_last: bool,
    },
    Leave {
        connection: usize,
        channel: usize,
    },
    Reply {
        connection: usize,
    },
    /// Its socket takes so many bytes more.
    Read {
        connection: usize,
        bytes: usize,
    },
    Turn,
    Close {
        connection: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let (connection, channel) = (0..CONNECTIONS, 0..CHANNELS);
    let class = prop_oneof![4 => Just(Class::Publication), 1 => Just(Class::Ephemeral)];
    prop_oneof![
        12 => (channel.clone(), class).prop_map(|(channel, class)| Step::Publish { channel, class }),
        3 => (connection.clone(), channel.clone()).prop_map(|(connection, channel)| Step::Enter { connection, channel }),
        4 => (connection.clone(), channel.clone(), 0_u64..3, any::<bool>()).prop_map(
            |(connection, channel, less, brings_last)| Step::Admit { connection, channel, less, brings_last }
        ),
        2 => (connection.clone(), channel).prop_map(|(connection, channel)| Step::Leave { connection, channel }),
        2 => connection.clone().prop_map(|connection| Step::Reply { connection }),
        8 => (connection.clone(), 0_usize..120).prop_map(|(connection, bytes)| Step::Read { connection, bytes }),
        6 => Just(Step::Turn),
        1 => connection.prop_map(|connection| Step::Close { connection }),
    ]
}

/// A socket with so much room.
#[derive(Debug, Default)]
struct Socket(Mutex<(usize, String, Vec<u8>)>);

impl Writer for Socket {
    fn write(&self, slices: &[IoSlice<'_>], rest_of: &dyn Fn(usize) -> Bytes) -> io::Result<Taken> {
        let (room, seen, rest) = &mut *lock(&self.0);
        let mut take = |bytes: &[u8]| {
            let taken = bytes.len().min(*room);
            *room -= taken;
            seen.push_str(std::str::from_utf8(&bytes[..taken]).unwrap());
            taken
        };
        let taken = take(rest);
        rest.drain(..taken);
        if !rest.is_empty() {
            return Ok(Taken { bytes: 0, is_blocked: true });
        }
        let all: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        let taken = take(&all);
        let more = if taken == all.len() { Bytes::new() } else { rest_of(taken) };
        rest.extend_from_slice(&more);
        Ok(Taken { bytes: taken + more.len(), is_blocked: taken < all.len() })
    }

    fn bytes_taken(&self) -> usize {
        lock(&self.0).1.len()
    }
}

/// What the hub knows of one subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Stage {
    #[default]
    Out,
    /// Since the channel stood there.
    Preparing(u64),
    Live,
}

struct World {
    state: State,
    sockets: Vec<Arc<Socket>>,
    outboxes: Vec<Arc<Outbox>>,
    stages: [[Stage; CHANNELS]; CONNECTIONS],
    /// How many numbers each channel has given, and how many messages without.
    tops: [u64; CHANNELS],
    closed: [bool; CONNECTIONS],
    /// Whether the next publication may come as a difference to one that all have had.
    has_before: bool,
    replies: u64,
    limits: Arc<Limits>,
}

impl World {
    fn new() -> Self {
        let limits = Arc::new(Limits { outbox_bytes_max: BEHIND_MAX, ..Limits::default() });
        let loops = Loops::new(1, &limits, &Arc::default());
        let format = Format { encoding: Encoding::Json, framing: LINES };
        let mut state = State::new(limits.clone(), BYTES_MAX);
        let (mut sockets, mut outboxes) = (Vec::new(), Vec::new());
        for _ in 0..CONNECTIONS {
            let socket = Arc::new(Socket::default());
            let outbox = Outbox::open(loops.assign(), Some(socket.clone()), format);
            state.hear(Note::Opened { slot: outbox.slot, outbox: outbox.clone() });
            sockets.push(socket);
            outboxes.push(outbox);
        }
        let (stages, tops, closed) = Default::default();
        Self { state, sockets, outboxes, stages, tops, closed, has_before: false, replies: 0, limits }
    }

    fn reply(&mut self, connection: usize, text: String) {
        if self.outboxes[connection].reply(Bytes::from(text.clone()), &self.limits) == crate::outbox::Pushed::Closed {
            return self.close(connection);
        }
        self.state.hear(Note::Reply { slot: self.outboxes[connection].slot, message: text.into() });
    }

    fn close(&mut self, connection: usize) {
        self.closed[connection] = true;
        self.state.hear(Note::Closed { slot: self.outboxes[connection].slot, is_cut: false });
    }

    fn take(&mut self, step: &Step) {
        let key = |channel: usize| LogKey { channel: channel as u64, audience: 0 };
        match *step {
            Step::Publish { channel, class } => {
                let is_numbered = class == Class::Publication;
                self.tops[channel] += u64::from(is_numbered);
                let (key, top) = (key(channel), self.tops[channel]);
                let number = if is_numbered { top } else { 0 };
                let frame = |kind: char| Bytes::from(format!("{kind}{channel}:{top}\n"));
                let note = match (channel, is_numbered) {
                    (WITH_DIFFERENCES, true) if self.has_before => {
                        Note::AppendDifference { key, difference: frame('d'), whole: frame('p'), number }
                    }
                    // As the channel does it: what has no number is for all who read differences, and what follows is whole.
                    (WITH_DIFFERENCES, false) => {
                        Note::Append { key, frame: frame('e'), number, class: Class::Publication }
                    }
                    (_, true) => Note::Append { key, frame: frame('p'), number, class },
                    (_, false) => Note::Append { key, frame: frame('e'), number, class },
                };
                if channel == WITH_DIFFERENCES {
                    self.has_before = is_numbered;
                }
                self.state.hear(note);
            }
            Step::Enter { connection, channel } if self.stages[connection][channel] == Stage::Out => {
                if !self.closed[connection] {
                    self.stages[connection][channel] = Stage::Preparing(self.tops[channel]);
                    let name = ChannelName::parse(&channel.to_string()).unwrap();
                    let slot = self.outboxes[connection].slot;
                    let takes_differences = channel == WITH_DIFFERENCES;
                    self.state.hear(Note::Entered { slot, key: key(channel), channel: name, takes_differences });
                }
            }
            Step::Admit { connection, channel, less, brings_last } => {
                let Stage::Preparing(since) = self.stages[connection][channel] else { return };
                let after = self.tops[channel].saturating_sub(less).max(since);
                self.stages[connection][channel] = Stage::Live;
                let brings_last = brings_last && after > 0;
                self.reply(connection, format!("{}{channel}:{after}", if brings_last { 'g' } else { 's' }));
                let slot = self.outboxes[connection].slot;
                let base = match channel {
                    WITH_DIFFERENCES if brings_last => Base::Given,
                    WITH_DIFFERENCES => Base::Lacks,
                    _ => Base::NotNeeded,
                };
                self.state.hear(Note::Admitted { slot, key: key(channel), after, hears_join_leave: false, base });
            }
            Step::Leave { connection, channel } if self.stages[connection][channel] != Stage::Out => {
                self.stages[connection][channel] = Stage::Out;
                self.state.hear(Note::Left { slot: self.outboxes[connection].slot, key: key(channel) });
                self.reply(connection, format!("u{channel}:{}", self.tops[channel]));
            }
            Step::Reply { connection } => {
                self.replies += 1;
                self.reply(connection, format!("r9:{}", self.replies));
            }
            Step::Read { connection, bytes } => {
                lock(&self.sockets[connection].0).0 += bytes;
                // As its task does when the socket takes more: what is left of a cut frame goes first.
                let flushed = self.sockets[connection].write(&[], &|_| Bytes::new()).unwrap();
                if !flushed.is_blocked && lock(&self.sockets[connection].0).0 > 0 {
                    self.state.hear(Note::Ready { slot: self.outboxes[connection].slot });
                }
            }
            Step::Turn => {
                self.state.turn(2);
                self.cut();
            }
            Step::Close { connection } => self.close(connection),
            Step::Enter { .. } | Step::Leave { .. } => {}
        }
    }

    /// What a connection does that is told that it lags: the hub has it leave and start again.
    fn cut(&mut self) {
        for connection in 0..CONNECTIONS {
            for control in self.outboxes[connection].take_controls().0 {
                if let Control::Lags(channel) = control {
                    let channel: usize = channel.as_str().parse().unwrap();
                    self.take(&Step::Leave { connection, channel });
                }
            }
        }
    }

    /// Everybody takes everything, and nobody keeps a place.
    fn settle(&mut self) {
        for (connection, channel) in
            (0..CONNECTIONS).flat_map(|connection| (0..CHANNELS).map(move |channel| (connection, channel)))
        {
            if matches!(self.stages[connection][channel], Stage::Preparing(_)) {
                self.take(&Step::Leave { connection, channel });
            }
        }
        for _ in 0..20 {
            for connection in 0..CONNECTIONS {
                self.take(&Step::Read { connection, bytes: 10_000 });
            }
            while self.state.turn(100) {}
            self.cut();
        }
    }

    /// Whether a connection saw what it must, and nothing that it must not.
    fn check(&self, connection: usize) {
        let seen = lock(&self.sockets[connection].0).1.clone();
        let mut next: [Option<u64>; CHANNELS] = Default::default();
        // The number of the publication that it had last, to which a difference may be.
        let mut had: [Option<u64>; CHANNELS] = Default::default();
        let mut last_reply = 0;
        for line in seen.lines() {
            let (kind, (channel, number)) = (&line[..1], line[1..].split_once(':').unwrap());
            let (channel, number): (usize, u64) = (channel.parse().unwrap(), number.parse().unwrap());
            match kind {
                "s" => (next[channel], had[channel]) = (Some(number + 1), None),
                "g" => (next[channel], had[channel]) = (Some(number + 1), Some(number)),
                "u" => {
                    assert!(next[channel].is_none_or(|next| next <= number + 1), "G5: {line} in\n{seen}");
                    next[channel] = None;
                }
                "p" | "d" => {
                    assert_eq!(next[channel], Some(number), "{line} of {connection} in\n{seen}");
                    if kind == "d" {
                        assert_eq!(had[channel], Some(number - 1), "{line} of {connection} is a difference\n{seen}");
                    }
                    (next[channel], had[channel]) = (Some(number + 1), Some(number));
                }
                "e" => {
                    assert!(next[channel].is_some(), "{line} of {connection} outside of a subscription\n{seen}");
                    had[channel] = None;
                }
                "r" => {
                    assert!(number > last_reply, "replies in order");
                    last_reply = number;
                }
                other => panic!("{other} in {line}"),
            }
        }
        assert!(seen.is_empty() || seen.ends_with('\n'), "a frame was torn: {seen}");
        for channel in (0..CHANNELS).filter(|_| !self.closed[connection]) {
            let live = self.stages[connection][channel] == Stage::Live;
            let expected = live.then(|| self.tops[channel] + 1);
            assert_eq!(next[channel], expected, "channel {channel} of {connection} in the end:\n{seen}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn g3_g5_g7_each_reader_sees_its_channels_whole_and_in_order_however_it_reads(
        steps in prop::collection::vec(step(), 1..300),
    ) {
        let mut world = World::new();
        for step in &steps {
            world.take(step);
            if matches!(step, Step::Turn) {
                while world.state.turn(100) {}
                prop_assert!(world.state.bytes() <= BYTES_MAX, "{} bytes wait", world.state.bytes());
                world.cut();
            }
        }
        world.settle();
        for connection in 0..CONNECTIONS {
            world.check(connection);
        }
        prop_assert_eq!(world.state.bytes(), 0, "nobody is behind, so nothing is kept");
    }
}

//! What one loop knows of its connections and of the logs that they follow, and who writes what next.
//!
//! Sans-IO: [`Note`]s come in, bytes go to the connections' [`Outbox`]es. A connection is served in one go: everything from
//! each of its cursors to the head, then what waits for it alone, with one write.

#![expect(
    clippy::cast_possible_truncation,
    reason = "places lie within one buffer, and slots and cursors count connections"
)]

use std::collections::{HashMap, VecDeque};
use std::io::IoSlice;
use std::sync::Arc;

use bytes::Bytes;

use super::Taken;
use super::log::{Class, Log, Taste};
use crate::format::Format;
use crate::limits::{JOINED_BYTES_MAX, LAGGING_BYTES, WRITE_BYTES_MAX, WRITE_PIECES_MAX};
use crate::outbox::Outbox;
use crate::{ChannelName, Limits};

/// A channel's log in one form: the channel's number and the form's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LogKey {
    pub(crate) channel: u64,
    pub(crate) form: u8,
}

/// What a loop is told. What is told first holds first: that is the order that clients rely on.
pub(crate) enum Note {
    /// A connection has come.
    Opened { slot: u32, outbox: Arc<Outbox>, format: Format },
    /// It is gone, and its slot is free once this has been heard.
    Gone { slot: u32 },
    /// A message for it alone, not framed yet.
    Reply { slot: u32, message: Bytes },
    /// It follows a channel from here on, and hears nothing before it is admitted.
    Entered { slot: u32, key: LogKey, channel: ChannelName },
    /// It hears what it follows, behind the replies before this; not the numbers up to `after`.
    Admitted { slot: u32, key: LogKey, after: u64, hears_join_leave: bool },
    /// It gets nothing of what it follows from here on until it is admitted again.
    Held { slot: u32, key: LogKey },
    /// What is appended from here on is not for it.
    Left { slot: u32, key: LogKey },
    /// It takes more.
    Ready { slot: u32 },
    /// It may have something to be written.
    Served { slot: u32 },
    /// It is over: what it has not had yet is still written, unless it `is_cut`.
    Closed { slot: u32, is_cut: bool },
    /// Something for all who follow a channel.
    Append { key: LogKey, frame: Bytes, number: u64, class: Class },
}

/// Everything of one loop.
pub(crate) struct State {
    limits: Arc<Limits>,
    bytes_max: usize,
    connections: Vec<Option<Connection>>,
    logs: Vec<Option<Followed>>,
    free_logs: Vec<u32>,
    by_key: HashMap<LogKey, u32>,
    /// Logs with something new that not all have been offered.
    new: VecDeque<u32>,
    /// Connections that have something to write for other reasons.
    ready: VecDeque<u32>,
    /// Bytes of all logs.
    bytes: usize,
    /// What was written since it was asked last.
    pub(crate) written: Written,
}

/// What a loop has done, for the metrics.
#[derive(Default)]
pub(crate) struct Written {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

pub(crate) struct Connection {
    outbox: Arc<Outbox>,
    format: Format,
    subscriptions: Vec<Subscription>,
    private: VecDeque<Private>,
    /// The next of these as it is written.
    framed: Option<Box<Framed>>,
    /// It takes nothing until it is [ready](Note::Ready).
    is_blocked: bool,
    is_closed: bool,
    is_listed: bool,
}

/// Replies as they are written.
struct Framed {
    frame: Bytes,
    /// How many are in it.
    replies: usize,
    /// Their bytes.
    bytes: usize,
    /// The subscriptions that begin behind it.
    begins: Vec<(u32, Taste)>,
}

/// Where a connection's cursor is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Subscription {
    log: u32,
    cursor: u32,
}

/// What concerns one connection alone, in order.
enum Private {
    Message(Bytes),
    /// From here on it hears this subscription.
    Begins {
        log: u32,
        taste: Taste,
    },
    /// It has everything up to the end of this subscription before what follows.
    Ends {
        log: u32,
    },
}

struct Followed {
    key: LogKey,
    channel: ChannelName,
    log: Log,
    cursors: Vec<Cursor>,
    /// Who is offered what is new next, and how many yet.
    next: usize,
    left: usize,
    hearing: usize,
    live: usize,
    /// It is among those to look at.
    is_listed: bool,
}

pub(crate) struct Cursor {
    slot: u32,
    at: u64,
    stage: Stage,
    taste: Taste,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Not admitted: it only keeps its place.
    Preparing,
    Live,
    /// It hears what is before this place.
    Ending(u64),
}

/// One piece of a write.
#[derive(Clone, Copy, Default)]
struct Piece {
    subscription: Subscription,
    from: u64,
    to: u64,
}

impl State {
    /// A loop whose logs may hold so many bytes.
    pub(crate) fn new(limits: Arc<Limits>, bytes_max: usize) -> Self {
        Self {
            limits,
            bytes_max,
            connections: Vec::new(),
            logs: Vec::new(),
            free_logs: Vec::new(),
            by_key: HashMap::new(),
            new: VecDeque::new(),
            ready: VecDeque::new(),
            bytes: 0,
            written: Written::default(),
        }
    }

    /// Takes note of what has happened. Returns a slot that is free now.
    pub(crate) fn hear(&mut self, note: Note) -> Option<u32> {
        match note {
            Note::Append { key, frame, number, class } => self.append(key, &frame, number, class),
            Note::Opened { slot, outbox, format } => self.open(slot, outbox, format),
            Note::Gone { slot } => {
                self.close(slot, true);
                if let Some(connection) = self.connections.get_mut(slot as usize) {
                    *connection = None;
                }
                return Some(slot);
            }
            Note::Reply { slot, message } => {
                if let Some(connection) = self.connection(slot)
                    && !connection.is_closed
                {
                    connection.private.push_back(Private::Message(message));
                    self.list(slot);
                }
            }
            Note::Entered { slot, key, channel } => self.enter(slot, key, channel),
            Note::Admitted { slot, key, after, hears_join_leave } => {
                let taste = Taste { after, hears_join_leave, lags: false };
                if let Some(subscription) = self.find(slot, key)
                    && let Some(connection) = self.connection(slot)
                    && !connection.is_closed
                {
                    connection.private.push_back(Private::Begins { log: subscription.log, taste });
                    self.list(slot);
                }
            }
            Note::Held { slot, key } => self.hold(slot, key),
            Note::Left { slot, key } => self.leave(slot, key),
            Note::Ready { slot } => {
                if let Some(connection) = self.connection(slot) {
                    connection.is_blocked = false;
                    self.list(slot);
                }
            }
            Note::Served { slot } => self.list(slot),
            Note::Closed { slot, is_cut } => self.close(slot, is_cut),
        }
        None
    }

    /// Offers what is new to so many connections. `true`: there is more to do.
    pub(crate) fn turn(&mut self, connections_max: usize) -> bool {
        for _ in 0..connections_max {
            if let Some(slot) = self.ready.pop_front() {
                if let Some(connection) = self.connection(slot) {
                    connection.is_listed = false;
                    self.serve(slot);
                }
                continue;
            }
            let Some(&log) = self.new.front() else { return false };
            match self.next_follower(log) {
                Some(slot) => self.serve(slot),
                None => {
                    self.new.pop_front();
                    self.trim(log);
                }
            }
        }
        true
    }

    /// Bytes of all logs.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    fn append(&mut self, key: LogKey, frame: &[u8], number: u64, class: Class) {
        let Some(&index) = self.by_key.get(&key) else { return };
        let Some(followed) = self.logs[index as usize].as_mut() else { return };
        followed.log.append(frame, number, class);
        self.bytes += frame.len();
        self.written.messages += if class == Class::JoinLeave { followed.hearing } else { followed.live };
        followed.left = followed.cursors.len();
        followed.look_again(&mut self.new, index);
    }

    /// The next connection that may take what is new in a log.
    fn next_follower(&mut self, log: u32) -> Option<u32> {
        let followed = self.logs[log as usize].as_mut()?;
        while followed.left > 0 {
            followed.left -= 1;
            if followed.next >= followed.cursors.len() {
                followed.next = 0;
            }
            let Some(cursor) = followed.cursors.get(followed.next) else { break };
            followed.next += 1;
            if cursor.stage == Stage::Live && cursor.at < followed.log.head() {
                let slot = cursor.slot;
                if self.connections[slot as usize].as_ref().is_some_and(|connection| !connection.is_blocked) {
                    return Some(slot);
                }
            }
        }
        None
    }

    /// Everything that a connection may have is written with one write, as far as it takes it.
    pub(crate) fn serve(&mut self, slot: u32) {
        loop {
            self.settle(slot);
            let mut pieces = [Piece::default(); WRITE_PIECES_MAX];
            let count = self.gather(slot, &mut pieces);
            let pieces = &pieces[..count];
            let Some(connection) = self.connection(slot) else { return };
            if connection.is_blocked {
                return;
            }
            if count == 0 && connection.framed.is_none() {
                if connection.is_closed && connection.private.is_empty() {
                    connection.outbox.drained();
                    self.forget_all(slot, |_| true);
                }
                return;
            }
            let written = self.write(slot, pieces);
            self.advance(slot, pieces, written.bytes);
            if written.is_blocked
                && let Some(connection) = self.connection(slot)
            {
                connection.is_blocked = true;
            }
        }
    }

    fn write(&self, slot: u32, pieces: &[Piece]) -> Taken {
        let Some(connection) = &self.connections[slot as usize] else { return Taken::default() };
        let framed = connection.framed.as_ref().map(|framed| &framed.frame);
        let log_of = |piece: &Piece| self.logs[piece.subscription.log as usize].as_ref().map(|followed| &followed.log);
        if !connection.outbox.is_direct() {
            let mut frames = Vec::new();
            for piece in pieces {
                let Some(log) = log_of(piece) else { continue };
                let copied = Bytes::copy_from_slice(log.bytes(piece.from, piece.to));
                frames.extend(log.frames(piece.from, piece.to).map(|(from, to)| copied.slice(from..to)));
            }
            frames.extend(framed.cloned());
            return connection.outbox.hand_over(frames);
        }
        let mut slices = [IoSlice::new(&[]); WRITE_PIECES_MAX + 1];
        let mut count = 0;
        let of_logs = pieces.iter().filter_map(|piece| Some(log_of(piece)?.bytes(piece.from, piece.to)));
        for bytes in of_logs.chain(framed.map(|frame| &**frame)) {
            slices[count] = IoSlice::new(bytes);
            count += 1;
        }
        // The frame that was cut goes with what has left: the transport keeps its rest.
        let whole_frames = |written: usize| {
            let mut before = 0;
            for piece in pieces {
                let end = piece.from + (written - before) as u64;
                if end <= piece.to {
                    return before + log_of(piece).map_or(0, |log| (log.end_of_frame(end) - piece.from) as usize);
                }
                before += (piece.to - piece.from) as usize;
            }
            if written == before { before } else { before + framed.map_or(0, Bytes::len) }
        };
        connection.outbox.write(&slices[..count], &whole_frames)
    }

    /// Begins and ends what has its turn, and frames what stands before that.
    fn settle(&mut self, slot: u32) {
        loop {
            let Some(Some(connection)) = self.connections.get_mut(slot as usize) else { return };
            match connection.private.front() {
                Some(Private::Message(_)) if connection.framed.is_none() => connection.frame_next(&self.logs),
                Some(&Private::Begins { log, taste }) if connection.framed.is_none() => {
                    connection.private.pop_front();
                    if connection.private.is_empty() {
                        connection.private = VecDeque::new();
                    }
                    self.begin(slot, log, taste);
                }
                Some(&Private::Ends { log }) => {
                    if self.has_more(slot, log) {
                        return;
                    }
                    self.remove_ended(slot, log);
                    if let Some(connection) = self.connection(slot) {
                        connection.private.pop_front();
                    }
                }
                _ => return,
            }
        }
    }

    /// What lies ready for a connection in the logs that it hears.
    fn gather(&mut self, slot: u32, pieces: &mut [Piece]) -> usize {
        let (mut count, mut room) = (0, WRITE_BYTES_MAX);
        let Some(Some(connection)) = self.connections.get(slot as usize) else { return 0 };
        for &subscription in &connection.subscriptions {
            if count == pieces.len() || room == 0 {
                break;
            }
            let Some(followed) = self.logs[subscription.log as usize].as_mut() else { continue };
            let (head, cursor) = (followed.log.head(), &mut followed.cursors[subscription.cursor as usize]);
            let end = match cursor.stage {
                Stage::Preparing => continue,
                Stage::Live => head,
                Stage::Ending(end) => end,
            };
            let taste = Taste { lags: end.saturating_sub(cursor.at) > LAGGING_BYTES, ..cursor.taste };
            match followed.log.next(cursor.at, end, taste, room) {
                Ok((from, to)) => {
                    pieces[count] = Piece { subscription, from, to };
                    count += 1;
                    room = room.saturating_sub((to - from) as usize);
                }
                Err(at) if at == cursor.at => {}
                Err(at) => {
                    cursor.at = at;
                    followed.look_again(&mut self.new, subscription.log);
                }
            }
        }
        count
    }

    /// So many bytes have been taken of what was offered.
    fn advance(&mut self, slot: u32, pieces: &[Piece], mut bytes: usize) {
        self.written.bytes += bytes;
        if bytes == 0 {
            return;
        }
        for piece in pieces {
            let taken = bytes.min((piece.to - piece.from) as usize);
            bytes -= taken;
            let Some(followed) = self.logs[piece.subscription.log as usize].as_mut().filter(|_| taken > 0) else {
                return;
            };
            let cursor = &mut followed.cursors[piece.subscription.cursor as usize];
            cursor.at = piece.from + taken as u64;
            if cursor.taste.after > 0 && followed.log.number_at(cursor.at) > cursor.taste.after {
                cursor.taste.after = 0;
            }
            followed.look_again(&mut self.new, piece.subscription.log);
        }
        // What stands behind the pieces has left when anything of it has.
        if bytes > 0
            && let Some(connection) = self.connection(slot)
            && let Some(framed) = connection.framed.take()
        {
            connection.outbox.replied(framed.replies, framed.bytes);
            self.written.messages += framed.replies;
            for (log, taste) in framed.begins {
                self.begin(slot, log, taste);
            }
        }
    }

    fn open(&mut self, slot: u32, outbox: Arc<Outbox>, format: Format) {
        let index = slot as usize;
        if self.connections.len() <= index {
            self.connections.resize_with(index + 1, || None);
        }
        self.connections[index] = Some(Connection {
            outbox,
            format,
            subscriptions: Vec::new(),
            private: VecDeque::new(),
            framed: None,
            is_blocked: false,
            is_closed: false,
            is_listed: false,
        });
    }

    fn enter(&mut self, slot: u32, key: LogKey, channel: ChannelName) {
        if self.connection(slot).is_none_or(|connection| connection.is_closed) {
            return;
        }
        let log = match self.by_key.get(&key) {
            Some(log) => *log,
            None => self.make_log(key, channel),
        };
        let Some(followed) = self.logs[log as usize].as_mut() else { return };
        let cursor = followed.cursors.len() as u32;
        let at = followed.log.head();
        followed.cursors.push(Cursor { slot, at, stage: Stage::Preparing, taste: Taste::default() });
        if let Some(connection) = self.connection(slot) {
            if connection.subscriptions.is_empty() {
                connection.subscriptions.reserve_exact(1);
            }
            connection.subscriptions.push(Subscription { log, cursor });
        }
    }

    fn begin(&mut self, slot: u32, log: u32, taste: Taste) {
        let Some(subscription) = self.of_log(slot, log, |stage| stage == Stage::Preparing) else { return };
        let Some(followed) = self.logs[log as usize].as_mut() else { return };
        let cursor = &mut followed.cursors[subscription.cursor as usize];
        (cursor.stage, cursor.taste) = (Stage::Live, taste);
        followed.live += 1;
        followed.hearing += usize::from(taste.hears_join_leave);
    }

    fn hold(&mut self, slot: u32, key: LogKey) {
        let Some(subscription) = self.find(slot, key) else { return };
        if let Some(connection) = self.connection(slot) {
            connection.forget_begin(subscription.log);
        }
        let Some(followed) = self.logs[subscription.log as usize].as_mut() else { return };
        // What it has of what lies here is known when it is admitted again.
        followed.cursors[subscription.cursor as usize].taste.after = 0;
        followed.stop(subscription.cursor, Stage::Preparing);
    }

    /// What is appended from here on is not for it; what it has not had yet is.
    fn leave(&mut self, slot: u32, key: LogKey) {
        let Some(subscription) = self.find(slot, key) else { return };
        let Some(connection) = self.connection(slot) else { return };
        connection.forget_begin(subscription.log);
        let Some(followed) = self.logs[subscription.log as usize].as_mut() else { return };
        match followed.cursors[subscription.cursor as usize].stage {
            Stage::Live => followed.stop(subscription.cursor, Stage::Ending(followed.log.head())),
            // It may have been admitted, but has not begun: what was published between is dropped with it.
            Stage::Preparing => return self.remove(subscription),
            Stage::Ending(_) => return,
        }
        if let Some(connection) = self.connection(slot) {
            connection.private.push_back(Private::Ends { log: subscription.log });
            self.list(slot);
        }
    }

    fn close(&mut self, slot: u32, is_cut: bool) {
        let Some(connection) = self.connection(slot) else { return };
        connection.is_closed = true;
        // What has not begun does not begin any more.
        connection.private.retain(|private| !matches!(private, Private::Begins { .. }));
        if let Some(framed) = &mut connection.framed {
            framed.begins.clear();
        }
        if is_cut {
            connection.private = VecDeque::new();
            connection.framed = None;
            connection.outbox.drained();
            return self.forget_all(slot, |_| true);
        }
        self.forget_all(slot, |stage| stage == Stage::Preparing);
        let Some(Some(connection)) = self.connections.get(slot as usize) else { return };
        for subscription in &connection.subscriptions {
            let Some(followed) = self.logs[subscription.log as usize].as_mut() else { continue };
            followed.stop(subscription.cursor, Stage::Ending(followed.log.head()));
        }
        self.list(slot);
    }

    /// Gives up those places of a connection that are in such a stage.
    fn forget_all(&mut self, slot: u32, is_wanted: impl Fn(Stage) -> bool) {
        let Some(connection) = self.connection(slot) else { return };
        for log in connection.subscriptions.iter().map(|subscription| subscription.log).collect::<Vec<_>>() {
            while let Some(subscription) = self.of_log(slot, log, &is_wanted) {
                self.remove(subscription);
            }
        }
    }

    // Logs.

    fn make_log(&mut self, key: LogKey, channel: ChannelName) -> u32 {
        let followed = Followed {
            key,
            channel,
            log: Log::default(),
            cursors: Vec::new(),
            next: 0,
            left: 0,
            hearing: 0,
            live: 0,
            is_listed: false,
        };
        let index = self.free_logs.pop().unwrap_or_else(|| {
            self.logs.push(None);
            self.logs.len() as u32 - 1
        });
        self.logs[index as usize] = Some(followed);
        self.by_key.insert(key, index);
        index
    }

    /// Forgets what all have had, and cuts off whoever holds too much.
    fn trim(&mut self, log: u32) {
        let Some(followed) = self.logs[log as usize].as_mut() else { return };
        followed.is_listed = false;
        let head = followed.log.head();
        // Who reads the stream by itself needs none of it here.
        for cursor in followed.cursors.iter_mut().filter(|cursor| cursor.taste.after == u64::MAX && cursor.at < head) {
            if let Err(at) = followed.log.next(cursor.at, head, cursor.taste, usize::MAX) {
                cursor.at = at;
            }
        }
        self.bytes -= followed.forget_passed();
        if followed.cursors.is_empty() {
            return self.drop_log(log);
        }
        if followed.log.len() > self.limits.outbox_bytes_max {
            let before = followed.log.len();
            let place = followed.log.drop_ephemeral();
            self.bytes -= before - followed.log.len();
            for cursor in &mut followed.cursors {
                cursor.at = place(cursor.at);
                if let Stage::Ending(end) = &mut cursor.stage {
                    *end = place(*end);
                }
            }
            let is_behind =
                |cursor: &Cursor| followed.log.behind(cursor.at, cursor.taste) > self.limits.outbox_bytes_max;
            let behind: Vec<u32> =
                followed.cursors.iter().filter(|cursor| is_behind(cursor)).map(|cursor| cursor.slot).collect();
            for slot in behind {
                self.cut_off(slot, log);
            }
        }
        while self.bytes > self.bytes_max {
            let Some((log, slot)) = self.furthest_behind() else { return };
            self.cut_off(slot, log);
        }
    }

    fn furthest_behind(&self) -> Option<(u32, u32)> {
        let logs =
            self.logs.iter().enumerate().filter_map(|(index, followed)| Some((index as u32, followed.as_ref()?)));
        let (index, followed) = logs.max_by_key(|(_, followed)| followed.log.len())?;
        let cursor = followed.cursors.iter().min_by_key(|cursor| cursor.at)?;
        (cursor.at < followed.log.head()).then_some((index, cursor.slot))
    }

    /// Ends the subscription of a reader who does not keep up; its connection is told, and tells its client.
    fn cut_off(&mut self, slot: u32, log: u32) {
        let Some(channel) = self.logs[log as usize].as_ref().map(|followed| followed.channel.clone()) else { return };
        while let Some(subscription) = self.of_log(slot, log, |_| true) {
            self.remove(subscription);
        }
        if let Some(connection) = self.connection(slot) {
            connection.forget_begin(log);
            connection.private.retain(|private| !matches!(private, Private::Ends { log: of } if *of == log));
            connection.outbox.lags(channel);
        }
        let Some(followed) = self.logs[log as usize].as_mut() else { return };
        self.bytes -= followed.forget_passed();
    }

    /// Takes a cursor out, and the log with the last.
    fn remove(&mut self, subscription: Subscription) {
        let Subscription { log, cursor } = subscription;
        let Some(followed) = self.logs[log as usize].as_mut() else { return };
        followed.stop(cursor, Stage::Preparing);
        let gone = followed.cursors.swap_remove(cursor as usize);
        // Whoever has taken its place may not have been offered what is new.
        followed.left = if followed.left > 0 { followed.cursors.len() } else { 0 };
        let moved = followed.cursors.get(cursor as usize).map(|moved| moved.slot);
        let last = Subscription { log, cursor: followed.cursors.len() as u32 };
        if followed.cursors.is_empty() && !followed.is_listed {
            self.drop_log(log);
        } else {
            followed.look_again(&mut self.new, log);
        }
        if let Some(connection) = self.connection(gone.slot) {
            connection.subscriptions.retain(|one| *one != subscription);
        }
        if let Some(slot) = moved
            && let Some(connection) = self.connection(slot)
            && let Some(one) = connection.subscriptions.iter_mut().find(|one| **one == last)
        {
            *one = subscription;
        }
    }

    fn drop_log(&mut self, log: u32) {
        if let Some(followed) = self.logs[log as usize].take() {
            self.bytes -= followed.log.len();
            self.by_key.remove(&followed.key);
            self.free_logs.push(log);
        }
    }

    // Finding.

    fn connection(&mut self, slot: u32) -> Option<&mut Connection> {
        self.connections.get_mut(slot as usize)?.as_mut()
    }

    fn list(&mut self, slot: u32) {
        if let Some(connection) = self.connection(slot)
            && !std::mem::replace(&mut connection.is_listed, true)
        {
            self.ready.push_back(slot);
        }
    }

    /// A connection's subscription that has not ended.
    fn find(&self, slot: u32, key: LogKey) -> Option<Subscription> {
        self.of_log(slot, *self.by_key.get(&key)?, |stage| !matches!(stage, Stage::Ending(_)))
    }

    fn of_log(&self, slot: u32, log: u32, is_wanted: impl Fn(Stage) -> bool) -> Option<Subscription> {
        let cursors = &self.logs[log as usize].as_ref()?.cursors;
        let of_log = |one: &&Subscription| one.log == log && is_wanted(cursors[one.cursor as usize].stage);
        self.connections.get(slot as usize)?.as_ref()?.subscriptions.iter().find(of_log).copied()
    }

    fn has_more(&self, slot: u32, log: u32) -> bool {
        let Some(followed) = self.logs[log as usize].as_ref() else { return false };
        let ending = self.of_log(slot, log, |stage| matches!(stage, Stage::Ending(_)));
        ending.is_some_and(|one| {
            let cursor = &followed.cursors[one.cursor as usize];
            matches!(cursor.stage, Stage::Ending(end) if followed.log.next(cursor.at, end, cursor.taste, usize::MAX).is_ok())
        })
    }

    fn remove_ended(&mut self, slot: u32, log: u32) {
        if let Some(ended) = self.of_log(slot, log, |stage| matches!(stage, Stage::Ending(_))) {
            self.remove(ended);
        }
    }
}

impl Followed {
    /// A cursor is not among the live ones any more, if it was.
    fn stop(&mut self, cursor: u32, stage: Stage) {
        let cursor = &mut self.cursors[cursor as usize];
        if cursor.stage == Stage::Live {
            cursor.stage = stage;
            self.live -= 1;
            self.hearing -= usize::from(cursor.taste.hears_join_leave);
        }
    }

    /// Forgets what all have had, and says how many bytes less are held.
    fn forget_passed(&mut self) -> usize {
        let first = self.cursors.iter().map(|cursor| cursor.at).min().unwrap_or_else(|| self.log.head());
        let before = self.log.len();
        self.log.forget_before(first);
        before - self.log.len()
    }

    /// Lists it among those to look at: something is new, or was kept for a reader who is behind no more.
    fn look_again(&mut self, new: &mut VecDeque<u32>, log: u32) {
        if self.log.len() > 0 && !std::mem::replace(&mut self.is_listed, true) {
            new.push_back(log);
        }
    }
}

impl Connection {
    /// It was to hear a subscription, and is not any more.
    fn forget_begin(&mut self, of: u32) {
        self.private.retain(|private| !matches!(private, Private::Begins { log, .. } if *log == of));
        if let Some(framed) = &mut self.framed {
            framed.begins.retain(|(log, _)| *log != of);
        }
    }

    /// Puts what waits for a connection alone and stands side by side into one frame. What it is said to be subscribed to in
    /// it begins behind it, and comes before what is said later.
    fn frame_next(&mut self, logs: &[Option<Followed>]) {
        let has_more = |log: u32| {
            let followed = logs[log as usize].as_ref();
            let of_log = |one: &&Subscription| one.log == log;
            let cursors = self.subscriptions.iter().filter(of_log).map(|one| one.cursor as usize);
            followed.is_some_and(|followed| {
                cursors.map(|cursor| followed.cursors[cursor].at).any(|at| at < followed.log.head())
            })
        };
        let (mut together, mut bytes, mut begins) = (Vec::new(), 0, Vec::new());
        loop {
            match self.private.front() {
                Some(Private::Message(message)) if together.is_empty() || bytes + message.len() <= JOINED_BYTES_MAX => {
                    bytes += message.len();
                    together.push(message.clone());
                }
                Some(&Private::Begins { log, taste }) => {
                    begins.push((log, taste));
                    if has_more(log) {
                        self.private.pop_front();
                        break;
                    }
                }
                _ => break,
            }
            self.private.pop_front();
        }
        if self.private.is_empty() {
            // There are many connections, and most of them idle.
            self.private = VecDeque::new();
        }
        if !together.is_empty() {
            let frame = self.format.join(&together);
            self.framed = Some(Box::new(Framed { frame, replies: together.len(), bytes, begins }));
        }
    }
}

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
use tidings_protocol::Disconnect;

use super::followed::{Copies, Cursor, Followed, Stage, Subscription};
use super::log::{Base, Class, Spares, Taste};
use super::private::{Item, Private};
use super::{Taken, Writer};
use crate::limits::{
    BATCH_BYTES_MAX, BYTES_IN_A_ROW, DELIVERY_FREED_PART, FOLLOWERS_IN_A_ROW, WRITE_BYTES_MAX, WRITE_PIECES_MAX,
};
use crate::outbox::Outbox;
use crate::{ChannelName, Limits};

/// A channel's log for those who get the same frames of it: the channel's number, and theirs in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LogKey {
    pub(crate) channel: u64,
    pub(crate) audience: u32,
}

/// What a loop is told. What is told first holds first: that is the order that clients rely on.
pub(crate) enum Note {
    /// A connection has come.
    Opened { slot: u32, outbox: Arc<Outbox> },
    /// It is gone, and its slot is free once this has been heard.
    Gone { slot: u32 },
    /// A message for it alone, not framed yet.
    Reply { slot: u32, message: Bytes },
    /// It follows a channel from here on, perhaps as differences, and hears nothing before it is admitted.
    Entered { slot: u32, key: LogKey, channel: ChannelName, takes_differences: bool },
    /// It hears what it follows, behind the replies before this; not the numbers up to `after`.
    Admitted { slot: u32, key: LogKey, after: u64, hears_join_leave: bool, base: Base },
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
    /// A publication as its difference to the one before, and whole.
    AppendDifference { key: LogKey, difference: Bytes, whole: Bytes, number: u64 },
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
    spares: Spares,
    /// Bytes of all logs, and those of them that may be dropped.
    bytes: usize,
    ephemeral: usize,
    copies: Arc<Copies>,
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
    /// Absent where its task writes.
    writer: Option<Arc<dyn Writer>>,
    subscriptions: Vec<Subscription>,
    /// Whose turn it is to be written first among these.
    turn: u32,
    /// Bytes of channels that its task or its socket may still have a copy of.
    copied: u32,
    /// What waits for it alone; absent while nothing does, as nearly always.
    private: Option<Box<Private>>,
    /// It takes nothing until it is [ready](Note::Ready).
    is_blocked: bool,
    is_closed: bool,
    is_listed: bool,
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
            spares: Spares::default(),
            bytes: 0,
            ephemeral: 0,
            copies: Arc::default(),
            written: Written::default(),
        }
    }

    /// Takes note of what has happened. Returns a slot that is free now.
    pub(crate) fn hear(&mut self, note: Note) -> Option<u32> {
        match note {
            Note::Append { key, frame, number, class } => self.append(key, &[(&frame[..], class)], number),
            Note::AppendDifference { key, difference, whole, number } => {
                self.append(key, &[(&difference[..], Class::Difference), (&whole[..], Class::Whole)], number);
            }
            Note::Opened { slot, outbox } => self.open(slot, outbox),
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
                    connection.queue(Item::Message(message));
                    self.list(slot);
                }
            }
            Note::Entered { slot, key, channel, takes_differences } => {
                self.enter(slot, key, channel, takes_differences);
            }
            Note::Admitted { slot, key, after, hears_join_leave, base } => {
                let taste = Taste { after, hears_join_leave, lags: false, base };
                if let Some(subscription) = self.find(slot, key)
                    && let Some(connection) = self.connection(slot)
                    && !connection.is_closed
                {
                    connection.queue(Item::Begins { log: subscription.log, taste });
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

    /// Writes to so many connections what is ready for them or new in a channel, by turns. `true`: there is more to do.
    pub(crate) fn turn(&mut self, connections_max: usize) -> bool {
        let bytes_max = self.written.bytes + BYTES_IN_A_ROW;
        let (mut served, mut of_this_log) = (0, 0);
        while served < connections_max && self.written.bytes < bytes_max {
            if let Some(slot) = self.ready.pop_front()
                && let Some(connection) = self.connection(slot)
            {
                connection.is_listed = false;
                self.serve(slot);
                served += 1;
            }
            let Some(&log) = self.new.front() else {
                if self.ready.is_empty() {
                    return false;
                }
                continue;
            };
            if let Some(slot) = self.next_follower(log) {
                self.serve(slot);
                (served, of_this_log) = (served + 1, of_this_log + 1);
                if of_this_log < FOLLOWERS_IN_A_ROW {
                    continue;
                }
                self.new.rotate_left(1);
            } else {
                self.new.pop_front();
                self.end_round(log);
            }
            of_this_log = 0;
        }
        true
    }

    /// Whether there is something for the loop to do.
    pub(crate) fn has_more(&self) -> bool {
        !self.ready.is_empty() || !self.new.is_empty()
    }

    /// Bytes of all logs.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    #[cfg(test)]
    pub(crate) fn copies(&self) -> usize {
        self.copies.bytes()
    }

    /// Appends one thing, in one way or in several of which each reader takes one.
    fn append(&mut self, key: LogKey, ways: &[(&[u8], Class)], number: u64) {
        let Some(&index) = self.by_key.get(&key) else { return };
        let Some(followed) = self.logs[index as usize].as_mut() else { return };
        for &(frame, class) in ways {
            if class == Class::Whole && !followed.needs_whole() {
                continue;
            }
            followed.log.append(frame, number, class, &mut self.spares);
            self.bytes += frame.len();
            self.ephemeral += if class == Class::Ephemeral { frame.len() } else { 0 };
        }
        let of_all = ways.iter().any(|(_, class)| *class != Class::JoinLeave);
        self.written.messages += if of_all { followed.live } else { followed.hearing };
        followed.offer_all();
        followed.look_again(&mut self.new, index);
    }

    /// The next connection that may take what is new in a log.
    fn next_follower(&mut self, log: u32) -> Option<u32> {
        let followed = self.logs[log as usize].as_mut()?;
        while let Some(slot) = followed.next_behind() {
            if self.connections[slot as usize].as_ref().is_some_and(|connection| !connection.is_blocked) {
                return Some(slot);
            }
        }
        None
    }

    /// What a connection may have is written, as far as it takes it. Where much is left, it has its turn again when others
    /// have had theirs.
    pub(crate) fn serve(&mut self, slot: u32) {
        loop {
            self.settle(slot);
            let mut pieces = [Piece::default(); WRITE_PIECES_MAX];
            let (count, is_all) = self.gather(slot, &mut pieces);
            let pieces = &pieces[..count];
            let Some(connection) = self.connection(slot) else { return };
            if connection.is_blocked {
                return;
            }
            let is_alone = connection.private.is_none();
            // Behind what was published before it, and no later publication gets before it.
            let framed = connection.framed().filter(|_| is_all).cloned();
            if count == 0 && framed.is_none() {
                if connection.is_closed && is_alone {
                    connection.outbox.drained();
                    self.forget_all(slot, |_| true);
                }
                return;
            }
            let taken = self.write(slot, pieces, framed.as_ref());
            let (replies, reply_bytes) = taken.map_or((0, 0), |taken| self.advance(slot, pieces, taken.bytes));
            let Some(connection) = self.connection(slot) else { return };
            let Some(taken) = taken else {
                connection.is_blocked = true;
                return connection.outbox.fail();
            };
            connection.is_blocked = taken.is_blocked;
            connection.copied = if taken.is_blocked { copied_of(&taken, pieces) } else { 0 };
            if replies > 0 || taken.is_blocked {
                connection.outbox.wrote(replies, reply_bytes, taken.is_blocked);
            }
            if taken.is_blocked || (is_all && is_alone && !connection.is_closed) {
                return;
            }
            if !is_all {
                return self.list(slot);
            }
        }
    }

    /// `None`: its socket is broken.
    fn write(&self, slot: u32, pieces: &[Piece], framed: Option<&Bytes>) -> Option<Taken> {
        let connection = self.connections[slot as usize].as_ref()?;
        let Some(writer) = &connection.writer else {
            let mut frames = Vec::new();
            for piece in pieces {
                let Some(followed) = &self.logs[piece.subscription.log as usize] else { continue };
                let copied = followed.copy(piece.from, piece.to, &self.copies);
                frames.extend(followed.log.frames(piece.from, piece.to).map(|(from, to)| copied.slice(from..to)));
            }
            frames.extend(framed.cloned());
            let reply_bytes = framed.and(connection.private.as_ref()).map_or(0, |private| private.framed_bytes());
            return Some(connection.outbox.hand_over(frames, reply_bytes));
        };
        let log_of = |piece: &Piece| self.logs[piece.subscription.log as usize].as_ref().map(|followed| &followed.log);
        let mut slices = [IoSlice::new(&[]); WRITE_PIECES_MAX + 1];
        let mut count = 0;
        let of_logs = pieces.iter().filter_map(|piece| Some(log_of(piece)?.bytes(piece.from, piece.to)));
        for bytes in of_logs.chain(framed.map(|frame| &**frame)) {
            slices[count] = IoSlice::new(bytes);
            count += 1;
        }
        // The frame that was cut goes with what has left: the transport keeps its rest, and shares it with others who were cut
        // there.
        let rest = |written: usize| {
            let mut before = 0;
            for piece in pieces {
                let end = piece.from + (written - before) as u64;
                if end <= piece.to {
                    let Some(followed) = &self.logs[piece.subscription.log as usize] else { return Bytes::new() };
                    let (from, to) = followed.log.frame_around(end);
                    if end == to {
                        return Bytes::new();
                    }
                    return followed.copy(from, to, &self.copies).slice((end - from) as usize..);
                }
                before += (piece.to - piece.from) as usize;
            }
            framed.map_or_else(Bytes::new, |frame| frame.slice(written - before..))
        };
        writer.write(&slices[..count], &rest).ok()
    }

    /// Begins and ends what has its turn, and frames what stands before that.
    fn settle(&mut self, slot: u32) {
        loop {
            let Some(Some(connection)) = self.connections.get_mut(slot as usize) else { return };
            let Some(private) = &mut connection.private else { return };
            match private.front() {
                Some(Item::Message(_)) => {
                    let heads = connection.subscriptions.iter().filter_map(|one| {
                        let followed = self.logs[one.log as usize].as_ref()?;
                        let cursor = &followed.cursors[one.cursor as usize];
                        (cursor.at < followed.log.head()).then_some((one.log, followed.log.head()))
                    });
                    private.frame_next(connection.outbox.format, heads.collect());
                }
                Some(&Item::Begins { log, taste }) => {
                    private.pop();
                    self.begin(slot, log, taste);
                }
                Some(&Item::Ends { log }) => {
                    if self.is_owed(slot, log) {
                        return;
                    }
                    self.remove_ended(slot, log);
                    if let Some(private) = self.connection(slot).and_then(|connection| connection.private.as_mut()) {
                        private.pop();
                    }
                }
                None => {
                    if private.is_empty() {
                        connection.private = None;
                    }
                    return;
                }
            }
        }
    }

    /// What lies ready for a connection in the logs that it hears, each in its turn, and whether that is all.
    fn gather(&mut self, slot: u32, pieces: &mut [Piece]) -> (usize, bool) {
        let Some(Some(connection)) = self.connections.get(slot as usize) else { return (0, true) };
        let mut room = if connection.writer.is_some() { WRITE_BYTES_MAX } else { BATCH_BYTES_MAX };
        let (mut count, mut is_all) = (0, true);
        let (before, from) =
            connection.subscriptions.split_at(connection.turn as usize % connection.subscriptions.len().max(1));
        for &subscription in from.iter().chain(before) {
            if count == pieces.len() || room == 0 {
                return (count, false);
            }
            let Some(followed) = self.logs[subscription.log as usize].as_mut() else { continue };
            let (head, cursor) = (followed.log.head(), &followed.cursors[subscription.cursor as usize]);
            let end = match cursor.stage {
                Stage::Preparing => continue,
                Stage::Live => head,
                Stage::Ending(end) => end,
            };
            let before_framed = connection.private.as_ref().and_then(|private| private.before_framed(subscription.log));
            let end = end.min(before_framed.unwrap_or(end));
            match followed.log.next(cursor.at, end, cursor.taste_until(end), room) {
                Ok((from, to)) => {
                    pieces[count] = Piece { subscription, from, to };
                    count += 1;
                    room = room.saturating_sub((to - from) as usize);
                    is_all &= to == end;
                }
                Err(at) if at == cursor.at => {}
                Err(at) => {
                    followed.pass(subscription.cursor, at);
                    followed.look_again(&mut self.new, subscription.log);
                }
            }
        }
        (count, is_all)
    }

    /// So many bytes have been taken of what was offered. Returns how many replies were among them, and their bytes.
    fn advance(&mut self, slot: u32, pieces: &[Piece], mut bytes: usize) -> (usize, usize) {
        self.written.bytes += bytes;
        if bytes == 0 {
            return (0, 0);
        }
        let Some(Some(connection)) = self.connections.get_mut(slot as usize) else { return (0, 0) };
        if connection.subscriptions.len() > 1 {
            // Whoever has been written is last the next time.
            let last = pieces.iter().scan(0, |before, piece| {
                let begins = *before;
                *before += (piece.to - piece.from) as usize;
                (begins < bytes).then_some(piece.subscription)
            });
            if let Some(last) = last.last() {
                let place = connection.subscriptions.iter().position(|one| *one == last);
                connection.turn = place.map_or(0, |place| place as u32 + 1);
            }
        }
        for piece in pieces {
            let taken = bytes.min((piece.to - piece.from) as usize);
            bytes -= taken;
            let Some(followed) = self.logs[piece.subscription.log as usize].as_mut().filter(|_| taken > 0) else {
                return (0, 0);
            };
            let was_last = followed.cursors[piece.subscription.cursor as usize].at <= followed.log.first();
            followed.pass(piece.subscription.cursor, piece.from + taken as u64);
            if was_last {
                followed.look_again(&mut self.new, piece.subscription.log);
            }
        }
        // What stands behind the pieces has left when anything of it has.
        let Some(connection) = self.connection(slot).filter(|_| bytes > 0) else { return (0, 0) };
        let Some(framed) = connection.private.as_mut().and_then(|private| private.take_framed()) else {
            return (0, 0);
        };
        self.written.messages += framed.replies;
        for (log, taste) in framed.begins {
            self.begin(slot, log, taste);
        }
        (framed.replies, framed.bytes)
    }

    fn open(&mut self, slot: u32, outbox: Arc<Outbox>) {
        let index = slot as usize;
        if self.connections.len() <= index {
            self.connections.resize_with(index + 1, || None);
        }
        let writer = outbox.writer.clone();
        let (subscriptions, turn, copied, private) = (Vec::new(), 0, 0, None);
        let (is_blocked, is_closed, is_listed) = (false, false, false);
        self.connections[index] =
            Some(Connection { outbox, writer, subscriptions, turn, copied, private, is_blocked, is_closed, is_listed });
    }

    fn enter(&mut self, slot: u32, key: LogKey, channel: ChannelName, takes_differences: bool) {
        if self.connection(slot).is_none_or(|connection| connection.is_closed) {
            return;
        }
        let log = match self.by_key.get(&key) {
            Some(log) => *log,
            None => self.make_log(key, channel, takes_differences),
        };
        let Some(followed) = self.logs[log as usize].as_mut() else { return };
        let cursor = followed.enter(slot);
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
        followed.begin(subscription.cursor, taste);
    }

    fn hold(&mut self, slot: u32, key: LogKey) {
        let Some(subscription) = self.find(slot, key) else { return };
        if let Some(connection) = self.connection(slot) {
            connection.forget_begins(subscription.log);
        }
        let Some(followed) = self.logs[subscription.log as usize].as_mut() else { return };
        followed.hold(subscription.cursor);
    }

    /// What is appended from here on is not for it; what it has not had yet is.
    fn leave(&mut self, slot: u32, key: LogKey) {
        let Some(subscription) = self.find(slot, key) else { return };
        let Some(connection) = self.connection(slot) else { return };
        connection.forget_begins(subscription.log);
        let Some(followed) = self.logs[subscription.log as usize].as_mut() else { return };
        match followed.cursors[subscription.cursor as usize].stage {
            Stage::Live => followed.stop(subscription.cursor, Stage::Ending(followed.log.head())),
            // It may have been admitted, but has not begun: what was published between is dropped with it.
            Stage::Preparing => return self.remove(subscription),
            Stage::Ending(_) => return,
        }
        if let Some(connection) = self.connection(slot) {
            connection.queue(Item::Ends { log: subscription.log });
            self.list(slot);
        }
    }

    fn close(&mut self, slot: u32, is_cut: bool) {
        let Some(connection) = self.connection(slot) else { return };
        connection.is_closed = true;
        // What has not begun does not begin any more.
        if let Some(private) = &mut connection.private {
            private.forget_begins(|_| true);
        }
        if is_cut {
            connection.private = None;
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

    fn make_log(&mut self, key: LogKey, channel: ChannelName, takes_differences: bool) -> u32 {
        let index = self.free_logs.pop().unwrap_or_else(|| {
            self.logs.push(None);
            self.logs.len() as u32 - 1
        });
        self.logs[index as usize] = Some(Followed::new(key, channel, takes_differences));
        self.by_key.insert(key, index);
        index
    }

    /// All have been offered what was new when a round began: what they have had is forgotten, and who holds too much is cut
    /// off.
    fn end_round(&mut self, log: u32) {
        let bytes_max = self.limits.outbox_bytes_max;
        let Some(followed) = self.logs[log as usize].as_mut() else { return };
        followed.is_listed = false;
        self.forget_passed(log);
        let Some(followed) = self.logs[log as usize].as_ref() else { return };
        if followed.cursors.is_empty() {
            return self.drop_log(log);
        }
        if followed.log.len() > bytes_max {
            self.drop_ephemeral(log);
            self.change(log, |followed, _| followed.skip(bytes_max));
            self.forget_passed(log);
            let Some(followed) = self.logs[log as usize].as_ref() else { return };
            // Others are served soon.
            let is_stuck = |cursor: &&Cursor| cursor.stage == Stage::Preparing || self.is_blocked(cursor.slot);
            let behind: Vec<u32> = followed.behind(bytes_max).filter(is_stuck).map(|cursor| cursor.slot).collect();
            for slot in behind {
                self.cut_off(slot, log);
            }
        }
        if self.held() > self.bytes_max {
            self.keep_to_budget();
        }
        if let Some(followed) = self.logs[log as usize].as_mut()
            && followed.go_on()
        {
            followed.look_again(&mut self.new, log);
        }
    }

    /// Bytes of all logs, and of the copies that tasks and sockets have.
    fn held(&self) -> usize {
        self.bytes + self.copies.bytes()
    }

    /// Frees a part of what all logs and copies hold: what may be dropped, if that is enough, and else what is kept for those
    /// who are furthest behind. A copy goes with the connection that has it.
    fn keep_to_budget(&mut self) {
        let part = self.bytes_max / DELIVERY_FREED_PART;
        if self.ephemeral > part {
            for log in 0..self.logs.len() as u32 {
                self.drop_ephemeral(log);
            }
        }
        if self.held() - self.ephemeral <= self.bytes_max {
            return;
        }
        let holds = |(slot, connection): (usize, &Option<Connection>)| {
            let connection = connection.as_ref()?;
            let behind = connection.subscriptions.iter().map(|one| self.behind(*one)).sum::<u64>();
            let behind = behind + u64::from(connection.copied);
            // Who can be written to is served soon.
            (behind > 0).then_some((connection.is_blocked, behind, slot as u32))
        };
        let mut holders: Vec<_> = self.connections.iter().enumerate().filter_map(holds).collect();
        holders.sort_unstable();
        let mut freed_soon = 0;
        while let Some((_, _, slot)) = holders.pop() {
            let Some(connection) = self.connection(slot) else { continue };
            let copied = connection.copied as usize;
            let mut logs: Vec<u32> = connection.subscriptions.iter().map(|one| one.log).collect();
            logs.sort_by_cached_key(|log| self.logs[*log as usize].as_ref().map(|followed| followed.log.len()));
            while let Some(log) = logs.pop() {
                if self.held().saturating_sub(self.ephemeral + freed_soon) <= self.bytes_max - part {
                    return;
                }
                if self.of_log(slot, log, |_| true).is_some_and(|one| self.behind(one) > 0) {
                    self.cut_off(slot, log);
                }
            }
            if self.copies.bytes() > self.bytes_max - part + freed_soon
                && let Some(connection) = self.connection(slot)
            {
                freed_soon += copied;
                connection.outbox.close(Disconnect::SLOW);
            }
        }
    }

    /// How many bytes of a log are kept for a subscription.
    fn behind(&self, Subscription { log, cursor }: Subscription) -> u64 {
        let followed = self.logs[log as usize].as_ref();
        followed.map_or(0, |followed| followed.log.head() - followed.cursors[cursor as usize].at)
    }

    fn is_blocked(&self, slot: u32) -> bool {
        self.connections[slot as usize].as_ref().is_some_and(|connection| connection.is_blocked)
    }

    /// Drops what may be dropped of a log; what replies wait for in it lies elsewhere then.
    fn drop_ephemeral(&mut self, log: u32) {
        let Some(followed) = self.logs[log as usize].as_mut() else { return };
        if followed.log.ephemeral() == 0 {
            return;
        }
        let bytes = followed.log.len();
        self.ephemeral -= followed.log.ephemeral();
        let place = followed.drop_ephemeral();
        self.bytes -= bytes - followed.log.len();
        for cursor in &followed.cursors {
            if let Some(Some(connection)) = self.connections.get_mut(cursor.slot as usize)
                && let Some(private) = &mut connection.private
            {
                private.moved(log, &place);
            }
        }
    }

    fn forget_passed(&mut self, log: u32) {
        self.change(log, Followed::forget_passed);
    }

    /// Changes what a log holds, and keeps count.
    fn change(&mut self, log: u32, change: impl FnOnce(&mut Followed, &mut Spares)) {
        let Some(followed) = self.logs[log as usize].as_mut() else { return };
        let (bytes, ephemeral) = (followed.log.len(), followed.log.ephemeral());
        change(followed, &mut self.spares);
        self.bytes = self.bytes - bytes + followed.log.len();
        self.ephemeral = self.ephemeral - ephemeral + followed.log.ephemeral();
    }

    /// Ends the subscription of a reader who does not keep up; its connection is told, and tells its client.
    fn cut_off(&mut self, slot: u32, log: u32) {
        let Some(channel) = self.logs[log as usize].as_ref().map(|followed| followed.channel.clone()) else { return };
        while let Some(subscription) = self.of_log(slot, log, |_| true) {
            self.remove(subscription);
        }
        if let Some(connection) = self.connection(slot) {
            connection.forget_begins(log);
            if let Some(private) = &mut connection.private {
                private.forget_end(log);
            }
            connection.outbox.lags(channel);
        }
        self.forget_passed(log);
    }

    /// Takes a cursor out, and the log with the last.
    fn remove(&mut self, subscription: Subscription) {
        let Subscription { log, cursor } = subscription;
        let Some(followed) = self.logs[log as usize].as_mut() else { return };
        let (slot, moved) = followed.remove(cursor);
        let last = Subscription { log, cursor: followed.cursors.len() as u32 };
        if followed.cursors.is_empty() && !followed.is_listed {
            self.drop_log(log);
        } else {
            followed.look_again(&mut self.new, log);
        }
        if let Some(connection) = self.connection(slot) {
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
            self.ephemeral -= followed.log.ephemeral();
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

    /// Whether something is left for a connection of what it heard before the end.
    fn is_owed(&self, slot: u32, log: u32) -> bool {
        let Some(followed) = self.logs[log as usize].as_ref() else { return false };
        let ending = self.of_log(slot, log, |stage| matches!(stage, Stage::Ending(_)));
        ending.is_some_and(|one| {
            let cursor = &followed.cursors[one.cursor as usize];
            matches!(cursor.stage, Stage::Ending(end) if followed.log.next(cursor.at, end, cursor.taste_until(end), usize::MAX).is_ok())
        })
    }

    fn remove_ended(&mut self, slot: u32, log: u32) {
        if let Some(ended) = self.of_log(slot, log, |stage| matches!(stage, Stage::Ending(_))) {
            self.remove(ended);
        }
    }
}

/// How much of what was taken may still be a copy: what was handed over, or the frame that was cut.
fn copied_of(taken: &Taken, pieces: &[Piece]) -> u32 {
    let offered: u64 = pieces.iter().map(|piece| piece.to - piece.from).sum();
    u32::try_from(offered.min(taken.bytes as u64)).unwrap_or(u32::MAX)
}

impl Connection {
    fn queue(&mut self, item: Item) {
        self.private.get_or_insert_default().push(item);
    }

    /// The replies that are being written.
    fn framed(&self) -> Option<&Bytes> {
        self.private.as_ref()?.framed()
    }

    /// It was to hear a subscription, and is not any more.
    fn forget_begins(&mut self, of: u32) {
        if let Some(private) = &mut self.private {
            private.forget_begins(|log| log == of);
        }
    }
}

//! One channel: who is subscribed, what reaches whom, and in which order. The one place that decides it.
//!
//! A subscriber enters a channel *before* anybody is asked whether it may, and hears nothing yet: it has its place in the
//! channel's log. Once its reply is ready it is admitted: the reply, then what is behind that place and not in the reply,
//! then everything live, without a gap. Whoever is removed meanwhile is not admitted. All of it is decided under the lock
//! of the one channel, and noted there for the loops that write it.

mod crowd;
mod sequence;

use std::collections::{BTreeMap, HashMap};
use std::mem;
use std::sync::Arc;

use bytes::Bytes;
use tidings_protocol::{
    ClientInfo, Disconnect, Join, Leave, Payload, PresenceStatsResult, Publication, PushEvent, Reply, StreamPosition,
    Unsubscribe,
};

use self::crowd::{ByUser, Crowd};
use self::sequence::{Arrival, Healing, Sequence};
use crate::delivery::{Class, LogKey, Loop, Note};
use crate::format::Format;
use crate::handle::Handle;
use crate::push::Push;
use crate::session::{Admission, Control};
use crate::{ChannelName, ChannelOptions, HistoryPage, Limits, PresenceError};

/// A channel that somebody on this node is subscribed to.
pub(crate) struct Channel {
    /// Taken out of the map; whoever still holds it must look again.
    pub(crate) gone: bool,
    /// Its options said so when it was made.
    pub(crate) had_stream: bool,
    name: ChannelName,
    /// Tells its logs from others'.
    number: u64,
    /// The loops and forms of its subscribers.
    audience: Vec<Audience>,
    /// Those that held when the last subscriber entered.
    options: Arc<ChannelOptions>,
    limits: Arc<Limits>,
    sequence: Sequence,
    subscribers: HashMap<u64, Subscriber>,
    crowd: Crowd,
}

pub(crate) struct Subscriber {
    handle: Arc<Handle>,
    server_side: bool,
    stage: Stage,
}

enum Stage {
    /// Not answered yet.
    Preparing(Box<Place>),
    Live(Live),
}

/// From where on a subscriber will get what is published.
#[derive(Clone, Copy, Default)]
struct Place {
    /// Behind this number; `None` as long as nobody here counts.
    after: Option<u64>,
    /// The stream has broken since.
    is_lost: bool,
}

/// Whether a live subscriber gets what is published in the stream.
enum Follows {
    Closely,
    /// It missed more than its reply held. Its connection reads that, and what is published meanwhile, as its client
    /// takes it.
    Behind,
    /// What may be the last of that is being read.
    AlmostClosely(Box<Place>),
}

/// Subscribers of one loop who want frames of one form.
struct Audience {
    of: Arc<Loop>,
    form: u8,
    format: Format,
    subscribers: usize,
}

struct Live {
    /// It counts, so nothing may be missing.
    counts: bool,
    follows: Follows,
    info: Option<Box<Payload>>,
    user: ByUser,
    hears_join_leave: bool,
    says_join_leave: bool,
}

/// A subscription was taken away while it was being prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Revoked;

/// What followed from a change of a channel, for whoever made it to account for, without the channel's lock.
#[derive(Default)]
pub(crate) struct Effects {
    /// Live subscriptions that ended.
    pub(crate) ended: usize,
    /// Publications that were delivered, to however many.
    pub(crate) delivered: usize,
    /// Something is missing, and nobody sees to it yet.
    pub(crate) gap: bool,
    /// Who came and went is yet to be told, and nobody sees to it yet.
    pub(crate) untold: bool,
}

impl Channel {
    pub(crate) fn new(name: ChannelName, number: u64, options: Arc<ChannelOptions>, limits: Arc<Limits>) -> Self {
        Self {
            gone: false,
            had_stream: options.has_stream(),
            name,
            number,
            audience: Vec::new(),
            options,
            limits,
            sequence: Sequence::default(),
            subscribers: HashMap::new(),
            crowd: Crowd::default(),
        }
    }

    pub(crate) fn enter(&mut self, handle: &Arc<Handle>, server_side: bool, options: Arc<ChannelOptions>) {
        self.options = options;
        let stage = Stage::Preparing(Box::new(Place { after: self.sequence.last(), is_lost: false }));
        let subscriber = Subscriber { handle: handle.clone(), server_side, stage };
        if self.subscribers.insert(handle.key, subscriber).is_none() {
            handle.joined(&self.name);
            self.count_in(handle);
            self.note(handle, |slot, key| Note::Entered { slot, key, channel: self.name.clone() });
        }
    }

    fn count_in(&mut self, handle: &Handle) {
        let alike = |one: &&mut Audience| Arc::ptr_eq(&one.of, &handle.outbox.of) && one.form == handle.form;
        match self.audience.iter_mut().find(alike) {
            Some(one) => one.subscribers += 1,
            None => {
                let of = handle.outbox.of.clone();
                self.audience.push(Audience { of, form: handle.form, format: handle.outbox.format, subscribers: 1 });
            }
        }
    }

    fn count_out(&mut self, handle: &Handle) {
        let alike = |one: &Audience| Arc::ptr_eq(&one.of, &handle.outbox.of) && one.form == handle.form;
        if let Some(index) = self.audience.iter().position(alike) {
            self.audience[index].subscribers -= 1;
            if self.audience[index].subscribers == 0 {
                self.audience.swap_remove(index);
            }
        }
    }

    /// Tells a subscriber's loop what it has decided about it.
    fn note(&self, handle: &Handle, note: impl FnOnce(u32, LogKey) -> Note) {
        let key = LogKey { channel: self.number, form: handle.form };
        handle.outbox.leave(note(handle.outbox.slot, key));
    }

    pub(crate) fn contains(&self, handle: &Handle) -> bool {
        self.subscribers.contains_key(&handle.key)
    }

    /// Makes a prepared subscriber live, its reply first.
    ///
    /// It stands where its reply says, which may be ahead of or behind what this channel has delivered: the store was
    /// read while publications were on their way. Behind its place in the log everything is there, so nothing is missing
    /// as long as its reply reaches that far.
    pub(crate) fn admit(
        &mut self,
        handle: &Handle,
        admission: Admission,
        reply: Option<Bytes>,
    ) -> Result<Effects, Revoked> {
        if !self.contains(handle) {
            return Err(Revoked);
        }
        let mut effects = Effects::default();
        let Admission { position, is_behind, info, hears_join_leave, says_join_leave } = admission;
        if let Some(StreamPosition { offset, epoch }) = &position {
            self.renew(epoch, *offset, &mut effects);
            effects.gap |= self.note_top(*offset);
        }
        let Some(subscriber) = self.subscribers.get_mut(&handle.key) else { return Err(Revoked) };
        let user = ByUser(handle.identity());
        self.crowd.add(user.clone(), hears_join_leave);
        let offset = position.map(|position| position.offset);
        let follows = if is_behind { Follows::Behind } else { Follows::Closely };
        let shown = info.clone().map(Box::new);
        let live = Live { counts: offset.is_some(), follows, info: shown, user, hears_join_leave, says_join_leave };
        let stage = mem::replace(&mut subscriber.stage, Stage::Live(live));
        if let Some(reply) = reply {
            handle.outbox.reply(reply, &self.limits);
        }
        let after = if is_behind { u64::MAX } else { offset.unwrap_or(0) };
        if let Stage::Preparing(place) = stage
            && !is_behind
            && !place.reaches(offset)
        {
            // Where what a node receives cannot be read, better told than a hole: the whole connection, because its reply
            // has said "recovered".
            handle.outbox.close(Disconnect::INSUFFICIENT_STATE);
        } else {
            self.note(handle, |slot, key| Note::Admitted { slot, key, after, hears_join_leave });
        }
        if says_join_leave {
            let join = PushEvent::Join(Join { info: handle.peer().info(info) });
            self.tell(handle, join, &mut effects);
        }
        Ok(effects)
    }

    /// Keeps the place of a subscriber who is behind while its connection reads on. `false`: it is not here, or not behind.
    pub(crate) fn hold(&mut self, handle: &Handle) -> bool {
        let place = Box::new(Place { after: self.sequence.last(), is_lost: false });
        let is_behind = self.behind(handle).map(|live| live.follows = Follows::AlmostClosely(place)).is_some();
        if is_behind {
            self.note(handle, |slot, key| Note::Held { slot, key });
        }
        is_behind
    }

    /// Takes note that a subscriber who is behind was given the stream up to `reached` by its connection; `is_all`: and
    /// nothing more was there when that was read. It follows the channel again when that reaches its place; `false`: read
    /// on.
    pub(crate) fn catch_up(&mut self, handle: &Handle, reached: u64, is_all: bool) -> (bool, Effects) {
        let mut effects = Effects::default();
        let Some(live) = self.behind(handle) else { return (true, effects) };
        let hears_join_leave = live.hears_join_leave;
        let has_caught_up =
            is_all && matches!(&live.follows, Follows::AlmostClosely(place) if place.reaches(Some(reached)));
        live.follows = if has_caught_up { Follows::Closely } else { Follows::Behind };
        let after = if has_caught_up { reached } else { u64::MAX };
        self.note(handle, |slot, key| Note::Admitted { slot, key, after, hears_join_leave });
        handle.outbox.wake();
        if has_caught_up {
            effects.gap = self.note_top(reached);
        }
        (has_caught_up, effects)
    }

    /// A subscriber did not keep up: it starts again from where it is, and a connection that the server subscribed with 3008.
    pub(crate) fn lag(&mut self, handle: &Handle) -> Effects {
        let mut effects = Effects::default();
        match self.subscribers.get(&handle.key) {
            Some(subscriber) if subscriber.server_side => handle.outbox.close(Disconnect::SLOW),
            Some(Subscriber { stage: Stage::Preparing(_), .. }) => handle.outbox.close(Disconnect::INSUFFICIENT_STATE),
            Some(_) => self.resync(handle, &mut effects),
            None => {}
        }
        effects
    }

    /// What a subscriber who is behind missed cannot be had any more.
    pub(crate) fn lose_one(&mut self, handle: &Handle) -> Effects {
        let mut effects = Effects::default();
        self.resync(handle, &mut effects);
        effects
    }

    fn behind(&mut self, handle: &Handle) -> Option<&mut Live> {
        match &mut self.subscribers.get_mut(&handle.key)?.stage {
            Stage::Live(live) if !matches!(live.follows, Follows::Closely) => Some(live),
            _ => None,
        }
    }

    /// Takes a subscriber out, live or not.
    pub(crate) fn remove(&mut self, handle: &Handle) -> Option<Effects> {
        let Subscriber { handle, stage, .. } = self.subscribers.remove(&handle.key)?;
        handle.left(&self.name);
        self.count_out(&handle);
        self.note(&handle, |slot, key| Note::Left { slot, key });
        let mut effects = Effects::default();
        if let Stage::Live(live) = stage {
            self.crowd.remove(&live.user, live.hears_join_leave);
            if live.says_join_leave {
                let leave = PushEvent::Leave(Leave { info: handle.peer().info(live.info.map(|info| *info)) });
                self.tell(&handle, leave, &mut effects);
            }
            effects.ended = 1;
        }
        Some(effects)
    }

    /// Takes a publication, numbered or not, and delivers it when its turn has come.
    pub(crate) fn receive(&mut self, publication: Arc<Publication>, epoch: &str) -> Effects {
        let mut effects = Effects::default();
        let offset = publication.offset;
        if offset == 0 {
            self.deliver(publication, &mut effects);
            return effects;
        }
        // In a new epoch this is the next number, whatever was delivered in the old one.
        self.renew(epoch, offset - 1, &mut effects);
        let was_counted = self.sequence.is_counted();
        match self.sequence.arrive(&publication, self.limits.reorder_publications_max) {
            Arrival::Next => {
                if !was_counted {
                    self.place_all(offset - 1);
                }
                self.deliver(publication, &mut effects);
                self.deliver_ahead(&mut effects);
            }
            Arrival::Known => {}
            Arrival::Ahead(noticed) => effects.gap = noticed,
        }
        effects
    }

    /// Takes note of where the stream stands.
    pub(crate) fn check(&mut self, top: &StreamPosition) -> Effects {
        let mut effects = Effects::default();
        self.renew(&top.epoch, top.offset, &mut effects);
        effects.gap = self.note_top(top.offset);
        effects
    }

    /// Somebody knows that the stream stands at `top`. `true`: somebody must see to the gap.
    fn note_top(&mut self, top: u64) -> bool {
        let was_counted = self.sequence.is_counted();
        let gap = self.sequence.note_top(top);
        if !was_counted {
            self.place_all(top);
        }
        gap
    }

    /// Now that somebody counts: what all who are being prepared will get is behind this number.
    fn place_all(&mut self, after: u64) {
        for place in self.subscribers.values_mut().filter_map(Subscriber::place) {
            place.after.get_or_insert(after);
        }
    }

    /// Whether anybody counts the publications of this channel.
    pub(crate) fn is_counted(&self) -> bool {
        self.sequence.is_counted()
    }

    /// Behind which number to read, for whoever sees to a gap; see [`Sequence::missing_after`].
    pub(crate) fn missing_after(&mut self) -> Option<u64> {
        self.sequence.missing_after()
    }

    /// Delivers what was read behind the number `since`.
    pub(crate) fn heal(&mut self, since: u64, page: HistoryPage) -> Effects {
        let mut effects = Effects::default();
        if self.renew(&page.top.epoch, page.top.offset, &mut effects) {
            return effects;
        }
        match self.sequence.heal(since, page) {
            Healing::Deliver(missing) => {
                for publication in missing {
                    self.deliver(Arc::new(publication), &mut effects);
                }
                self.deliver_ahead(&mut effects);
            }
            Healing::Lost => self.resync_all(&mut effects),
        }
        effects
    }

    /// What is missing cannot be had any more: everybody starts again.
    pub(crate) fn lose(&mut self) -> Effects {
        let mut effects = Effects::default();
        self.sequence.lose();
        self.resync_all(&mut effects);
        effects
    }

    /// Those who are live, to be [listed](list) without the channel's lock.
    pub(crate) fn presence(&self, max: usize) -> Result<Present, PresenceError> {
        if self.crowd.clients() > max {
            return Err(PresenceError::TooMany { max });
        }
        Ok(self.live().map(|(subscriber, live)| (subscriber.handle.clone(), live.info.as_deref().cloned())).collect())
    }

    pub(crate) fn presence_stats(&self) -> PresenceStatsResult {
        self.crowd.stats()
    }

    /// What others see of a live subscriber in this channel (`chan_info`).
    pub(crate) fn info_of(&self, handle: &Handle) -> Option<Payload> {
        match &self.subscribers.get(&handle.key)?.stage {
            Stage::Live(live) => live.info.as_deref().cloned(),
            Stage::Preparing(_) => None,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.subscribers.len()
    }

    fn live(&self) -> impl Iterator<Item = (&Subscriber, &Live)> {
        self.subscribers.values().filter_map(|subscriber| match &subscriber.stage {
            Stage::Live(live) => Some((subscriber, live)),
            Stage::Preparing(_) => None,
        })
    }

    /// Appends a publication to the logs of all.
    fn deliver(&mut self, publication: Arc<Publication>, effects: &mut Effects) {
        effects.delivered += 1;
        // Where nothing has a number nothing is ephemeral either.
        let is_ephemeral = publication.offset == 0 && self.options.has_stream();
        let class = if is_ephemeral { Class::Ephemeral } else { Class::Publication };
        self.append(Push::publication(&self.name, self.with_epoch(publication)), class);
    }

    fn append(&self, mut push: Push, class: Class) {
        for Audience { of, form, format, .. } in &self.audience {
            let key = LogKey { channel: self.number, form: *form };
            match push.frame(*format) {
                Some(frame) => of.post(Note::Append { key, frame, number: push.offset(), class }),
                None => self.refuse_form(*form),
            }
        }
    }

    /// The encoding of these subscribers cannot carry what was published.
    fn refuse_form(&self, form: u8) {
        let of_form = self.subscribers.values().filter(|subscriber| subscriber.handle.form == form);
        of_form.for_each(|subscriber| _ = subscriber.handle.refuse_encoding());
    }

    /// Sends those whose turn has come of what was held back.
    fn deliver_ahead(&mut self, effects: &mut Effects) {
        while let Some(publication) = self.sequence.pop_ahead() {
            self.deliver(publication, effects);
        }
    }

    /// The first publication of a stream carries its epoch, for clients who subscribed while it was empty.
    fn with_epoch(&self, publication: Arc<Publication>) -> Arc<Publication> {
        let epoch = if publication.offset == 1 { self.sequence.epoch() } else { "" };
        if publication.epoch == epoch {
            return publication;
        }
        Arc::new(Publication { epoch: epoch.to_owned(), ..Arc::unwrap_or_clone(publication) })
    }

    /// Takes note of the epoch; when it is another than before, everybody who counts must recover.
    fn renew(&mut self, epoch: &str, last: u64, effects: &mut Effects) -> bool {
        let renewed = self.sequence.renew(epoch, last);
        if renewed {
            for place in self.subscribers.values_mut().filter_map(Subscriber::place) {
                place.is_lost = true;
            }
            self.resync_all(effects);
        }
        renewed
    }

    /// Tells everybody who counts to recover, because the stream broke.
    fn resync_all(&mut self, effects: &mut Effects) {
        let counts = |subscriber: &&Subscriber| matches!(&subscriber.stage, Stage::Live(live) if live.counts);
        let all: Vec<_> =
            self.subscribers.values().filter(counts).map(|subscriber| subscriber.handle.clone()).collect();
        for handle in all {
            self.resync(&handle, effects);
        }
    }

    /// Tells one to recover: who subscribed by itself subscribes again (2500), whom the server subscribed connects again
    /// (3010), because only then does the server subscribe it.
    fn resync(&mut self, handle: &Handle, effects: &mut Effects) {
        if self.subscribers.get(&handle.key).is_some_and(|subscriber| subscriber.server_side) {
            handle.outbox.close(Disconnect::INSUFFICIENT_STATE);
            return;
        }
        if let Some(removed) = self.remove(handle) {
            effects.add(&removed);
            tell_unsubscribed(handle, &self.name, Unsubscribe::INSUFFICIENT_STATE, &self.limits);
        }
    }

    /// Tells those who want to know who came or went, unless they are too many; what is too much at once, later.
    fn tell(&mut self, whom: &Handle, event: PushEvent, effects: &mut Effects) {
        if self.is_large() {
            return;
        }
        let was_late = self.crowd.is_late;
        if let Some(event) = self.crowd.tell(whom.key, event, self.limits.join_leave_messages) {
            self.tell_now(event);
        }
        effects.untold |= !was_late && self.crowd.is_late;
    }

    /// Tells as much as there is room for of what was too much at once.
    pub(crate) fn tell_rest(&mut self) -> Effects {
        let mut effects = Effects::default();
        if self.is_large() {
            self.crowd.forget_untold();
        }
        for event in self.crowd.take_untold(self.limits.join_leave_messages) {
            self.tell_now(event);
        }
        effects.untold = self.crowd.is_late;
        effects
    }

    fn is_large(&self) -> bool {
        self.subscribers.len() > self.options.join_leave_subscribers_max
    }

    fn tell_now(&self, event: PushEvent) {
        if self.crowd.hearers > 0 {
            self.append(Push::event(&self.name, event), Class::JoinLeave);
        }
    }
}

/// Live subscribers, with what others see of them in the channel.
pub(crate) type Present = Vec<(Arc<Handle>, Option<Payload>)>;

/// Who is present, by connection.
pub(crate) fn list(present: Present) -> BTreeMap<String, ClientInfo> {
    let info = |(handle, info): (Arc<Handle>, Option<Payload>)| handle.peer().info(info);
    present.into_iter().map(info).map(|info| (info.client.clone(), info)).collect()
}

impl Subscriber {
    /// Its place, while something is read for it.
    fn place(&mut self) -> Option<&mut Place> {
        match &mut self.stage {
            Stage::Preparing(place) | Stage::Live(Live { follows: Follows::AlmostClosely(place), .. }) => Some(place),
            Stage::Live(_) => None,
        }
    }
}

impl Place {
    /// Whether nothing is missing for who has everything up to a number, if it counts.
    fn reaches(self, has: Option<u64>) -> bool {
        !self.is_lost && has.is_none_or(|has| self.after.is_none_or(|after| has >= after))
    }
}

impl Effects {
    fn add(&mut self, other: &Self) {
        self.ended += other.ended;
        self.delivered += other.delivered;
        self.gap |= other.gap;
        self.untold |= other.untold;
    }
}

/// Tells a client and its session that the server ended a subscription.
pub(crate) fn tell_unsubscribed(handle: &Handle, channel: &ChannelName, why: Unsubscribe, limits: &Limits) {
    handle.outbox.control(Control::Unsubscribed(channel.clone(), why.clone()));
    handle.reply(&Reply::push(channel.as_str(), PushEvent::Unsubscribe(why)), limits);
    handle.outbox.wake();
}

//! One channel: who is subscribed, what reaches whom, and in which order. The one place that decides it.
//!
//! A subscriber enters a channel *before* anybody is asked whether it may, and hears nothing yet: what is published is
//! held back. Once its reply is ready it is admitted: the reply, then what was held back and is not in the reply, then
//! everything live, without a gap. Whoever is removed meanwhile is not admitted. All of it happens under the lock of
//! the one channel.

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
use crate::handle::Handle;
use crate::outbox::Pushed;
use crate::push::SharedPush;
use crate::session::{Admission, Control};
use crate::{ChannelName, ChannelOptions, HistoryPage, Limits, PresenceError};

/// A channel that somebody on this node is subscribed to.
pub(crate) struct Channel {
    /// Taken out of the map; whoever still holds it must look again.
    pub(crate) gone: bool,
    /// Its options said so when it was made.
    pub(crate) had_stream: bool,
    name: ChannelName,
    /// Those that held when the last subscriber entered.
    options: Arc<ChannelOptions>,
    limits: Arc<Limits>,
    sequence: Sequence,
    subscribers: HashMap<u64, Subscriber>,
    crowd: Crowd,
}

struct Subscriber {
    handle: Arc<Handle>,
    server_side: bool,
    stage: Stage,
}

enum Stage {
    /// Not answered yet; holds back what is published.
    Preparing(Held),
    Live(Live),
}

/// What was published while something was read.
#[derive(Default)]
struct Held {
    pushes: Vec<Arc<SharedPush>>,
    bytes: usize,
    /// It was too much, and is not here any more.
    is_lost: bool,
}

/// Whether a live subscriber gets what is published in the stream.
enum Follows {
    Closely,
    /// It missed more than its reply held. Its connection reads that, and what is published meanwhile, as its client
    /// takes it.
    Behind,
    /// What may be the last of that is being read.
    AlmostClosely(Held),
}

struct Live {
    /// The last offset delivered; `None` for those who do not count.
    offset: Option<u64>,
    follows: Follows,
    info: Option<Payload>,
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
    /// Messages put into outboxes.
    pub(crate) messages: usize,
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
    pub(crate) fn new(name: ChannelName, options: Arc<ChannelOptions>, limits: Arc<Limits>) -> Self {
        Self {
            gone: false,
            had_stream: options.has_stream(),
            name,
            options,
            limits,
            sequence: Sequence::default(),
            subscribers: HashMap::new(),
            crowd: Crowd::default(),
        }
    }

    pub(crate) fn enter(&mut self, handle: &Arc<Handle>, server_side: bool, options: Arc<ChannelOptions>) {
        self.options = options;
        let stage = Stage::Preparing(Held::default());
        if self.subscribers.insert(handle.key, Subscriber { handle: handle.clone(), server_side, stage }).is_none() {
            handle.joined(&self.name);
        }
    }

    pub(crate) fn contains(&self, handle: &Handle) -> bool {
        self.subscribers.contains_key(&handle.key)
    }

    /// Makes a prepared subscriber live, its reply first.
    ///
    /// It stands where its reply says, which may be ahead of or behind what this channel has delivered: the store was
    /// read while publications were on their way. Each subscriber therefore counts for itself, and what was held back
    /// is delivered by the same rule as what comes later.
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
            effects.gap |= self.sequence.note_top(*offset);
        }
        let Some(subscriber) = self.subscribers.get_mut(&handle.key) else { return Err(Revoked) };
        let user = ByUser(handle.identity());
        self.crowd.add(user.clone(), hears_join_leave);
        let offset = position.map(|p| p.offset);
        let follows = if is_behind { Follows::Behind } else { Follows::Closely };
        let live = Live { offset, follows, info: info.clone(), user, hears_join_leave, says_join_leave };
        let stage = mem::replace(&mut subscriber.stage, Stage::Live(live));
        if let Some(reply) = reply {
            effects.count(handle.outbox.reply(reply, &self.limits));
        }
        if let Stage::Preparing(held) = stage
            && !is_behind
        {
            let complete = subscriber.deliver_held(&held, &self.limits, &mut effects);
            // Nothing falls between what was read and what was held back, as long as what a node receives can be read.
            // Where it cannot, better told than a hole: the whole connection, because its reply has said "recovered".
            if !complete || subscriber.is_behind(self.sequence.last()) {
                handle.outbox.close(Disconnect::INSUFFICIENT_STATE);
            }
        }
        if says_join_leave {
            let join = PushEvent::Join(Join { info: handle.peer().info(info) });
            self.tell(handle, join, &mut effects);
        }
        Ok(effects)
    }

    /// Holds back for a subscriber who is behind what is published while its connection reads on. `false`: it is not here,
    /// or not behind.
    pub(crate) fn hold(&mut self, handle: &Handle) -> bool {
        self.behind(handle).map(|live| live.follows = Follows::AlmostClosely(Held::default())).is_some()
    }

    /// Takes note that a subscriber who is behind was given the stream up to `reached` by its connection; `is_all`: and
    /// nothing more was there when that was read. It follows the channel again when nothing is missing before what was
    /// held back meanwhile; otherwise says where to read on.
    pub(crate) fn catch_up(&mut self, handle: &Handle, reached: u64, is_all: bool) -> (Option<u64>, Effects) {
        let mut effects = Effects::default();
        let last = self.sequence.last();
        let Some(live) = self.behind(handle) else { return (None, effects) };
        live.offset = Some(reached);
        let Follows::AlmostClosely(held) = mem::replace(&mut live.follows, Follows::Behind) else {
            return (Some(reached), effects);
        };
        if !is_all {
            return (Some(reached), effects);
        }
        live.follows = Follows::Closely;
        let Some(subscriber) = self.subscribers.get_mut(&handle.key) else { return (None, effects) };
        if subscriber.deliver_held(&held, &self.limits, &mut effects) && !subscriber.is_behind(last) {
            effects.gap = self.sequence.note_top(reached);
            return (None, effects);
        }
        let Stage::Live(live) = &mut subscriber.stage else { return (None, effects) };
        live.follows = Follows::Behind;
        (live.offset, effects)
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
        let mut effects = Effects::default();
        if let Stage::Live(live) = stage {
            self.crowd.remove(&live.user, live.hears_join_leave);
            if live.says_join_leave {
                let leave = PushEvent::Leave(Leave { info: handle.peer().info(live.info) });
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
        match self.sequence.arrive(&publication, self.limits.reorder_publications_max) {
            Arrival::Next => {
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
        effects.gap = self.sequence.note_top(top.offset);
        effects
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
        Ok(self.live().map(|(subscriber, live)| (subscriber.handle.clone(), live.info.clone())).collect())
    }

    pub(crate) fn presence_stats(&self) -> PresenceStatsResult {
        self.crowd.stats()
    }

    /// What others see of a live subscriber in this channel (`chan_info`).
    pub(crate) fn info_of(&self, handle: &Handle) -> Option<Payload> {
        match &self.subscribers.get(&handle.key)?.stage {
            Stage::Live(live) => live.info.clone(),
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

    /// Sends a publication to all. Who cannot take it without a gap is told to recover.
    fn deliver(&mut self, publication: Arc<Publication>, effects: &mut Effects) {
        effects.delivered += 1;
        let push = Arc::new(SharedPush::publication(&self.name, self.with_epoch(publication)));
        let mut behind = Vec::new();
        for subscriber in self.subscribers.values_mut() {
            if !subscriber.deliver(&push, &self.limits, effects) {
                behind.push(subscriber.handle.clone());
            }
        }
        for handle in behind {
            self.resync(&handle, effects);
        }
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
            self.resync_all(effects);
        }
        renewed
    }

    /// Tells everybody who counts to recover, because the stream broke.
    fn resync_all(&mut self, effects: &mut Effects) {
        let counts = |subscriber: &&Subscriber| matches!(&subscriber.stage, Stage::Live(live) if live.offset.is_some());
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
            effects.count(tell_unsubscribed(handle, &self.name, Unsubscribe::INSUFFICIENT_STATE, &self.limits));
        }
    }

    /// Tells those who want to know who came or went, unless they are too many; what is too much at once, later.
    fn tell(&mut self, whom: &Handle, event: PushEvent, effects: &mut Effects) {
        if self.is_large() {
            return;
        }
        let was_late = self.crowd.is_late;
        if let Some(event) = self.crowd.tell(whom.key, event, self.limits.join_leave_messages) {
            self.tell_now(event, effects);
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
            self.tell_now(event, &mut effects);
        }
        effects.untold = self.crowd.is_late;
        effects
    }

    fn is_large(&self) -> bool {
        self.subscribers.len() > self.options.join_leave_subscribers_max
    }

    fn tell_now(&self, event: PushEvent, effects: &mut Effects) {
        let push = SharedPush::event(&self.name, event);
        for (subscriber, live) in self.live() {
            if live.hears_join_leave {
                effects.count(subscriber.push(&push, &self.limits));
            }
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
    /// Delivers one item by the rule of positions; `false` when something is missing before it.
    fn deliver(&mut self, push: &Arc<SharedPush>, limits: &Limits, effects: &mut Effects) -> bool {
        match &mut self.stage {
            Stage::Preparing(held) => {
                held.keep(push, limits);
                return true;
            }
            Stage::Live(Live { offset: Some(last), follows, .. }) if push.offset() > 0 => {
                match follows {
                    Follows::Closely => {}
                    Follows::Behind => return true,
                    Follows::AlmostClosely(held) => {
                        held.keep(push, limits);
                        return true;
                    }
                }
                if push.offset() <= *last {
                    return true;
                }
                if push.offset() > *last + 1 {
                    return false;
                }
                *last += 1;
            }
            Stage::Live(_) => {}
        }
        effects.count(self.push(push, limits));
        true
    }

    /// Delivers what was held back; `false` when something is missing among it.
    fn deliver_held(&mut self, held: &Held, limits: &Limits, effects: &mut Effects) -> bool {
        !held.is_lost && held.pushes.iter().all(|push| self.deliver(push, limits, effects))
    }

    /// Whether it counts and has not had what the channel has delivered.
    fn is_behind(&self, last: Option<u64>) -> bool {
        matches!((&self.stage, last), (Stage::Live(Live { offset: Some(offset), .. }), Some(last)) if *offset < last)
    }

    fn push(&self, push: &SharedPush, limits: &Limits) -> Pushed {
        match push.frame(self.handle.format) {
            Some(frame) => self.handle.outbox.push(frame, limits),
            None => self.handle.refuse_encoding(),
        }
    }
}

impl Held {
    fn keep(&mut self, push: &Arc<SharedPush>, limits: &Limits) {
        self.bytes += push.bytes();
        let fits = self.pushes.len() < limits.publications_held_max && self.bytes <= limits.held_bytes_max;
        if self.is_lost || !fits {
            *self = Self { is_lost: true, ..Self::default() };
        } else {
            self.pushes.push(push.clone());
        }
    }
}

impl Effects {
    fn count(&mut self, pushed: Pushed) {
        self.messages += usize::from(pushed == Pushed::Queued);
    }

    fn add(&mut self, other: &Self) {
        self.messages += other.messages;
        self.ended += other.ended;
        self.delivered += other.delivered;
        self.gap |= other.gap;
        self.untold |= other.untold;
    }
}

/// Tells a client and its session that the server ended a subscription.
pub(crate) fn tell_unsubscribed(handle: &Handle, channel: &ChannelName, why: Unsubscribe, limits: &Limits) -> Pushed {
    handle.outbox.control(Control::Unsubscribed(channel.clone(), why.clone()));
    handle.reply(&Reply::push(channel.as_str(), PushEvent::Unsubscribe(why)), limits)
}

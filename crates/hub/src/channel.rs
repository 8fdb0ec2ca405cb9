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
use crate::delivery::{Base, Class, LogKey, Loop, Note};
use crate::filter::Filter;
use crate::handle::Handle;
use crate::push::{Form, Framed, Push};
use crate::session::{Admission, Control};
use crate::{ChannelName, ChannelOptions, HistoryPage, Limits, Offered, PresenceError};

/// A channel that somebody on this node is subscribed to.
pub(crate) struct Channel {
    /// Taken out of the map; whoever still holds it must look again.
    pub(crate) gone: bool,
    /// Its options said so when it was made.
    pub(crate) had_stream: bool,
    name: ChannelName,
    /// Tells its logs from others'.
    number: u64,
    /// Its subscribers by loop and by what they get, and the number of the next of these.
    audiences: Vec<Audience>,
    next_audience: u32,
    /// Those that held when the last subscriber entered.
    options: Arc<ChannelOptions>,
    limits: Arc<Limits>,
    sequence: Sequence,
    subscribers: HashMap<u64, Subscriber>,
    crowd: Crowd,
    /// What was published last, while somebody takes differences to it; `None` also where they do not all have it.
    before: Option<Payload>,
}

/// What a subscriber gets of a channel, and how.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wants {
    /// Publications as differences to the one before.
    pub(crate) differences: bool,
    /// The channel's number in pushes instead of its name.
    pub(crate) by_number: bool,
    /// Publications whose tags fit.
    pub(crate) filter: Option<Arc<Filter>>,
}

pub(crate) struct Subscriber {
    handle: Arc<Handle>,
    server_side: bool,
    /// Which one it belongs to.
    audience: u32,
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

/// Subscribers of one loop who get the same frames.
struct Audience {
    of: Arc<Loop>,
    number: u32,
    form: Form,
    filter: Option<Arc<Filter>>,
    /// Of the filter; 0 without one. Thousands may have each a filter of its own, and this is beside what is looked through.
    digest: u64,
    subscribers: usize,
}

struct Live {
    /// It counts, so nothing may be missing.
    counts: bool,
    follows: Follows,
    info: Option<Box<Payload>>,
    user: ByUser,
    /// Others do not see it.
    is_hidden: bool,
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
            audiences: Vec::new(),
            next_audience: 0,
            options,
            limits,
            sequence: Sequence::default(),
            subscribers: HashMap::new(),
            crowd: Crowd::default(),
            before: None,
        }
    }

    /// By which pushes may name the channel as long as somebody is subscribed: the same for all of them, above 0.
    pub(crate) fn number(&self) -> i64 {
        i64::try_from(self.number).unwrap_or(i64::MAX)
    }

    pub(crate) fn enter(
        &mut self,
        handle: &Arc<Handle>,
        server_side: bool,
        wants: Wants,
        options: Arc<ChannelOptions>,
    ) {
        self.options = options;
        let stage = Stage::Preparing(Box::new(Place { after: self.sequence.last(), is_lost: false }));
        if let Some(subscriber) = self.subscribers.get_mut(&handle.key) {
            (subscriber.server_side, subscriber.stage) = (server_side, stage);
            return;
        }
        let takes_differences = wants.differences;
        let audience = self.count_in(handle, wants);
        self.subscribers.insert(handle.key, Subscriber { handle: handle.clone(), server_side, audience, stage });
        handle.joined(&self.name);
        let channel = self.name.clone();
        self.note(handle, audience, |slot, key| Note::Entered { slot, key, channel, takes_differences });
    }

    /// Counts a subscriber among those who get the same, and returns their number.
    fn count_in(&mut self, handle: &Handle, wants: Wants) -> u32 {
        let Wants { differences: takes_differences, by_number, filter } = wants;
        let form = Form { format: handle.outbox.format, takes_differences, by_number };
        let digest = filter.as_ref().map_or(0, |filter| filter.digest());
        let gets_the_same = |one: &Audience| one.digest == digest && one.form.is(form) && one.filter == filter;
        let of = &handle.outbox.of;
        if let Some(one) = self.audiences.iter_mut().find(|one| Arc::ptr_eq(&one.of, of) && gets_the_same(one)) {
            one.subscribers += 1;
            return one.number;
        }
        let number = self.next_audience;
        self.next_audience += 1;
        self.audiences.push(Audience { of: of.clone(), number, form, filter, digest, subscribers: 1 });
        number
    }

    fn count_out(&mut self, number: u32) {
        if let Some(index) = self.audiences.iter().position(|one| one.number == number) {
            self.audiences[index].subscribers -= 1;
            if self.audiences[index].subscribers == 0 {
                self.audiences.swap_remove(index);
            }
        }
    }

    fn takes_differences(&self, number: u32) -> bool {
        self.audiences.iter().any(|one| one.number == number && one.form.takes_differences)
    }

    /// Tells a subscriber's loop what it has decided about it.
    fn note(&self, handle: &Handle, audience: u32, note: impl FnOnce(u32, LogKey) -> Note) {
        let key = LogKey { channel: self.number, audience };
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
        let Admission { hears_join_leave, says_join_leave, is_hidden, .. } = admission;
        let Admission { position, is_behind, ends_with_publication, info, .. } = admission;
        if let Some(StreamPosition { offset, epoch }) = &position {
            self.renew(epoch, *offset, &mut effects);
            effects.gap |= self.note_top(*offset);
        }
        let Some(subscriber) = self.subscribers.get_mut(&handle.key) else { return Err(Revoked) };
        let audience = subscriber.audience;
        let user = ByUser(handle.identity());
        self.crowd.add((!is_hidden).then(|| user.clone()), hears_join_leave);
        let offset = position.map(|position| position.offset);
        let follows = if is_behind { Follows::Behind } else { Follows::Closely };
        let shown = info.clone().map(Box::new);
        let counts = offset.is_some();
        let live = Live { counts, follows, info: shown, user, is_hidden, hears_join_leave, says_join_leave };
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
            let base = match self.takes_differences(audience) {
                false => Base::NotNeeded,
                true if ends_with_publication && !is_behind => Base::Given,
                true => Base::Lacks,
            };
            self.note(handle, audience, |slot, key| Note::Admitted { slot, key, after, hears_join_leave, base });
        }
        if says_join_leave {
            let join = PushEvent::Join(Join { info: handle.peer().info(info) });
            self.tell(handle, join, &mut effects);
        }
        Ok(effects)
    }

    /// Keeps the place of a subscriber who is behind while its connection reads on, and says how it gets that. `None`: it is
    /// not here, or not behind.
    pub(crate) fn hold(&mut self, handle: &Handle) -> Option<(Form, Option<Arc<Filter>>)> {
        let place = Box::new(Place { after: self.sequence.last(), is_lost: false });
        let (audience, live) = self.behind(handle)?;
        live.follows = Follows::AlmostClosely(place);
        self.note(handle, audience, |slot, key| Note::Held { slot, key });
        self.audiences.iter().find(|one| one.number == audience).map(|one| (one.form, one.filter.clone()))
    }

    /// Takes note that a subscriber who is behind was given the stream up to `reached` by its connection; `is_all`: and
    /// nothing more was there when that was read. It follows the channel again when that reaches its place; `false`: read
    /// on.
    pub(crate) fn catch_up(&mut self, handle: &Handle, reached: u64, is_all: bool) -> (bool, Effects) {
        let mut effects = Effects::default();
        let Some((audience, live)) = self.behind(handle) else { return (true, effects) };
        let hears_join_leave = live.hears_join_leave;
        let has_caught_up =
            is_all && matches!(&live.follows, Follows::AlmostClosely(place) if place.reaches(Some(reached)));
        live.follows = if has_caught_up { Follows::Closely } else { Follows::Behind };
        let after = if has_caught_up { reached } else { u64::MAX };
        // What its connection reads it gives whole.
        let base = if self.takes_differences(audience) { Base::Lacks } else { Base::NotNeeded };
        self.note(handle, audience, |slot, key| Note::Admitted { slot, key, after, hears_join_leave, base });
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

    fn behind(&mut self, handle: &Handle) -> Option<(u32, &mut Live)> {
        let Subscriber { audience, stage, .. } = self.subscribers.get_mut(&handle.key)?;
        match stage {
            Stage::Live(live) if !matches!(live.follows, Follows::Closely) => Some((*audience, live)),
            _ => None,
        }
    }

    /// Takes a subscriber out, live or not.
    pub(crate) fn remove(&mut self, handle: &Handle) -> Option<Effects> {
        let Subscriber { handle, audience, stage, .. } = self.subscribers.remove(&handle.key)?;
        handle.left(&self.name);
        self.count_out(audience);
        self.note(&handle, audience, |slot, key| Note::Left { slot, key });
        let mut effects = Effects::default();
        if let Stage::Live(live) = stage {
            self.crowd.remove((!live.is_hidden).then_some(&live.user), live.hears_join_leave);
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
        let shown = self.live().filter(|(_, live)| !live.is_hidden);
        Ok(shown.map(|(subscriber, live)| (subscriber.handle.clone(), live.info.as_deref().cloned())).collect())
    }

    /// Those who are live.
    pub(crate) fn handles(&self) -> Vec<Arc<Handle>> {
        self.live().map(|(subscriber, _)| subscriber.handle.clone()).collect()
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
        let is_ephemeral = publication.offset == 0 && self.options.is_numbered();
        let class = if is_ephemeral { Class::Ephemeral } else { Class::Publication };
        let before = self.take_before(&publication, is_ephemeral);
        let publication = self.as_written(publication);
        self.append(Push::publication((&self.name, self.number()), publication, before), class);
    }

    /// What the publication before held, where this one may be written as the difference to it.
    ///
    /// What has no number in a numbered stream is always whole, and so is what follows it: who resumes has not had it.
    fn take_before(&mut self, publication: &Publication, is_ephemeral: bool) -> Option<Payload> {
        if !self.audiences.iter().any(|one| one.form.takes_differences) {
            self.before = None;
            return None;
        }
        let next = publication.data.clone().filter(|_| !is_ephemeral);
        let before = mem::replace(&mut self.before, next);
        before.filter(|_| !is_ephemeral && (publication.delta || self.options.delta == Offered::Always))
    }

    fn append(&self, mut push: Push, class: Class) {
        for Audience { of, number, form, filter, .. } in &self.audiences {
            if let (Some(filter), Some(publication)) = (filter, push.filtered())
                && !filter.matches(&publication.tags)
            {
                continue;
            }
            let (key, number) = (LogKey { channel: self.number, audience: *number }, push.offset());
            match push.frame(*form) {
                Some(Framed::One(frame)) => {
                    // Dropped, it would be missed by the next difference.
                    let is_kept = form.takes_differences && class == Class::Ephemeral;
                    let class = if is_kept { Class::Publication } else { class };
                    of.post(Note::Append { key, frame, number, class });
                }
                Some(Framed::Difference { difference, whole }) => {
                    of.post(Note::AppendDifference { key, difference, whole, number });
                }
                None => self.refuse_form(key.audience),
            }
        }
    }

    /// The encoding of these subscribers cannot carry what was published.
    fn refuse_form(&self, audience: u32) {
        let of_form = self.subscribers.values().filter(|subscriber| subscriber.audience == audience);
        of_form.for_each(|subscriber| _ = subscriber.handle.refuse_encoding());
    }

    /// Sends those whose turn has come of what was held back.
    fn deliver_ahead(&mut self, effects: &mut Effects) {
        while let Some(publication) = self.sequence.pop_ahead() {
            self.deliver(publication, effects);
        }
    }

    /// The first publication of a stream carries its epoch, for clients who subscribed while it was empty; what is a
    /// difference is said where it is written as one.
    fn as_written(&self, publication: Arc<Publication>) -> Arc<Publication> {
        let epoch = if publication.offset == 1 { self.sequence.epoch() } else { "" };
        if publication.epoch == epoch && !publication.delta {
            return publication;
        }
        Arc::new(Publication { epoch: epoch.to_owned(), delta: false, ..Arc::unwrap_or_clone(publication) })
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
            self.append(Push::event((&self.name, self.number()), event), Class::JoinLeave);
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

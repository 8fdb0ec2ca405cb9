//! What a subscriber is to the hub: the one place that decides what reaches whom, and in which order.
//!
//! A subscriber enters a channel *before* anybody is asked whether it may, and hears nothing yet: what is published is
//! held back. Once its reply is ready it is admitted: the reply, then what was held back and is not in the reply, then
//! everything live, without a gap. Whoever is removed meanwhile is not admitted. All of it happens under the lock of
//! the one channel.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::mem;
use std::sync::Arc;

use bytes::Bytes;
use tidings_protocol::{
    ClientInfo, Disconnect, Join, Leave, Payload, PresenceStatsResult, Publication, PushEvent, StreamPosition,
    Unsubscribe,
};

use crate::item::Item;
use crate::outbox::{Control, Pushed};
use crate::registry::Handle;
use crate::stream::Stream;
use crate::{Channel, Limits};

/// One channel: who is in it, and what it remembers.
#[derive(Default)]
pub(crate) struct Subscribers {
    /// Taken out of the map; whoever still holds it must look again.
    pub(crate) gone: bool,
    /// It counts against the channels with history in memory.
    pub(crate) in_memory: bool,
    pub(crate) stream: Option<Stream>,
    pub(crate) announced: Announced,
    members: HashMap<u64, Subscriber>,
}

/// How far a channel whose history lies elsewhere has been announced.
#[derive(Default)]
pub(crate) struct Announced {
    pub(crate) epoch: String,
    /// The last number that was delivered; `None` as long as nobody knows.
    pub(crate) last: Option<u64>,
    /// The highest number heard of.
    pub(crate) heard: u64,
    /// Somebody is reading the missing ones.
    pub(crate) filling: bool,
}

struct Subscriber {
    handle: Arc<Handle>,
    server_side: bool,
    stage: Stage,
}

enum Stage {
    /// Not answered yet; holds back what is published.
    Preparing {
        held: Vec<Arc<Item>>,
        lost: bool,
    },
    Live(Live),
}

struct Live {
    /// The last offset delivered; `None` for those who do not count.
    offset: Option<u64>,
    info: Option<Payload>,
    hears_join_leave: bool,
    says_join_leave: bool,
}

/// How a prepared subscription goes live.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Admission {
    /// Where the client stands after its reply, when delivery is positioned.
    pub position: Option<StreamPosition>,
    /// What others see (`chan_info`).
    pub info: Option<Payload>,
    /// It is told who comes and goes.
    pub hears_join_leave: bool,
    /// Others are told that it comes and goes.
    pub says_join_leave: bool,
}

/// A subscription was taken away while it was being prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Revoked;

/// What came of sending something to all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Delivered {
    pub(crate) messages: usize,
    pub(crate) slow: usize,
    pub(crate) removed: usize,
}

impl Subscribers {
    pub(crate) fn new(in_memory: bool) -> Self {
        Self { in_memory, ..Self::default() }
    }

    pub(crate) fn enter(&mut self, handle: &Arc<Handle>, channel: &Channel, server_side: bool) {
        let stage = Stage::Preparing { held: Vec::new(), lost: false };
        if self.members.insert(handle.key, Subscriber { handle: handle.clone(), server_side, stage }).is_none() {
            handle.joined(channel);
        }
    }

    /// Makes a prepared subscriber live, its reply first.
    pub(crate) fn admit(
        &mut self,
        handle: &Handle,
        channel: &Channel,
        admission: Admission,
        reply: Option<Bytes>,
        limits: &Limits,
    ) -> Result<Delivered, Revoked> {
        let mut delivered = Delivered::default();
        if !self.members.contains_key(&handle.key) {
            return Err(Revoked);
        }
        let Admission { position, info, hears_join_leave, says_join_leave } = admission;
        if let Some(position) = &position {
            delivered.add(self.renew(channel, &position.epoch, position.offset, limits).unwrap_or_default());
            self.announced.last.get_or_insert(position.offset);
        }
        let Some(subscriber) = self.members.get_mut(&handle.key) else { return Err(Revoked) };
        let live = Live { offset: position.map(|p| p.offset), info: info.clone(), hears_join_leave, says_join_leave };
        let stage = mem::replace(&mut subscriber.stage, Stage::Live(live));
        if let Some(reply) = reply {
            delivered.count(handle.outbox.push(reply, limits));
        }
        if let Stage::Preparing { held, lost } = stage {
            let complete = !lost && held.iter().all(|item| subscriber.deliver(item, limits, &mut delivered));
            if !complete {
                handle.outbox.close(Disconnect::INSUFFICIENT_STATE);
            }
        }
        if says_join_leave {
            let join = PushEvent::Join(Join { info: handle.info(info) });
            delivered.add(self.tell(&Item::event(channel, join), limits));
        }
        Ok(delivered)
    }

    /// Takes a subscriber out; says whether it was live.
    pub(crate) fn remove(&mut self, handle: &Handle, channel: &Channel, limits: &Limits) -> Option<(bool, Delivered)> {
        let subscriber = self.members.remove(&handle.key)?;
        handle.left(channel);
        let Stage::Live(live) = subscriber.stage else { return Some((false, Delivered::default())) };
        if !live.says_join_leave {
            return Some((true, Delivered::default()));
        }
        let leave = PushEvent::Leave(Leave { info: handle.info(live.info) });
        Some((true, self.tell(&Item::event(channel, leave), limits)))
    }

    pub(crate) fn is_server_side(&self, handle: &Handle) -> bool {
        self.members.get(&handle.key).is_some_and(|subscriber| subscriber.server_side)
    }

    /// Sends a publication to all. Who cannot take it without a gap is told to recover.
    pub(crate) fn deliver(&mut self, channel: &Channel, publication: Publication, limits: &Limits) -> Delivered {
        let item = Arc::new(Item::publication(channel, publication));
        let mut delivered = Delivered::default();
        let mut behind = Vec::new();
        for subscriber in self.members.values_mut() {
            if !subscriber.deliver(&item, limits, &mut delivered) {
                behind.push(subscriber.handle.clone());
            }
        }
        for handle in behind {
            delivered.add(self.give_up(&handle, channel, limits));
        }
        delivered
    }

    /// Takes note of the epoch that numbers count in. When it is another than before, everybody who counts must
    /// recover, and `last` is where the new numbering stands.
    pub(crate) fn renew(&mut self, channel: &Channel, epoch: &str, last: u64, limits: &Limits) -> Option<Delivered> {
        let announced = &mut self.announced;
        if epoch.is_empty() || announced.epoch == epoch {
            return None;
        }
        let known = !announced.epoch.is_empty();
        epoch.clone_into(&mut announced.epoch);
        if !known {
            return None;
        }
        (announced.last, announced.heard) = (Some(last), last);
        Some(self.give_up_all(channel, limits))
    }

    /// Tells everybody to recover, because the stream broke.
    pub(crate) fn give_up_all(&mut self, channel: &Channel, limits: &Limits) -> Delivered {
        let positioned =
            |subscriber: &&Subscriber| matches!(&subscriber.stage, Stage::Live(live) if live.offset.is_some());
        let all: Vec<_> =
            self.members.values().filter(positioned).map(|subscriber| subscriber.handle.clone()).collect();
        let mut delivered = Delivered::default();
        for handle in all {
            delivered.add(self.give_up(&handle, channel, limits));
        }
        delivered
    }

    pub(crate) fn presence(&self) -> impl Iterator<Item = ClientInfo> {
        self.live().map(|(subscriber, live)| subscriber.handle.info(live.info.clone()))
    }

    pub(crate) fn presence_stats(&self) -> PresenceStatsResult {
        let users: HashSet<String> = self
            .live()
            .map(|(subscriber, _)| {
                subscriber.handle.identity().map_or_else(String::new, |identity| identity.user.clone())
            })
            .collect();
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        PresenceStatsResult { num_clients: count(self.live().count()), num_users: count(users.len()) }
    }

    pub(crate) fn presence_by_client(&self) -> BTreeMap<String, ClientInfo> {
        self.presence().map(|info| (info.client.clone(), info)).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    fn live(&self) -> impl Iterator<Item = (&Subscriber, &Live)> {
        self.members.values().filter_map(|subscriber| match &subscriber.stage {
            Stage::Live(live) => Some((subscriber, live)),
            Stage::Preparing { .. } => None,
        })
    }

    /// Tells those who want to know who came or went, unless they are too many.
    fn tell(&self, item: &Item, limits: &Limits) -> Delivered {
        let mut delivered = Delivered::default();
        if self.members.len() > limits.join_leave_subscribers_max {
            return delivered;
        }
        for (subscriber, live) in self.live() {
            if live.hears_join_leave {
                let handle = &subscriber.handle;
                delivered.count(handle.outbox.push(item.frame(handle.format), limits));
            }
        }
        delivered
    }

    fn give_up(&mut self, handle: &Handle, channel: &Channel, limits: &Limits) -> Delivered {
        if self.is_server_side(handle) {
            handle.outbox.close(Disconnect::INSUFFICIENT_STATE);
            return Delivered::default();
        }
        let Some((_, mut delivered)) = self.remove(handle, channel, limits) else { return Delivered::default() };
        delivered.removed += 1;
        delivered.count(push_unsubscribe(handle, channel, Unsubscribe::INSUFFICIENT_STATE, limits));
        delivered
    }
}

impl Subscriber {
    /// Delivers one item by the rule of positions; `false` when something is missing before it.
    fn deliver(&mut self, item: &Arc<Item>, limits: &Limits, delivered: &mut Delivered) -> bool {
        match &mut self.stage {
            Stage::Preparing { held, lost } => {
                if held.len() < limits.publications_held_max {
                    held.push(item.clone());
                } else {
                    *lost = true;
                }
                return true;
            }
            Stage::Live(Live { offset: Some(last), .. }) if item.offset() > 0 => {
                if item.offset() <= *last {
                    return true;
                }
                if item.offset() > *last + 1 {
                    return false;
                }
                *last += 1;
            }
            Stage::Live(_) => {}
        }
        delivered.count(self.handle.outbox.push(item.frame(self.handle.format), limits));
        true
    }
}

impl Delivered {
    pub(crate) fn count(&mut self, pushed: Pushed) {
        match pushed {
            Pushed::Queued => self.messages += 1,
            Pushed::Overflowed => self.slow += 1,
            Pushed::Closed => {}
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.messages += other.messages;
        self.slow += other.slow;
        self.removed += other.removed;
    }
}

/// Tells a client and its session that the server ended a subscription.
pub(crate) fn push_unsubscribe(handle: &Handle, channel: &Channel, why: Unsubscribe, limits: &Limits) -> Pushed {
    handle.outbox.control(Control::Unsubscribed(channel.clone()));
    let item = Item::event(channel, PushEvent::Unsubscribe(why));
    handle.outbox.push(item.frame(handle.format), limits)
}

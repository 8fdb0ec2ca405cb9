//! What a client is subscribed to, in as little memory as most clients need: they have one subscription, or a few.

use std::time::Instant;

use crate::ChannelName;

/// By channel, in order; room for one more is made when it comes, up to [`GROWS_BY_ONE`].
#[derive(Debug, Default)]
pub(super) struct Subscriptions(Vec<Subscription>);

#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) channel: ChannelName,
    pub(super) server_side: bool,
    pub(super) ends: Option<Instant>,
}

/// Subscriptions up to which no room is made in advance.
const GROWS_BY_ONE: usize = 4;

impl Subscriptions {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn contains(&self, channel: &ChannelName) -> bool {
        self.find(channel).is_ok()
    }

    pub(super) fn get(&self, channel: &ChannelName) -> Option<&Subscription> {
        self.find(channel).ok().map(|index| &self.0[index])
    }

    pub(super) fn get_mut(&mut self, channel: &ChannelName) -> Option<&mut Subscription> {
        self.find(channel).ok().map(|index| &mut self.0[index])
    }

    /// In the place of one of the same channel, if there is one.
    pub(super) fn insert(&mut self, subscription: Subscription) {
        match self.find(&subscription.channel) {
            Ok(index) => self.0[index] = subscription,
            Err(index) => {
                if self.0.len() < GROWS_BY_ONE {
                    self.0.reserve_exact(1);
                }
                self.0.insert(index, subscription);
            }
        }
    }

    pub(super) fn remove(&mut self, channel: &ChannelName) {
        if let Ok(index) = self.find(channel) {
            self.0.remove(index);
        }
    }

    pub(super) fn extract_if(
        &mut self,
        mut is_wanted: impl FnMut(&Subscription) -> bool,
    ) -> impl Iterator<Item = Subscription> {
        self.0.extract_if(.., move |subscription| is_wanted(subscription))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Subscription> {
        self.0.iter()
    }

    fn find(&self, channel: &ChannelName) -> Result<usize, usize> {
        self.0.binary_search_by(|one| one.channel.cmp(channel))
    }
}

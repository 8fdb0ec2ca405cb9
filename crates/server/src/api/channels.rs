//! `channels`: those of the application that somebody is subscribed to.

use super::connections::{looked_up, page_size};
use super::refusal::bad_request;
use super::{Call, Perform};
use crate::limits::{API_PATTERN_BYTES_MAX, CHANNELS_LISTED_BYTES_MAX, CHANNELS_LISTED_MAX};
use crate::pattern::Pattern;
use tidings_api::{ChannelInfo, ChannelsRequest, ChannelsResult, Error};
use tidings_chat::Chat;
use tidings_hub::ChannelName;

impl Perform for ChannelsRequest {
    async fn perform(self, call: &Call) -> Result<ChannelsResult, Error> {
        let pattern = checked(&self.pattern)?;
        let pattern = (!pattern.is_empty()).then(|| Pattern::new(pattern));
        let limit = page_size(self.limit, CHANNELS_LISTED_MAX, CHANNELS_LISTED_MAX)?;
        let call = call.clone();
        looked_up(move || {
            let mut found = with_subscribers(&call, pattern.as_ref());
            found.retain(|(channel, _)| channel.as_str() > &*self.cursor);
            let all = found.len();
            if all > limit {
                found.select_nth_unstable_by(limit, |(one, _), (other, _)| one.cmp(other));
                found.truncate(limit);
            }
            found.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
            let mut bytes = 0;
            let fits = |(channel, _): &&(ChannelName, usize)| {
                bytes += channel.as_str().len() + CHANNEL_OVERHEAD_BYTES;
                bytes <= CHANNELS_LISTED_BYTES_MAX
            };
            let listed = found.iter().take_while(fits).count();
            let cursor = if listed < all { found[listed - 1].0.as_str().to_owned() } else { String::new() };
            found.truncate(listed);
            let info = |clients: usize| ChannelInfo { num_clients: clients.try_into().unwrap_or(u32::MAX) };
            let channels = found.into_iter().map(|(channel, clients)| (channel.as_str().to_owned(), info(clients)));
            ChannelsResult { channels: channels.collect(), cursor }
        })
        .await
    }
}

/// What is written of a channel beside its name, roughly.
const CHANNEL_OVERHEAD_BYTES: usize = 32;

/// A pattern that is no longer than a name: looking for a million parts takes its time.
pub(super) fn checked(pattern: &str) -> Result<&str, Error> {
    if pattern.len() > API_PATTERN_BYTES_MAX {
        return Err(bad_request(&format!("pattern has at most {API_PATTERN_BYTES_MAX} bytes, as a channel's name")));
    }
    Ok(pattern)
}

/// The application's channels that the key reaches and that fit, each with how many are subscribed, in no order.
pub(super) fn with_subscribers(call: &Call, pattern: Option<&Pattern>) -> Vec<(ChannelName, usize)> {
    let wanted = |channel: &ChannelName| {
        !Chat::owns(channel)
            && pattern.is_none_or(|pattern| pattern.matches(channel.as_str()))
            && call.key.reaches(channel)
    };
    let overviews = call.app.hub.channels().into_iter().filter(|overview| wanted(&overview.channel));
    overviews.map(|overview| (overview.channel, overview.num_clients)).collect()
}

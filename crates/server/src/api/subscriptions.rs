//! `subscribe` and `unsubscribe`: what the server wants a user's connections to be subscribed to.

use super::connections::{reached, remaining};
use super::publish::payload;
use super::refusal::bad_request;
use super::{Call, Perform};
use crate::limits::INFO_BYTES_MAX;
use tidings_api::{
    BoolValue, Error, SubscribeOptionOverride, SubscribeRequest, SubscribeResult, UnsubscribeRequest, UnsubscribeResult,
};
use tidings_hub::{Grant, Order, Overrides, ServerSubscription, Target};
use tidings_protocol::{StreamPosition, Unsubscribe};

impl Perform for SubscribeRequest {
    async fn perform(self, call: &Call) -> Result<SubscribeResult, Error> {
        let some = reached(&self.user, &self.client, &self.session)?;
        let (channel, _) = call.channel(&self.channel)?;
        let info = payload(&self.info, &self.b64info)?;
        if let Some(bytes) = info.as_ref().map(|info| info.as_bytes().len()).filter(|bytes| *bytes > INFO_BYTES_MAX) {
            return Err(bad_request(&format!("info has {bytes} bytes; others are shown {INFO_BYTES_MAX} at most")));
        }
        let grant = Grant {
            info,
            data: payload(&self.data, &self.b64data)?,
            expires_in: remaining(self.expire_at)?,
            overrides: self.r#override.as_ref().map(overrides).unwrap_or_default(),
        };
        let since = self.recover_since.map(|since| StreamPosition { offset: since.offset, epoch: since.epoch });
        let subscription = ServerSubscription { channel, grant: Some(grant), since };
        let reached = call.app.hub.order(Order::give(Target::Some(some), subscription)).await;
        Ok(SubscribeResult { num_clients: reached.try_into().unwrap_or(u32::MAX) })
    }
}

impl Perform for UnsubscribeRequest {
    async fn perform(self, call: &Call) -> Result<UnsubscribeResult, Error> {
        let some = reached(&self.user, &self.client, &self.session)?;
        // Also where no namespace is any more: who is subscribed from before may be taken out.
        let channel = call.reached(&self.channel)?;
        let order = Order::unsubscribe(Target::Some(some), Some(channel), Unsubscribe::SERVER);
        let reached = call.app.hub.order(order).await;
        Ok(UnsubscribeResult { num_clients: reached.try_into().unwrap_or(u32::MAX) })
    }
}

fn overrides(said: &SubscribeOptionOverride) -> Overrides {
    let value = |said: &Option<BoolValue>| said.as_ref().map(|said| said.value);
    Overrides {
        presence: value(&said.presence),
        says_join_leave: value(&said.join_leave),
        hears_join_leave: value(&said.force_push_join_leave),
        recovery: value(&said.force_recovery),
        positioning: value(&said.force_positioning),
    }
}

//! `presence`, `presence_stats` and `user_status`: who is here.

use super::refusal::{bad_request, not_available, too_much};
use super::{Call, Perform, history};
use crate::channels::Namespace;
use crate::limits::USERS_ASKED_MAX;
use tidings_api::{
    Error, PresenceRequest, PresenceResult, PresenceStatsRequest, PresenceStatsResult, UserStatus, UserStatusRequest,
    UserStatusResult,
};
use tidings_chat::{Presented, Verdict};
use tidings_hub::{ChannelName, PresenceError};

impl Perform for PresenceRequest {
    async fn perform(self, call: &Call) -> Result<PresenceResult, Error> {
        let channel = with_presence(call.channel(&self.channel)?)?;
        let presence = call.app.hub.presence(&channel).await.map_err(|PresenceError::TooMany { max }| {
            too_much(format!("limit exceeded: more than {max} clients are there; presence_stats counts them"))
        })?;
        let presence = presence.into_iter().map(|(client, info)| (client, history::client_info(&info)));
        Ok(PresenceResult { presence: presence.collect() })
    }
}

impl Perform for PresenceStatsRequest {
    async fn perform(self, call: &Call) -> Result<PresenceStatsResult, Error> {
        let channel = with_presence(call.channel(&self.channel)?)?;
        let stats = call.app.hub.presence_stats(&channel).await;
        Ok(PresenceStatsResult { num_clients: stats.num_clients, num_users: stats.num_users })
    }
}

fn with_presence((channel, namespace): (ChannelName, std::sync::Arc<Namespace>)) -> Result<ChannelName, Error> {
    if namespace.options.presence {
        return Ok(channel);
    }
    Err(not_available("not available: presence = false in this channel's namespace"))
}

impl Perform for UserStatusRequest {
    async fn perform(self, call: &Call) -> Result<UserStatusResult, Error> {
        if self.users.is_empty() {
            return Err(bad_request("users is missing: it lists the users"));
        }
        if self.users.len() > USERS_ASKED_MAX {
            return Err(too_much(format!("users has at most {USERS_ASKED_MAX}: ask for the others in another call")));
        }
        let now = crate::serve::clock().now();
        let denials = call.app.chat.denials();
        let status = |user: String| {
            let num_clients = call.app.hub.num_connections(&user, false).try_into().unwrap_or(u32::MAX);
            let presented = Presented { user: &user, issued: Some(now), ..Presented::default() };
            let blocked = denials.check(&presented, now) == Some(Verdict::Blocked);
            UserStatus { num_clients, blocked, user }
        };
        Ok(UserStatusResult { statuses: self.users.into_iter().map(status).collect() })
    }
}

//! What a session wants done: asks the policy, then the hub, and tells what came of it.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tidings_protocol::{
    ConnectRequest, Disconnect, Error, HistoryRequest, HistoryResult, Payload, PresenceResult, PublishResult, Response,
    RpcRequest, RpcResult, SubscribeRequest, SubscribeResult,
};

use crate::history::{HistoryError, Query};
use crate::hub::{PublishError, PublishOptions, ReadError};
use crate::policy::{Accepted, Client, Grant, JoinLeave, PublishGrant, Refusal, Source};
use crate::registry::Handle;
use crate::session::{Admission, Connected, Operation, Outcome, Prepared};
use crate::{Channel, Hub};

/// Runs one operation of one connection.
pub(crate) fn perform(hub: Hub, handle: Arc<Handle>, operation: Operation) -> BoxFuture<'static, Outcome> {
    Box::pin(async move {
        let task = Task { hub, client: handle.client(), handle };
        task.run(operation).await.unwrap_or_else(Outcome::Refused)
    })
}

struct Task {
    hub: Hub,
    client: Client,
    handle: Arc<Handle>,
}

impl Task {
    async fn run(self, operation: Operation) -> Result<Outcome, Refusal> {
        let policy = self.hub.0.policy.clone();
        let response = match operation {
            Operation::Connect(request) => return self.connect(&request).await,
            Operation::Subscribe { channel, request, server_side } => {
                self.hub.enter(&self.handle, &channel, server_side)?;
                let grant = policy.subscribe(&self.client, &channel, &request).await?;
                return Ok(Outcome::Subscribed(Box::new(self.prepare(&channel, grant, &request).await?)));
            }
            Operation::Publish(channel, data) => {
                let PublishGrant { data: replaced } = policy.publish(&self.client, &channel, &data).await?;
                self.publish(&channel, replaced.unwrap_or(data))?;
                Response::Publish(PublishResult {})
            }
            Operation::Presence(channel) => self.presence(&channel).await?,
            Operation::PresenceStats(channel) => self.presence_stats(&channel).await?,
            Operation::History(channel, request) => self.history(&channel, request).await?,
            Operation::Rpc(RpcRequest { data, method }) => {
                Response::Rpc(RpcResult { data: policy.rpc(&self.client, &method, data.as_ref()).await? })
            }
            Operation::Send(data) => {
                policy.send(&self.client, data.as_ref()).await?;
                return Ok(Outcome::Done);
            }
            Operation::Refresh(token) => return Ok(Outcome::Refreshed(policy.refresh(&self.client, &token).await?)),
            Operation::SubRefresh(channel, token) => {
                return Ok(Outcome::SubRefreshed(policy.sub_refresh(&self.client, &channel, &token).await?));
            }
        };
        Ok(Outcome::Answered(response))
    }

    async fn connect(mut self, request: &ConnectRequest) -> Result<Outcome, Refusal> {
        let accepted = self.hub.0.policy.connect(&self.client, request).await?;
        let Accepted { identity, expiry, data, subscriptions } = accepted;
        if subscriptions.len() > self.hub.0.limits.channels_per_connection_max {
            return Err(Disconnect::CHANNEL_LIMIT.into());
        }
        self.hub.identify(&self.handle, identity)?;
        self.client = self.handle.client();
        let mut connected = Connected { expiry, data, subscriptions: Vec::with_capacity(subscriptions.len()) };
        for (channel, grant) in subscriptions {
            self.hub.enter(&self.handle, &channel, true)?;
            let resume = request.subs.get(channel.as_str()).cloned().unwrap_or_default();
            let prepared = self.prepare(&channel, grant, &resume).await?;
            connected.subscriptions.push((channel, prepared));
        }
        Ok(Outcome::Connected(Box::new(connected)))
    }

    /// Prepares a subscription that has entered its channel: reads where it starts and what it missed.
    async fn prepare(&self, channel: &Channel, grant: Grant, request: &SubscribeRequest) -> Result<Prepared, Refusal> {
        let options = self.hub.options(channel);
        // It has entered, so what is published from here on is held back for it: nothing falls between.
        let start = self.hub.start(channel, &options, request).await.map_err(|error| refuse(channel, error))?;
        let Grant { info, data, expires_in } = grant;
        let mut prepared = Prepared {
            result: SubscribeResult { data, ..SubscribeResult::default() },
            admission: Admission {
                position: None,
                info,
                hears_join_leave: match options.join_leave {
                    JoinLeave::Off => false,
                    JoinLeave::OnRequest => request.join_leave,
                    JoinLeave::Always => true,
                },
                says_join_leave: options.join_leave != JoinLeave::Off,
            },
            expires_in,
        };
        if let Some(start) = start {
            let result = &mut prepared.result;
            let mut position = start.told.clone();
            position.offset = start.offset;
            prepared.admission.position = Some(position);
            (result.recoverable, result.positioned) = (true, true);
            (result.epoch, result.offset) = (start.told.epoch, start.told.offset);
            (result.was_recovering, result.recovered) = (start.was_recovering, start.recovered);
            result.publications = start.publications;
        }
        Ok(prepared)
    }

    fn publish(&self, channel: &Channel, data: Payload) -> Result<(), Refusal> {
        let info = Some(self.handle.info(None));
        self.hub.publish(channel, data, PublishOptions { info, ..PublishOptions::default() })?;
        Ok(())
    }

    async fn presence(&self, channel: &Channel) -> Result<Response, Refusal> {
        self.may_see_presence(channel).await?;
        let max = self.hub.0.limits.presence_clients_max;
        if usize::try_from(self.hub.presence_stats(channel).num_clients).unwrap_or(usize::MAX) > max {
            return Err(Error::LIMIT_EXCEEDED.into());
        }
        Ok(Response::Presence(PresenceResult { presence: self.hub.presence(channel) }))
    }

    async fn presence_stats(&self, channel: &Channel) -> Result<Response, Refusal> {
        self.may_see_presence(channel).await?;
        Ok(Response::PresenceStats(self.hub.presence_stats(channel)))
    }

    async fn may_see_presence(&self, channel: &Channel) -> Result<(), Refusal> {
        self.hub.0.policy.presence(&self.client, channel).await?;
        if self.hub.options(channel).presence { Ok(()) } else { Err(Error::NOT_AVAILABLE.into()) }
    }

    async fn history(&self, channel: &Channel, request: HistoryRequest) -> Result<Response, Refusal> {
        let policy = &self.hub.0.policy;
        let revocations = self.handle.revocations();
        policy.history(&self.client, channel).await?;
        if matches!(self.hub.options(channel).history, Source::None) {
            return Err(Error::NOT_AVAILABLE.into());
        }
        let max = self.hub.0.limits.history_publications_max;
        let limit = usize::try_from(request.limit).map_or(max, |limit| limit.min(max));
        let since = request.since.unwrap_or_default();
        let known = !since.epoch.is_empty() || since.offset > 0;
        let query = Query { since: known.then_some(since.offset), limit, reverse: request.reverse };
        let mut page = self.hub.history(channel, query, &since.epoch).await.map_err(|error| refuse(channel, error))?;
        page.cut(self.hub.0.limits.history_reply_bytes_max);
        // What was read after a right was taken away must not leave (promise G5).
        if self.handle.revocations() != revocations {
            policy.history(&self.client, channel).await?;
        }
        Ok(Response::History(HistoryResult {
            publications: page.publications,
            epoch: page.top.epoch,
            offset: page.top.offset,
        }))
    }
}

fn refuse(channel: &Channel, error: ReadError) -> Refusal {
    match error {
        ReadError::NotKept => Error::NOT_AVAILABLE.into(),
        ReadError::OtherEpoch => Error::UNRECOVERABLE_POSITION.into(),
        ReadError::History(HistoryError::UnknownChannel) => Error::UNKNOWN_CHANNEL.into(),
        ReadError::History(HistoryError::Unavailable(error)) => {
            tracing::error!(%channel, %error, "history is not available");
            Error::INTERNAL.into()
        }
        ReadError::Channel(error) => error.into(),
    }
}

impl From<PublishError> for Refusal {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::KeptElsewhere => Error::NOT_AVAILABLE.into(),
            PublishError::TooManyChannels { .. } => Error::LIMIT_EXCEEDED.into(),
        }
    }
}

//! `connections`, `disconnect` and `refresh`: who is connected, and for how long.
//!
//! Those that came with a client token. The chat's people are looked after in the chat; they can be listed, and no more.

use super::refusal::{bad_request, other, refused, too_much};
use super::{Call, Perform};
use crate::limits::{CLIENTS_NAMED_MAX, LISTED_DEFAULT, LISTED_MAX, PAGE_BYTES_MAX};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tidings_api::{
    ConnectionInfo, ConnectionsRequest, ConnectionsResult, Disconnect, DisconnectRequest, DisconnectResult, Error,
    RefreshRequest, RefreshResult,
};
use tidings_chat::Chat;
use tidings_hub::{ChannelName, ConnectionOverview, Expiry, Order, Peer, SomeOf, Target};
use tidings_protocol::Error as Code;
use uuid::Uuid;

impl Perform for ConnectionsRequest {
    async fn perform(self, call: &Call) -> Result<ConnectionsResult, Error> {
        if !self.expression.is_empty() {
            return Err(bad_request("expression is not supported: filter by user, channel and client"));
        }
        if self.chat && !call.key.is_admin() {
            let name = &call.key.name;
            let message =
                format!("permission denied: the key {name} lacks the scope admin, which sees the chat's people");
            return Err(other(&Code::PERMISSION_DENIED, message));
        }
        let limit = page_size(self.limit, LISTED_DEFAULT, LISTED_MAX)?;
        let channel = match &*self.channel {
            "" if call.key.is_bounded() => {
                return Err(bad_request("channel is missing: this key reaches some channels, and lists who is in one"));
            }
            "" => None,
            name => Some(call.channel(name)?.0),
        };
        let after = match &*self.cursor {
            "" => None,
            cursor => Some(
                Uuid::parse_str(cursor).map_err(|_| bad_request("cursor is not one that a page before has given"))?,
            ),
        };
        let target = match (&*self.client, &*self.user) {
            ("", "") => Target::All,
            ("", user) => Target::User(user.to_owned()),
            (client, _) => Target::Client(client.to_owned()),
        };
        let call = call.clone();
        looked_up(move || {
            let wanted = |peer: &Peer| {
                (self.user.is_empty() || peer.user() == self.user) && (self.chat || !Chat::is_person(peer))
            };
            let page = call.app.hub.connections_page(&target, channel.as_ref(), after, limit + 1, wanted);
            let shown = |channel: &ChannelName| call.key.reaches(channel);
            let mut result = ConnectionsResult::default();
            let (mut bytes, mut last) = (0, String::new());
            for one in page {
                let client = one.client.clone();
                let info = info(one, shown);
                bytes += prost::Message::encoded_len(&info) + CONNECTION_OVERHEAD_BYTES;
                let is_full = bytes > PAGE_BYTES_MAX && !last.is_empty();
                if is_full || result.connections.len() == limit {
                    result.cursor = last;
                    break;
                }
                last.clone_from(&client);
                result.connections.insert(client, info);
            }
            result
        })
        .await
    }
}

/// Looks at all of very many, which takes milliseconds, beside the loops.
pub(super) async fn looked_up<T: Send + 'static>(look: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(look).await.map_err(|error| {
        tracing::error!(%error, "what is listed was not found");
        refused(Code::INTERNAL)
    })
}

/// What is written of a connection beside its values: its id, and the names of its fields.
const CONNECTION_OVERHEAD_BYTES: usize = 160;

fn info(one: ConnectionOverview, shown: impl Fn(&ChannelName) -> bool) -> ConnectionInfo {
    let since = SystemTime::now().checked_sub(one.open_for).and_then(|since| since.duration_since(UNIX_EPOCH).ok());
    ConnectionInfo {
        transport: one.peer.transport().to_owned(),
        protocol: if one.encoding.is_text() { "json" } else { "protobuf" }.to_owned(),
        user: one.user,
        address: one.peer.address().map(|address| address.to_string()).unwrap_or_default(),
        user_agent: one.peer.header("user-agent").unwrap_or_default().to_owned(),
        since: since.and_then(|since| i64::try_from(since.as_millis()).ok()).unwrap_or_default(),
        channels: one
            .channels
            .iter()
            .filter(|channel| shown(channel))
            .map(|channel| channel.as_str().to_owned())
            .collect(),
        queued_bytes: one.queued_bytes as u64,
        person: Chat::is_person(&one.peer),
    }
}

/// How many entries a page has.
pub(super) fn page_size(limit: i32, default: usize, max: usize) -> Result<usize, Error> {
    match usize::try_from(limit) {
        Ok(0) => Ok(default),
        Ok(limit) if limit <= max => Ok(limit),
        _ => Err(bad_request(&format!("limit must be 1 to {max}, or 0 for {default}"))),
    }
}

impl Perform for DisconnectRequest {
    async fn perform(self, call: &Call) -> Result<DisconnectResult, Error> {
        if self.whitelist.len() > CLIENTS_NAMED_MAX {
            return Err(too_much(format!("whitelist has at most {CLIENTS_NAMED_MAX} clients")));
        }
        let why = self.disconnect.as_ref().map(disconnect).transpose()?;
        let why = why.unwrap_or(tidings_protocol::Disconnect::FORCE_DISCONNECT);
        let some = SomeOf { except: self.whitelist, ..reached(&self.user, &self.client, &self.session)? };
        let reached = call.app.hub.order(Order::disconnect(Target::Some(some), why)).await;
        Ok(DisconnectResult { num_clients: reached.try_into().unwrap_or(u32::MAX) })
    }
}

fn disconnect(said: &Disconnect) -> Result<tidings_protocol::Disconnect, Error> {
    let code = u16::try_from(said.code).ok().filter(|code| (3000..5000).contains(code));
    let code = code.ok_or_else(|| {
        bad_request("disconnect.code must be 3000 to 4999; from 3500 and from 4500 on clients stay away")
    })?;
    let why = tidings_protocol::Disconnect::application(code, said.reason.clone());
    if why.reason != said.reason {
        return Err(bad_request("disconnect.reason has at most 123 bytes, and is no JSON, which clients would read"));
    }
    Ok(why)
}

impl Perform for RefreshRequest {
    async fn perform(self, call: &Call) -> Result<RefreshResult, Error> {
        if !self.info.is_empty() {
            return Err(bad_request("info cannot be changed: what others see of a connection stays as its token said"));
        }
        let target = Target::Some(reached(&self.user, &self.client, &self.session)?);
        let order = if self.expired {
            Order::disconnect(target, tidings_protocol::Disconnect::EXPIRED)
        } else {
            Order::refresh(target, remaining(self.expire_at)?.map(Expiry::Refreshable))
        };
        let reached = call.app.hub.order(order).await;
        Ok(RefreshResult { num_clients: reached.try_into().unwrap_or(u32::MAX) })
    }
}

/// The connections with client tokens that a request means.
pub(super) fn reached(user: &str, client: &str, session: &str) -> Result<SomeOf, Error> {
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    if user.is_empty() && client.is_empty() && session.is_empty() {
        return Err(bad_request("user is missing: it says whose connections; client or session say which one"));
    }
    let (client, session) = (given(client), given(session));
    Ok(SomeOf { user: user.to_owned(), client, session, has_tag: Some(false), ..SomeOf::default() })
}

/// How long it is until a time in seconds since 1970; `None` for 0, which is never.
pub(super) fn remaining(expire_at: i64) -> Result<Option<Duration>, Error> {
    if expire_at == 0 {
        return Ok(None);
    }
    let at = u64::try_from(expire_at).ok().and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
    let left = at.and_then(|at| at.duration_since(SystemTime::now()).ok());
    left.map(Some)
        .ok_or_else(|| bad_request("expire_at is over: it is a time to come, in seconds since 1970, or 0 for never"))
}

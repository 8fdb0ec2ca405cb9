//! The server API under `/api/`: an application's backend publishes and looks into channels, with an API key.
//!
//! The answers are those of the protocol's server API: 200 with `result` or `error`; 401 without the key. The chat's
//! channels cannot be written here: what is said in a room is posted by a person. A member that is `null` is absent, but
//! for `data`, where it is a value.

use crate::api_key::has_key;
use crate::app::App;
use crate::http::body::read_body;
use crate::http::problem::{RequestId, named};
use crate::limits::{API_BODY_BYTES_MAX, API_PATTERN_BYTES_MAX, BROADCAST_AT_ONCE, PAGE_BYTES_MAX};
use crate::process::Figures;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use tidings_chat::Chat;
use tidings_hub::{BrokerError, ChannelName, HistoryQuery, NewPublication, PresenceError, PublishError, ReadError};
use tidings_protocol::{
    Error, HistoryRequest, HistoryResult, Payload, PresenceRequest, PresenceResult, PresenceStatsRequest,
    PresenceStatsResult, StreamPosition, is_unreadable,
};

pub(crate) fn routes(app: &App) -> Router<App> {
    Router::new()
        .route("/api/{method}", post(call))
        .route_layer(from_fn_with_state(app.clone(), require_key))
        .route_layer(map_response(named))
}

/// 401 without the key, before anything is read.
async fn require_key(State(app): State<App>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let has_key = has_key(&app, &parts.headers);
    let id = RequestId::fresh();
    app.key_uses.tell(&app, &parts, has_key, id);
    if has_key {
        return next.run(Request::from_parts(parts, body)).await;
    }
    let detail =
        "The server API needs its key in the header X-API-Key; it is in the data folder, in the file api-key.\n";
    (StatusCode::UNAUTHORIZED, [id.header()], detail).into_response()
}

/// `POST /api/{method}`: the body is JSON whatever its Content-Type says, since the key protects it.
async fn call(State(app): State<App>, Path(method): Path<String>, request: Request) -> Response {
    let body = match read_body(request, API_BODY_BYTES_MAX).await {
        Ok(body) => body,
        Err(problem) => return problem.into_response(),
    };
    let app = &app;
    match method.as_str() {
        "publish" => answer(&body, async |request| publish(app, request).await).await,
        "broadcast" => answer(&body, async |request| broadcast(app, request).await).await,
        "history" => answer(&body, async |request| history(app, request).await).await,
        "presence" => answer(&body, async |request| presence(app, &request).await).await,
        "presence_stats" => answer(&body, async |request| presence_stats(app, &request).await).await,
        "channels" => answer(&body, async |request| channels(app, &request)).await,
        "info" => answer(&body, async |_: Nothing| Ok(info(app))).await,
        _ => (StatusCode::NOT_FOUND, "There is no such method in the server API.\n").into_response(),
    }
}

/// `{"result": …}` or `{"error": …}`, both with 200; 400 when the body is not what the method takes.
async fn answer<Q: DeserializeOwned, A: Serialize>(
    body: &[u8],
    method: impl AsyncFnOnce(Q) -> Result<A, Error>,
) -> Response {
    #[derive(Serialize)]
    #[serde(rename_all = "lowercase")]
    enum Answer<A> {
        Result(A),
        Error(Error),
    }
    // A list of the members without their names would be read as well.
    if body.trim_ascii_start().first() == Some(&b'[') {
        return (StatusCode::BAD_REQUEST, "The body is not what this method takes: it must be an object.\n")
            .into_response();
    }
    match serde_json::from_slice(body) {
        Ok(request) => Json(method(request).await.map_or_else(Answer::Error, Answer::Result)).into_response(),
        Err(_) if is_unreadable(body) => {
            Json(Answer::<A>::Error(bad_request("nested too deep, or with too long a number"))).into_response()
        }
        Err(error) => {
            (StatusCode::BAD_REQUEST, format!("The body is not what this method takes: {error}.\n")).into_response()
        }
    }
}

#[derive(Deserialize)]
struct Nothing {}

/// Every member may be missing or `null`; what a method cannot do without is error 107.
fn null_is_absent<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// Tags that are `null` are absent like other members.
fn tags<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    let tags: Option<BTreeMap<String, Option<String>>> = Option::deserialize(from)?;
    Ok(tags.into_iter().flatten().filter_map(|(name, value)| Some((name, value?))).collect())
}

/// An empty key is none: whoever has nothing to tell two publications apart by means both.
fn key<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(Option::deserialize(from)?.filter(|key: &String| !key.is_empty()))
}

/// `null` is JSON like any other, and can be published.
fn null_is_a_value<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Payload>, D::Error> {
    Payload::deserialize(from).map(Some)
}

#[derive(Deserialize)]
struct PublishRequest {
    #[serde(default, deserialize_with = "null_is_absent")]
    channel: String,
    #[serde(default, deserialize_with = "null_is_a_value")]
    data: Option<Payload>,
    #[serde(default, deserialize_with = "tags")]
    tags: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "null_is_absent")]
    skip_history: bool,
    /// A repeat with the same key, within five minutes, is answered as the first was and publishes nothing.
    #[serde(default, deserialize_with = "key")]
    idempotency_key: Option<String>,
}

/// Where the channel's stream stands; both left out for what is not kept.
#[derive(Serialize)]
struct PublishResult {
    #[serde(skip_serializing_if = "is_zero")]
    offset: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    epoch: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(offset: &u64) -> bool {
    *offset == 0
}

async fn publish(app: &App, request: PublishRequest) -> Result<PublishResult, Error> {
    let channel = application_channel(&request.channel)?;
    let data = request.data.ok_or_else(|| bad_request("data is missing: it is the JSON value to publish"))?;
    let PublishRequest { tags, skip_history: ephemeral, idempotency_key, .. } = request;
    let publication = NewPublication { tags, ephemeral, idempotency_key, ..NewPublication::new(data) };
    publish_one(app, &channel, publication).await
}

async fn publish_one(app: &App, channel: &ChannelName, publication: NewPublication) -> Result<PublishResult, Error> {
    let StreamPosition { offset, epoch } = app.hub.publish(channel, publication).await.map_err(|error| {
        tracing::warn!(%error, %channel, "a publication was refused");
        match error {
            PublishError::KeptElsewhere => Error::NOT_AVAILABLE,
            PublishError::KeyTooLong | PublishError::VersionTooLong | PublishError::TooManyTags => {
                bad_request(&error.to_string())
            }
            PublishError::Broker(BrokerError::TooManyStreams { .. }) => Error::LIMIT_EXCEEDED,
            PublishError::Broker(BrokerError::TooManyRequests) => Error::TOO_MANY_REQUESTS,
            PublishError::Broker(BrokerError::Unavailable(_)) => Error::INTERNAL,
        }
    })?;
    Ok(PublishResult { offset, epoch })
}

#[derive(Deserialize)]
struct BroadcastRequest {
    #[serde(default, deserialize_with = "null_is_absent")]
    channels: Vec<String>,
    #[serde(default, deserialize_with = "null_is_a_value")]
    data: Option<Payload>,
    #[serde(default, deserialize_with = "tags")]
    tags: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "null_is_absent")]
    skip_history: bool,
    /// A repeat with the same key, within five minutes, is answered as the first was and publishes nothing.
    #[serde(default, deserialize_with = "key")]
    idempotency_key: Option<String>,
}

#[derive(Serialize)]
struct BroadcastResult {
    responses: Vec<BroadcastResponse>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum BroadcastResponse {
    Result(PublishResult),
    Error(Error),
}

async fn broadcast(app: &App, request: BroadcastRequest) -> Result<BroadcastResult, Error> {
    let BroadcastRequest { channels, data, tags, skip_history: ephemeral, idempotency_key } = request;
    if channels.is_empty() {
        return Err(bad_request("channels is missing: it lists the channels to publish in"));
    }
    let data = data.ok_or_else(|| bad_request("data is missing: it is the JSON value to publish"))?;
    let publication = NewPublication { tags, ephemeral, idempotency_key, ..NewPublication::new(data) };
    // Once for all, before it is copied for each.
    publication.check().map_err(|error| bad_request(&error.to_string()))?;
    let mut responses = Vec::with_capacity(channels.len());
    for (number, channel) in channels.iter().enumerate() {
        // Where nobody is subscribed nothing here ever waits, and a body names a hundred thousand channels.
        if number % BROADCAST_AT_ONCE == BROADCAST_AT_ONCE - 1 {
            tokio::task::yield_now().await;
        }
        let published = match application_channel(channel) {
            Ok(channel) => publish_one(app, &channel, publication.clone()).await,
            Err(error) => Err(error),
        };
        responses.push(published.map_or_else(BroadcastResponse::Error, BroadcastResponse::Result));
    }
    Ok(BroadcastResult { responses })
}

async fn history(app: &App, request: HistoryRequest) -> Result<HistoryResult, Error> {
    let channel = application_channel(&request.channel)?;
    let query = HistoryQuery::of(&request, app.hub.limits().history_publications_max);
    let epoch = request.since.unwrap_or_default().epoch;
    match app.hub.history(&channel, query, &epoch).await {
        Ok(mut page) => {
            page.cut(PAGE_BYTES_MAX);
            Ok(HistoryResult { publications: page.publications, epoch: page.top.epoch, offset: page.top.offset })
        }
        Err(ReadError::NotKept) => Err(Error::NOT_AVAILABLE),
        Err(ReadError::OtherEpoch) => Err(Error::UNRECOVERABLE_POSITION),
        Err(error @ (ReadError::History(_) | ReadError::Broker(_))) => {
            tracing::error!(%error, %channel, "a history was not read");
            Err(Error::INTERNAL)
        }
    }
}

async fn presence(app: &App, request: &PresenceRequest) -> Result<PresenceResult, Error> {
    let presence = app.hub.presence(&application_channel(&request.channel)?).await;
    Ok(PresenceResult { presence: presence.map_err(|PresenceError::TooMany { .. }| Error::LIMIT_EXCEEDED)? })
}

async fn presence_stats(app: &App, request: &PresenceStatsRequest) -> Result<PresenceStatsResult, Error> {
    Ok(app.hub.presence_stats(&application_channel(&request.channel)?).await)
}

#[derive(Deserialize)]
struct ChannelsRequest {
    /// With `*` for any number of characters; absent: all.
    #[serde(default, deserialize_with = "null_is_absent")]
    pattern: String,
}

#[derive(Serialize)]
struct ChannelsResult {
    channels: BTreeMap<String, ChannelInfo>,
}

#[derive(Serialize)]
struct ChannelInfo {
    num_clients: usize,
}

/// The application's channels that somebody is subscribed to.
fn channels(app: &App, request: &ChannelsRequest) -> Result<ChannelsResult, Error> {
    if request.pattern.len() > API_PATTERN_BYTES_MAX {
        return Err(bad_request(&format!("pattern has at most {API_PATTERN_BYTES_MAX} bytes, as a channel's name")));
    }
    let pattern = Pattern::new(&request.pattern);
    let wanted = |channel: &ChannelName| {
        !Chat::owns(channel) && (request.pattern.is_empty() || pattern.matches(channel.as_str()))
    };
    let channels = app.hub.channels().into_iter().filter(|overview| wanted(&overview.channel));
    let info = |overview: tidings_hub::ChannelOverview| {
        (overview.channel.as_str().to_owned(), ChannelInfo { num_clients: overview.num_clients })
    };
    Ok(ChannelsResult { channels: channels.map(info).collect() })
}

/// A pattern in which `*` stands for any characters, taken apart once for all names.
struct Pattern<'a> {
    head: &'a str,
    /// What follows each `*`; none: the name must be `head`.
    parts: Vec<&'a str>,
}

impl<'a> Pattern<'a> {
    fn new(pattern: &'a str) -> Self {
        let mut parts = pattern.split('*');
        Self { head: parts.next().unwrap_or_default(), parts: parts.collect() }
    }

    fn matches(&self, text: &str) -> bool {
        let Some((last, between)) = self.parts.split_last() else { return self.head == text };
        let Some(mut rest) = text.strip_prefix(self.head) else { return false };
        for part in between {
            match rest.find(part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

#[derive(Serialize)]
struct InfoResult {
    nodes: Vec<NodeInfo>,
}

#[derive(Serialize)]
struct NodeInfo {
    uid: String,
    name: String,
    version: &'static str,
    num_clients: u64,
    num_users: usize,
    num_channels: u64,
    num_subs: u64,
    /// Seconds.
    uptime: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<ProcessInfo>,
}

#[derive(Serialize)]
struct ProcessInfo {
    /// Seconds on a processor since the start.
    cpu: f64,
    /// Bytes of resident memory.
    rss: u64,
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number of pages")]
fn info(app: &App) -> InfoResult {
    let figures = app.hub.metrics();
    let node = NodeInfo {
        uid: app.node.clone(),
        name: app.address().to_string(),
        version: env!("CARGO_PKG_VERSION"),
        num_clients: figures.connections,
        num_users: app.hub.num_users(),
        num_channels: figures.channels,
        num_subs: figures.subscriptions,
        uptime: crate::process::started().elapsed().as_secs(),
        process: Figures::read()
            .map(|process| ProcessInfo { cpu: process.cpu_seconds, rss: process.resident_bytes as u64 }),
    };
    InfoResult { nodes: vec![node] }
}

/// A channel that an application may use: well-formed, and not the chat's.
fn application_channel(name: &str) -> Result<ChannelName, Error> {
    let channel = ChannelName::parse(name).map_err(|error| bad_request(&error.to_string()))?;
    if Chat::owns(&channel) {
        return Err(Error::UNKNOWN_CHANNEL);
    }
    Ok(channel)
}

fn bad_request(message: &str) -> Error {
    Error { message: message.to_owned().into(), ..Error::BAD_REQUEST }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn a_star_in_a_pattern_stands_for_any_characters() {
        for (pattern, text) in [("*", "news"), ("news", "news"), ("n*s", "news"), ("a:*:c", "a:b:c"), ("*:b*", "a:bc")]
        {
            assert!(Pattern::new(pattern).matches(text), "{pattern} {text}");
        }
        for (pattern, text) in [("new", "news"), ("n*x", "news"), ("a:*:c", "a:c"), ("ab*b", "ab")] {
            assert!(!Pattern::new(pattern).matches(text), "{pattern} {text}");
        }
    }
}

//! The server API over HTTP: what an application's backend asks of a Tidings server, with its API key.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tidings_api::{BroadcastRequest, PublishRequest};
use tidings_protocol::{
    ClientInfo, Error, HistoryResult, Payload, PresenceResult, PresenceStatsResult, StreamPosition,
};

use crate::event::AddressError;
use crate::limits;

/// A client of the HTTP API under `/api/`. Cheap to clone; clones share their connections.
#[derive(Debug, Clone)]
pub struct ServerApi {
    base: Arc<str>,
    key: HeaderValue,
    http: HttpClient<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// How something is published.
#[derive(Debug, Clone, Default)]
pub struct PublishOptions {
    /// Deliver without keeping it in the history.
    pub skip_history: bool,
    /// For filters.
    pub tags: BTreeMap<String, String>,
    /// A repeat with the same key within the server's time window publishes nothing and gets the same answer.
    pub idempotency_key: Option<String>,
    /// Subscribers who take differences may get it as its difference to the one before.
    pub delta: bool,
    /// Which version of something it tells of, from 1 up, and of which epoch: it is dropped where the channel has had this
    /// one or a later one.
    pub version: Option<(u64, String)>,
}

/// Which part of a channel's history.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct HistoryQuery {
    /// How many publications: 0 for none but the position, -1 for as many as the server gives.
    pub limit: i32,
    /// Only those after (or, when reversed, before) this position.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<StreamPosition>,
    /// Newest first.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reverse: bool,
}

impl HistoryQuery {
    /// The latest `limit` publications, newest first.
    #[must_use]
    pub fn latest(limit: u32) -> HistoryQuery {
        HistoryQuery { limit: saturated(limit), since: None, reverse: true }
    }

    /// At most `limit` publications after `position`, oldest first.
    #[must_use]
    pub fn after(position: StreamPosition, limit: u32) -> HistoryQuery {
        HistoryQuery { limit: saturated(limit), since: Some(position), reverse: false }
    }
}

fn saturated(limit: u32) -> i32 {
    i32::try_from(limit).unwrap_or(i32::MAX)
}

/// Why a call of the HTTP API failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// The API key is missing or wrong.
    #[error("the server does not accept the API key")]
    Unauthorized,
    /// The server refused what was asked.
    #[error("the server answered: {0}")]
    Refused(Error),
    /// The server answered with an HTTP status that means neither.
    #[error("the server answered with status {status}: {body}")]
    Status {
        /// The status.
        status: u16,
        /// The beginning of the answer.
        body: String,
    },
    /// No connection, or it broke before the answer; the call may have been carried out.
    #[error("cannot reach the server: {0}")]
    Unreachable(String),
    /// No answer within [`limits::API_TIME`]; the call may have been carried out.
    #[error("the server did not answer in time")]
    Timeout,
    /// The answer is not what this API answers: perhaps another server listens there.
    #[error("the server's answer is not understood: {0}")]
    Malformed(String),
}

impl ServerApi {
    /// A client for the server at `base_url`, such as `http://127.0.0.1:8000`. Connects when first used.
    ///
    /// # Errors
    /// [`AddressError::NotHttp`] for another kind of address, [`AddressError::BadKey`] for a key that no header carries.
    pub fn new(base_url: &str, api_key: impl Into<String>) -> Result<ServerApi, AddressError> {
        let not_http = || AddressError::NotHttp(base_url.to_owned());
        let uri: Uri = base_url.parse().map_err(|_| not_http())?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.query().is_some() {
            return Err(not_http());
        }
        let mut key = HeaderValue::try_from(api_key.into()).map_err(|_| AddressError::BadKey)?;
        key.set_sensitive(true);
        let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has the default protocol versions")
            .with_root_certificates(root_certificates(&uri))
            .with_no_client_auth();
        let https = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        let http = HttpClient::builder(TokioExecutor::new()).build(https);
        Ok(ServerApi { base: base_url.trim_end_matches('/').into(), key, http })
    }

    /// Publishes into a channel; answers the publication's place, zero in a channel without history.
    ///
    /// # Errors
    /// See [`ApiError`]; with an idempotency key the call can be repeated safely.
    pub async fn publish(
        &self,
        channel: &str,
        data: Payload,
        options: PublishOptions,
    ) -> Result<StreamPosition, ApiError> {
        let (data, b64data) = either_form(&data);
        let PublishOptions { skip_history, tags, idempotency_key, delta, version } = options;
        let (version, version_epoch) = version.unwrap_or_default();
        let idempotency_key = idempotency_key.unwrap_or_default();
        let channel = channel.to_owned();
        let request = PublishRequest {
            channel,
            data,
            b64data,
            skip_history,
            tags,
            idempotency_key,
            delta,
            version,
            version_epoch,
        };
        self.ask("publish", &request).await
    }

    /// Publishes the same into many channels; one result for each, in their order.
    ///
    /// # Errors
    /// See [`ApiError`]; what failed for single channels stands in the results.
    pub async fn broadcast(
        &self,
        channels: &[&str],
        data: Payload,
        options: PublishOptions,
    ) -> Result<Vec<Result<StreamPosition, Error>>, ApiError> {
        #[derive(Deserialize)]
        struct Broadcast {
            responses: Vec<Answer<StreamPosition>>,
        }
        let (data, b64data) = either_form(&data);
        let PublishOptions { skip_history, tags, idempotency_key, delta, version } = options;
        let (version, version_epoch) = version.unwrap_or_default();
        let idempotency_key = idempotency_key.unwrap_or_default();
        let channels = channels.iter().map(|channel| (*channel).to_owned()).collect();
        let request = BroadcastRequest {
            channels,
            data,
            b64data,
            skip_history,
            tags,
            idempotency_key,
            delta,
            version,
            version_epoch,
        };
        let Broadcast { responses } = self.ask("broadcast", &request).await?;
        Ok(responses.into_iter().map(Answer::into_result).collect())
    }

    /// What was published in a channel. A page has a limit in bytes too (512 KiB): ask on from its last offset while that is
    /// below the result's.
    ///
    /// # Errors
    /// See [`ApiError`]; `Refused` with code 112 when the query's position is of another epoch.
    pub async fn history(&self, channel: &str, query: HistoryQuery) -> Result<HistoryResult, ApiError> {
        #[derive(Serialize)]
        struct Body<'a> {
            channel: &'a str,
            #[serde(flatten)]
            query: HistoryQuery,
        }
        self.ask("history", &Body { channel, query }).await
    }

    /// Who is in a channel, by connection.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn presence(&self, channel: &str) -> Result<BTreeMap<String, ClientInfo>, ApiError> {
        self.ask("presence", &OfChannel { channel }).await.map(|PresenceResult { presence }| presence)
    }

    /// How many are in a channel.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn presence_stats(&self, channel: &str) -> Result<PresenceStatsResult, ApiError> {
        self.ask("presence_stats", &OfChannel { channel }).await
    }

    /// What the server says about itself, as it says it.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn info(&self) -> Result<Payload, ApiError> {
        #[derive(Serialize)]
        struct Nothing {}
        self.ask("info", &Nothing {}).await
    }

    /// Calls any method with its own message, such as `tidings_api::ConnectionsRequest`.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn call<Q: tidings_api::Request>(&self, request: &Q) -> Result<Q::Result, ApiError> {
        self.ask(Q::METHOD.name(), request).await
    }

    /// Calls any method by its name with a body of the caller's own, and answers its result as it came; of `batch`, the
    /// replies.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn call_by_name(&self, method: &str, body: &Payload) -> Result<Payload, ApiError> {
        self.ask(method, body).await
    }

    async fn ask<B: Serialize, R: DeserializeOwned>(&self, method: &str, body: &B) -> Result<R, ApiError> {
        let body = serde_json::to_vec(body).map_err(|error| ApiError::Malformed(error.to_string()))?;
        let request = Request::post(format!("{}/api/{method}", self.base))
            .header("x-api-key", &self.key)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::from(body))
            .map_err(|error| ApiError::Unreachable(error.to_string()))?;
        let (status, body) =
            tokio::time::timeout(limits::API_TIME, self.exchange(request)).await.map_err(|_| ApiError::Timeout)??;
        read_answer(status, &body)
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), ApiError> {
        let response = self.http.request(request).await.map_err(|error| ApiError::Unreachable(causes(&error)))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), limits::ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| ApiError::Unreachable(causes(&*error)))?;
        Ok((status, body.to_bytes()))
    }
}

/// JSON as it stands, or bytes in base64.
fn either_form(data: &Payload) -> (Bytes, String) {
    match data.as_json() {
        Some(json) => (Bytes::copy_from_slice(json.as_bytes()), String::new()),
        None => (Bytes::new(), STANDARD.encode(data.as_bytes())),
    }
}

/// The system's root certificates, read only where they are needed; without any, https fails at its first call.
fn root_certificates(uri: &Uri) -> rustls::RootCertStore {
    let mut roots = rustls::RootCertStore::empty();
    if uri.scheme_str() == Some("https") {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    roots
}

#[derive(Serialize)]
struct OfChannel<'a> {
    channel: &'a str,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Answer<R> {
    Result { result: R },
    Error { error: Error },
}

impl<R> Answer<R> {
    fn into_result(self) -> Result<R, Error> {
        match self {
            Answer::Result { result } => Ok(result),
            Answer::Error { error } => Err(error),
        }
    }
}

fn read_answer<R: DeserializeOwned>(status: StatusCode, body: &[u8]) -> Result<R, ApiError> {
    #[derive(Deserialize)]
    struct Envelope<'a> {
        error: Option<Error>,
        /// Of all methods but `batch`.
        #[serde(borrow)]
        result: Option<&'a serde_json::value::RawValue>,
        /// Of `batch`.
        #[serde(borrow)]
        replies: Option<&'a serde_json::value::RawValue>,
    }
    if status == StatusCode::UNAUTHORIZED {
        return Err(ApiError::Unauthorized);
    }
    let malformed = |error: serde_json::Error| ApiError::Malformed(error.to_string());
    match serde_json::from_slice(body) {
        // In the transport error mode errors come with a status of their own and the same body.
        Ok(Envelope { error: Some(error), .. }) => Err(ApiError::Refused(error)),
        Ok(Envelope { result: Some(result), .. } | Envelope { replies: Some(result), .. }) if status.is_success() => {
            serde_json::from_str(result.get()).map_err(malformed)
        }
        Ok(_) if status.is_success() => Err(ApiError::Malformed("neither result nor error".to_owned())),
        Err(error) if status.is_success() => Err(malformed(error)),
        Ok(_) | Err(_) => {
            let body = String::from_utf8_lossy(body).chars().take(200).collect();
            Err(ApiError::Status { status: status.as_u16(), body })
        }
    }
}

/// An error with what caused it: hyper's own words alone say little.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, body: &str) -> Result<StreamPosition, ApiError> {
        read_answer(StatusCode::from_u16(status).unwrap(), body.as_bytes())
    }

    #[test]
    fn results_and_refusals_come_with_status_200_or_with_one_of_their_own() {
        let position = StreamPosition { offset: 5, epoch: "E".to_owned() };
        assert_eq!(read(200, r#"{"result":{"offset":5,"epoch":"E"}}"#).unwrap(), position);
        assert_eq!(read(200, r#"{"result":{}}"#).unwrap(), StreamPosition::default());
        for status in [200, 404] {
            let refused = read(status, r#"{"error":{"code":102,"message":"unknown channel"}}"#);
            assert!(matches!(refused, Err(ApiError::Refused(error)) if error.code == 102), "{status}");
        }
    }

    #[test]
    fn other_answers_say_what_is_wrong() {
        assert!(matches!(read(401, "no"), Err(ApiError::Unauthorized)));
        assert!(
            matches!(read(502, "<html>bad gateway"), Err(ApiError::Status { status: 502, body }) if body.contains("bad gateway"))
        );
        assert!(matches!(read(200, "<html>"), Err(ApiError::Malformed(_))));
        assert!(matches!(read(200, "{}"), Err(ApiError::Malformed(_))));
    }

    #[test]
    fn only_addresses_of_http_servers_and_keys_that_a_header_carries_are_taken() {
        for url in ["http://127.0.0.1:8000", "https://chat.example.org/", "http://host/prefix"] {
            assert!(ServerApi::new(url, "key").is_ok(), "{url}");
        }
        for url in ["ws://host", "127.0.0.1:8000", "http://", "", "http://host/?a=b"] {
            assert!(matches!(ServerApi::new(url, "key"), Err(AddressError::NotHttp(_))), "{url}");
        }
        assert!(matches!(ServerApi::new("http://host", "line\nbreak"), Err(AddressError::BadKey)));
    }
}

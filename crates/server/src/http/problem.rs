//! Errors of the REST API as RFC 9457 problem details: every handler's error becomes one of these, in one place.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Serialize, Serializer};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tidings_chat::{Ended, NameError, StoreError};
use utoipa::ToSchema;
use uuid::Uuid;

/// A problem (RFC 9457, `application/problem+json`). `code` is stable and for programs, `detail` says what to do next.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Always `about:blank`: the title is the status's own.
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    code: &'static str,
    #[schema(value_type = String)]
    detail: Box<str>,
    /// Names this answer, also in the header `X-Request-Id` and in the server's log; say it to whoever runs the server.
    #[schema(value_type = String)]
    request_id: RequestId,
    /// What is wrong with which field of the request.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: Box<[FieldProblem]>,
    #[serde(skip)]
    retry_after: Option<Duration>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FieldProblem {
    field: &'static str,
    code: &'static str,
    detail: String,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            code,
            detail: detail.into().into(),
            request_id: RequestId::fresh(),
            errors: Box::default(),
            retry_after: None,
        }
    }

    /// 422 with the one field that is wrong.
    pub(crate) fn field(field: &'static str, code: &'static str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let errors = Box::new([FieldProblem { field, code, detail: detail.clone() }]);
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail) }
    }

    /// 429 with the time after which trying again makes sense.
    pub(crate) fn too_many(retry_after: Duration) -> Self {
        let detail = format!("Too many tries. Wait {} s and try again.", retry_after.as_secs().max(1));
        Self { retry_after: Some(retry_after), ..Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail) }
    }

    /// 429 with the time after which another account may be made.
    pub(super) fn too_many_accounts(retry_after: Duration) -> Self {
        let minutes = retry_after.as_secs().div_ceil(60).max(1);
        let detail = format!(
            "Many accounts were made today, from where you are or with invites of this room. Try again in {minutes} \
             minutes, or ask the one who invited you."
        );
        Self { retry_after: Some(retry_after), ..Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_accounts", detail) }
    }

    /// 409 because of the one field.
    pub(super) fn conflict(field: &'static str, code: &'static str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let errors = Box::new([FieldProblem { field, code, detail: detail.clone() }]);
        Self { errors, ..Self::new(StatusCode::CONFLICT, code, detail) }
    }

    /// 503 for a moment: a bounded queue is full.
    pub(crate) fn busy() -> Self {
        let detail = "The server is busy. Try again in a moment.";
        let retry_after = Some(Duration::from_secs(1));
        Self { retry_after, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail) }
    }

    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "There is nothing here, or it is not yours to see.")
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "signed_out", "Sign in first.")
    }

    /// 401 for who comes with a session that was ended: they are told why, since nobody else has its cookie.
    pub(super) fn session_ended(why: Option<Ended>) -> Self {
        let (code, detail) = match why {
            Some(Ended::Password) => {
                ("password_changed", "The password was changed, so this device was signed out. Sign in again.")
            }
            Some(Ended::Elsewhere) => {
                ("signed_out_elsewhere", "This device was signed out from another one. Sign in again.")
            }
            _ => return Self::unauthorized(),
        };
        Self::new(StatusCode::UNAUTHORIZED, code, detail)
    }

    pub(super) fn invite_invalid() -> Self {
        let detail = "This invite link does not work any more. Ask the one who sent it for a new one.";
        Self::new(StatusCode::NOT_FOUND, "invite_invalid", detail)
    }

    pub(super) fn not_allowed() -> Self {
        let detail = "Only an owner of the room or an administrator may do that.";
        Self::new(StatusCode::FORBIDDEN, "not_allowed", detail)
    }

    /// 409: a direct message is no room that this can be done with.
    pub(super) fn is_direct(error: &dyn fmt::Display) -> Self {
        Self::new(StatusCode::CONFLICT, "direct_message", sentence(error))
    }

    /// 423: nothing is written in the room any more.
    pub(super) fn room_archived(error: &dyn fmt::Display) -> Self {
        Self::new(StatusCode::LOCKED, "room_archived", sentence(error))
    }

    /// 422 for the name or topic in `field`.
    pub(super) fn name(field: &'static str, error: &NameError) -> Self {
        let code = match error {
            NameError::Empty => "name_empty",
            NameError::TooLong { .. } => "name_too_long",
            NameError::Control => "name_control_character",
            NameError::Invisible => "name_invisible_character",
            NameError::Marks { .. } => "name_stray_mark",
        };
        Self::field(field, code, sentence(error))
    }

    /// 500; the cause is logged and not told.
    pub(crate) fn internal(cause: &dyn std::fmt::Display) -> Self {
        let problem =
            Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something went wrong on the server. Try again.");
        tracing::error!(request_id = %problem.request_id, %cause, "a request failed");
        problem
    }
}

/// The header that names an answer which is an error.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Names each answer that is an error and has no name yet: those of a protocol that has its own form of errors.
pub(crate) async fn named(mut response: Response) -> Response {
    let status = response.status();
    if (status.is_client_error() || status.is_server_error()) && !response.headers().contains_key(REQUEST_ID) {
        let id = RequestId::fresh();
        tracing::debug!(request_id = %id, status = status.as_u16(), "a request was refused");
        response.headers_mut().extend([id.header()]);
    }
    response
}

/// Names an answer that is an error, for whoever got it and in the log: 32 hexadecimal digits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestId(Uuid);

impl RequestId {
    /// One that no other has. It opens nothing, so it need not cost the system call that secrets cost: each request to the
    /// server API has one.
    pub(crate) fn fresh() -> Self {
        static LETTERS: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        static MADE: AtomicU64 = AtomicU64::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        Self(Uuid::from_u64_pair(LETTERS.hash_one((number, 0)), LETTERS.hash_one((number, 1))))
    }

    pub(crate) fn header(self) -> (HeaderName, HeaderValue) {
        let text = self.to_string();
        // Digits are a header's value, so this cannot fail.
        (REQUEST_ID, HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("")))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_simple().fmt(f)
    }
}

impl Serialize for RequestId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// An error's text as a sentence for people.
pub(super) fn sentence(error: &dyn std::fmt::Display) -> String {
    let text = error.to_string();
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), characters.as_str()),
        None => text,
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Away => {
                let detail = "The server cannot use its database just now. Try again in a moment.";
                Self { detail: detail.into(), ..Self::busy() }
            }
            StoreError::Busy | StoreError::Closed => Self::busy(),
            // Said in the log by the writer, and not for every post.
            StoreError::Full => {
                let detail = "The server's disk is full. Nothing was lost; tell the one who runs it.";
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "storage_full", detail)
            }
            StoreError::Failed(_) => Self::internal(&error),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(&self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.extend([self.request_id.header()]);
        if let Some(after) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
        }
        response
    }
}

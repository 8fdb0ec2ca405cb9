//! The JSON body of a request: parsed once, refused with a problem that says what is wrong.

use super::problem::Problem;
use crate::limits::REQUEST_BODY_BYTES_MAX;
use axum::extract::{FromRequest, OptionalFromRequest, Request};
use axum::http::{StatusCode, header};
use serde::de::DeserializeOwned;

/// A request body of `application/json` (S45: a form of another site cannot send that) and at most
/// [`REQUEST_BODY_BYTES_MAX`] bytes.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if !is_json(&request) {
            return Err(not_json());
        }
        parse(&read_body(request, REQUEST_BODY_BYTES_MAX).await?)
    }
}

/// For a request that may come without one.
impl<T: DeserializeOwned, S: Sync> OptionalFromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Option<Self>, Problem> {
        let is_json = is_json(&request);
        let body = read_body(request, REQUEST_BODY_BYTES_MAX).await?;
        match body.is_empty() {
            true => Ok(None),
            false if is_json => parse(&body).map(Some),
            false => Err(not_json()),
        }
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<JsonBody<T>, Problem> {
    serde_json::from_slice(body).map(JsonBody).map_err(|error| {
        let status = if error.is_data() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::BAD_REQUEST };
        Problem::new(status, "malformed", format!("The body is not what is expected here: {error}."))
    })
}

fn not_json() -> Problem {
    Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "not_json",
        "Send the body as JSON, with the header Content-Type: application/json.",
    )
}

fn is_json(request: &Request) -> bool {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

/// The whole body, or 413 over `bytes_max`.
pub(crate) async fn read_body(request: Request, bytes_max: usize) -> Result<bytes::Bytes, Problem> {
    axum::body::to_bytes(request.into_body(), bytes_max).await.map_err(|error| {
        if std::error::Error::source(&error)
            .is_some_and(<dyn std::error::Error>::is::<http_body_util::LengthLimitError>)
        {
            let detail = format!("The body of a request may have at most {bytes_max} bytes.");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
        } else {
            Problem::new(StatusCode::BAD_REQUEST, "malformed", "The body of the request did not arrive whole.")
        }
    })
}

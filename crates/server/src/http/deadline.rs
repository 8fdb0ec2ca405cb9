//! How long a request may take: what hangs below must not hold requests for ever, or the connections fill up behind it.

use super::problem::Problem;
use crate::limits::REQUEST_TIME_MAX;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::time::Duration;

/// Answers with 503 what has no answer in [`REQUEST_TIME_MAX`]. What the handler has handed over by then, such as a
/// message to the writer, goes on.
pub(crate) async fn answer_in_time(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    within(REQUEST_TIME_MAX, &path, next.run(request)).await.unwrap_or_else(IntoResponse::into_response)
}

/// What `work` gives, if it does so within `time`; 503 otherwise.
pub(crate) async fn within<T>(time: Duration, what: &str, work: impl Future<Output = T>) -> Result<T, Problem> {
    tokio::time::timeout(time, work).await.map_err(|_| {
        tracing::error!(what, after_s = time.as_secs(), "a request was given up: its answer takes too long");
        Problem::busy()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::body::Body;
    use axum::http::StatusCode;
    use axum::middleware::from_fn;
    use axum::routing::get;
    use std::future::pending;
    use tokio::time::Instant;
    use tower::ServiceExt;

    #[tokio::test(start_paused = true)]
    async fn a_store_that_hangs_is_answered_with_503_in_a_stated_time() {
        let app = Router::new().route("/", get(pending::<()>)).layer(from_fn(answer_in_time));
        let began = Instant::now();
        let answer = app.oneshot(axum::http::Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer.headers().contains_key("retry-after"));
        assert_eq!(began.elapsed(), REQUEST_TIME_MAX);
    }
}

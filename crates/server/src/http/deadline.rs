//! How long a request may take: what hangs below must not hold requests for ever, or the connections fill up behind it.
//!
//! The time in which a request waits for its body is the sender's, and `serve` bounds it; only ours is counted here.

use super::problem::Problem;
use crate::limits::REQUEST_TIME_MAX;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body::{Frame, SizeHint};
use std::future::pending;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Answers with 503 what has no answer in [`REQUEST_TIME_MAX`] after its body brought what was waited for. What the handler
/// has handed over by then, such as a message to the writer, goes on.
pub(crate) async fn answer_in_time(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let (ours, mut since) = watch::channel(Some(Instant::now()));
    let mut work = pin!(next.run(request.map(|body| Body::new(Watched { body, ours: Ours(ours) }))));
    loop {
        let began = *since.borrow_and_update();
        let over = async {
            match began {
                Some(began) => sleep_until(began + REQUEST_TIME_MAX).await,
                None => pending().await,
            }
        };
        tokio::select! {
            answer = &mut work => return answer,
            Ok(()) = since.changed() => {}
            () = over => return given_up(&path, REQUEST_TIME_MAX).into_response(),
        }
    }
}

/// Tells since when its reader does not wait for it; `None` while it does.
struct Ours(watch::Sender<Option<Instant>>);

impl Ours {
    fn set(&self, waits: bool) {
        self.0.send_if_modified(|since| {
            let changes = since.is_none() != waits;
            if changes {
                *since = (!waits).then(Instant::now);
            }
            changes
        });
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        self.set(false);
    }
}

struct Watched {
    body: Body,
    ours: Ours,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        self.ours.set(polled.is_pending());
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What `work` gives, if it does so within `time`; 503 otherwise.
pub(crate) async fn within<T>(time: Duration, what: &str, work: impl Future<Output = T>) -> Result<T, Problem> {
    tokio::time::timeout(time, work).await.map_err(|_| given_up(what, time))
}

fn given_up(what: &str, after: Duration) -> Problem {
    tracing::error!(what, after_s = after.as_secs(), "a request was given up: its answer takes too long");
    Problem::busy()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::ADMISSION_TIME_MAX;
    use axum::Router;
    use axum::http::StatusCode;
    use axum::middleware::from_fn;
    use axum::routing::get;
    use axum::routing::post;
    use futures_util::stream;
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

    #[tokio::test(start_paused = true)]
    async fn s13_an_upgrade_whose_session_is_not_found_in_10_seconds_is_503() {
        let began = Instant::now();
        let given_up = within(ADMISSION_TIME_MAX, "upgrade", pending::<()>()).await.unwrap_err();
        assert_eq!(given_up.into_response().status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(began.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_that_a_body_takes_on_a_slow_line_is_not_counted_and_what_comes_after_it_is() {
        let read = async |body: Bytes| body.len().to_string();
        let hang = async |_: Bytes| pending::<()>().await;
        let app = Router::new().route("/read", post(read)).route("/hang", post(hang)).layer(from_fn(answer_in_time));
        for (path, status, took) in [
            ("/read", StatusCode::OK, 100),
            ("/hang", StatusCode::SERVICE_UNAVAILABLE, 100 + REQUEST_TIME_MAX.as_secs()),
        ] {
            let body = Body::from_stream(stream::unfold(0, async |piece| {
                tokio::time::sleep(Duration::from_secs(10)).await;
                (piece < 9).then(|| (Ok::<_, std::io::Error>(Bytes::from_static(b"piece")), piece + 1))
            }));
            let began = Instant::now();
            let answer = app.clone().oneshot(axum::http::Request::post(path).body(body).unwrap()).await.unwrap();
            assert_eq!((answer.status(), began.elapsed().as_secs()), (status, took), "{path}");
        }
    }
}

//! What can be served: closures, async functions, and objects of one's own.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use crate::support::Wire;
use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tidings_serve::{App, RequestBody, Server, service_fn};
use tower::Service;

/// An object that answers by itself.
#[derive(Clone)]
struct Greeter {
    greeting: &'static str,
}

impl Service<Request<RequestBody>> for Greeter {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<RequestBody>) -> Self::Future {
        ready(Ok(Response::new(Full::from(self.greeting))))
    }
}

async fn greet() -> &'static str {
    "from an async function"
}

/// Knows what is served only as [`App`].
async fn answer_of(app: impl App<Full<Bytes>>) -> String {
    let server = Server::bind("127.0.0.1:0").serve(app).await.unwrap();
    let answer = Wire::connect(server.local_addr()).await.get("/").await.text();
    server.close();
    answer
}

#[tokio::test]
async fn c0_4_closures_async_functions_and_objects_are_all_handlers() {
    let greeting = "from a closure";
    let closure = service_fn(move |_| async move { Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(greeting))) });
    assert_eq!(answer_of(closure).await, "from a closure");
    assert_eq!(answer_of(Greeter { greeting: "from an object" }).await, "from an object");

    let server = Server::bind("127.0.0.1:0").serve(Router::new().route("/", get(greet))).await.unwrap();
    assert_eq!(Wire::connect(server.local_addr()).await.get("/").await.text(), "from an async function");
}

#[tokio::test]
async fn c3_9_one_handler_is_swapped_for_another_without_touching_who_serves_it() {
    for greeting in ["good morning", "good night"] {
        assert_eq!(answer_of(Greeter { greeting }).await, greeting);
    }
}

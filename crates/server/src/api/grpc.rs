//! The server API over gRPC: `/tidings.api.ServerApi/{Method}`, and under the name of the service that clients of the
//! Centrifugo API call.
//!
//! The messages are those of HTTP, and so are what is done with them and the limits. An error stands in the answer; in the
//! transport error mode it is the call's status. Requests come over HTTP/2, with TLS or by prior knowledge without.

use super::keys::key_of;
use super::{Call, Perform, batch, errors_in_status, perform};
use crate::app::App;
use crate::http::problem::RequestId;
use crate::limits::API_BODY_BYTES_MAX;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, Version, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tidings_api::{BatchRequest, BatchResponse, Error, Method, Response as _, SERVICES, each_method};
use tonic::server::{Grpc, UnaryService};
use tonic::{Code, Status};
use tonic_prost::ProstCodec;
use tracing::Instrument;

const BATCH: &str = "Batch";

pub(crate) fn routes() -> Router<App> {
    SERVICES.iter().fold(Router::new(), |router, service| router.route(&format!("/{service}/{{method}}"), post(call)))
}

/// A call of any method.
async fn call(State(app): State<App>, Path(method): Path<String>, request: Request) -> Response {
    let is_grpc = request
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    if request.version() != Version::HTTP_2 || !is_grpc {
        let detail = "This is gRPC: it needs HTTP/2 and the content type application/grpc. JSON goes to /api/.\n";
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, detail).into_response();
    }
    let (parts, body) = request.into_parts();
    let id = RequestId::fresh();
    let key = key_of(&app, &parts.headers, &parts.uri);
    app.key_uses.tell(&app, &parts, key.as_deref(), id);
    let Some(key) = key else {
        let detail = "the server API needs its key in the metadata x-api-key, or authorization: apikey KEY; it is in the \
                      data folder, in the file api-key";
        return answered(Status::unauthenticated(detail).into_http(), id);
    };
    let in_status = errors_in_status(&app, &parts.headers);
    let span = tracing::info_span!("api", method, key = %key.name, request_id = %id);
    let edge = Edge { call: Call { app, key }, in_status };
    let response = answer(edge, &method, Request::from_parts(parts, body)).instrument(span).await;
    answered(response, id)
}

/// An error has a name, by which the log knows more of it.
fn answered(response: http::Response<tonic::body::Body>, id: RequestId) -> Response {
    let mut response = response.map(Body::new);
    if response.headers().contains_key(Status::GRPC_STATUS) {
        response.headers_mut().extend([id.header()]);
    }
    response
}

/// Who calls, and how they want to be told of errors.
#[derive(Clone)]
struct Edge {
    call: Call,
    in_status: bool,
}

macro_rules! by_path {
    ($($method:ident $path:literal $variant:ident $request:ident $response:ident $result:ident;)*) => {
        async fn answer(edge: Edge, method: &str, request: Request) -> http::Response<tonic::body::Body> {
            if method == BATCH {
                let codec = ProstCodec::<BatchResponse, BatchRequest>::default();
                return Grpc::new(codec).max_decoding_message_size(API_BODY_BYTES_MAX).unary(edge, request).await;
            }
            match Method::at(method) {
                $(Some(Method::$variant) => {
                    let codec = ProstCodec::<tidings_api::$response, tidings_api::$request>::default();
                    let mut grpc = Grpc::new(codec).max_decoding_message_size(API_BODY_BYTES_MAX);
                    Box::pin(grpc.unary(One(edge), request)).await
                })*
                None => Status::unimplemented("there is no such method in the server API").into_http(),
            }
        }
    };
}
each_method!(by_path);

/// One method.
struct One(Edge);

impl<Q: Perform + 'static> UnaryService<Q> for One {
    type Response = Q::Response;
    type Future = BoxFuture<'static, Result<tonic::Response<Q::Response>, Status>>;

    fn call(&mut self, request: tonic::Request<Q>) -> Self::Future {
        let Edge { call, in_status } = self.0.clone();
        async move {
            match perform(&call, request.into_inner()).await {
                Err(error) if in_status => Err(status_of(error)),
                done => Ok(tonic::Response::new(Q::Response::of(done))),
            }
        }
        .boxed()
    }
}

impl UnaryService<BatchRequest> for Edge {
    type Response = BatchResponse;
    type Future = BoxFuture<'static, Result<tonic::Response<BatchResponse>, Status>>;

    fn call(&mut self, request: tonic::Request<BatchRequest>) -> Self::Future {
        let call = self.call.clone();
        async move { Ok(tonic::Response::new(batch::batch(&call, request.into_inner()).await)) }.boxed()
    }
}

/// The status of an error, in the transport error mode.
fn status_of(error: Error) -> Status {
    let code = match error.code {
        100 => Code::Internal,
        102 => Code::NotFound,
        103 => Code::PermissionDenied,
        104 => Code::Unimplemented,
        106 | 111 => Code::ResourceExhausted,
        108 => Code::FailedPrecondition,
        112 => Code::OutOfRange,
        113 => Code::Aborted,
        _ => Code::InvalidArgument,
    };
    Status::new(code, error.message)
}

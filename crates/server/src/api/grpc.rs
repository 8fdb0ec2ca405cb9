//! The server API over gRPC: `/tidings.api.ServerApi/{Method}`, and under the name of the service that clients of the
//! Centrifugo API call.
//!
//! The messages are those of HTTP, and so are what is done with them and the limits. An error stands in the answer; in the
//! transport error mode it is the call's status. Requests come over HTTP/2, with TLS or by prior knowledge without.

use super::keys::key_of;
use super::{Call, Perform, batch, errors_in_status, perform};
use crate::app::App;
use crate::http::problem::RequestId;
use crate::limits::{API_BODY_BYTES_MAX, BATCH_COMMANDS_MAX};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, Version, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::{Buf as _, Bytes};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use prost::{DecodeError, Message};
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tidings_api::{BatchRequest, BatchResponse, Error, InfoRequest, Method, Response as _, SERVICES, each_method};
use tonic::codec::{Codec, DecodeBuf, Decoder};
use tonic::server::{Grpc, UnaryService};
use tonic::{Code, Status};
use tonic_prost::ProstEncoder;
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
        return answered(unauthenticated().into_http(), id);
    };
    let in_status = errors_in_status(&app, &parts.headers);
    let span = tracing::info_span!("api", method, key = %key.name, request_id = %id);
    let edge = Edge { call: Call { app, key }, in_status, was_read: Arc::default() };
    let was_read = edge.was_read.clone();
    let mut response = answer(edge, &method, Request::from_parts(parts, body)).instrument(span).await;
    let is_too_long = !was_read.load(Ordering::Relaxed) && status_is(&response, Code::OutOfRange);
    if is_too_long {
        // As every other limit; of ours only a position of another epoch is out of range.
        let detail = format!("limit exceeded: a message has at most {API_BODY_BYTES_MAX} bytes");
        response = Status::resource_exhausted(detail).into_http();
    }
    answered(response, id)
}

fn status_is(response: &http::Response<tonic::body::Body>, code: Code) -> bool {
    response.headers().get(Status::GRPC_STATUS).is_some_and(|status| Code::from_bytes(status.as_bytes()) == code)
}

fn unauthenticated() -> Status {
    Status::unauthenticated(
        "the server API needs its key in the metadata x-api-key, or authorization: apikey KEY; it is in the data folder, \
         in the file api-key",
    )
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
struct Edge {
    call: Call,
    in_status: bool,
    /// The message was read and understood: from here on a status is of the method, and not of what carries it.
    was_read: Arc<AtomicBool>,
}

impl Edge {
    /// Who calls, once the message was read. That takes its time, and a key that was taken back meanwhile does nothing.
    fn call(&self) -> Result<Call, Status> {
        self.was_read.store(true, Ordering::Relaxed);
        let Call { app, key } = &self.call;
        let key = app.keys.current(key).ok_or_else(unauthenticated)?;
        Ok(Call { app: app.clone(), key })
    }
}

macro_rules! by_path {
    ($($method:ident $path:literal $variant:ident $request:ident $response:ident $result:ident;)*) => {
        async fn answer(edge: Edge, method: &str, request: Request) -> http::Response<tonic::body::Body> {
            if method == BATCH {
                let codec = Messages::<_, BatchResponse>::read_by(read_batch);
                return Grpc::new(codec).max_decoding_message_size(API_BODY_BYTES_MAX).unary(edge, request).await;
            }
            match Method::at(method) {
                $(Some(Method::$variant) => {
                    // For a key that may not, it is not even read.
                    let may = edge.call.key.may(Method::$variant).is_ok();
                    let read = if may { tidings_api::$request::decode } else { |_| Ok(tidings_api::$request::default()) };
                    let codec = Messages::<_, tidings_api::$response>::read_by(read);
                    let mut grpc = Grpc::new(codec).max_decoding_message_size(API_BODY_BYTES_MAX);
                    Box::pin(grpc.unary(One(edge), request)).await
                })*
                None => Status::unimplemented("there is no such method in the server API").into_http(),
            }
        }
    };
}
each_method!(by_path);

/// Reads messages as it is told, and writes them as prost does.
struct Messages<Q, A> {
    read: Read<Q>,
    answer: PhantomData<A>,
}

type Read<Q> = fn(Bytes) -> Result<Q, DecodeError>;

impl<Q, A> Messages<Q, A> {
    fn read_by(read: Read<Q>) -> Self {
        Self { read, answer: PhantomData }
    }
}

impl<Q: Send + 'static, A: Message + 'static> Codec for Messages<Q, A> {
    type Encode = A;
    type Decode = Q;
    type Encoder = ProstEncoder<A>;
    type Decoder = Reader<Q>;

    fn encoder(&mut self) -> ProstEncoder<A> {
        ProstEncoder::default()
    }

    fn decoder(&mut self) -> Reader<Q> {
        Reader(self.read)
    }
}

struct Reader<Q>(Read<Q>);

impl<Q> Decoder for Reader<Q> {
    type Item = Q;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Q>, Status> {
        let read = (self.0)(from.copy_to_bytes(from.remaining()));
        let refused = |error| Status::invalid_argument(format!("the message is not what this method takes: {error}"));
        read.map(Some).map_err(refused)
    }
}

/// A batch, or how many commands it has when they are too many to be built.
fn read_batch(bytes: Bytes) -> Result<Result<BatchRequest, usize>, DecodeError> {
    /// A batch of which nothing is kept but how many commands there are.
    #[derive(Message)]
    struct Counted {
        #[prost(message, repeated, tag = "1")]
        commands: Vec<InfoRequest>,
    }
    const { assert!(size_of::<InfoRequest>() == 0) };
    let commands = Counted::decode(bytes.clone())?.commands.len();
    if commands > BATCH_COMMANDS_MAX { Ok(Err(commands)) } else { BatchRequest::decode(bytes).map(Ok) }
}

/// One method.
struct One(Edge);

impl<Q: Perform + 'static> UnaryService<Q> for One {
    type Response = Q::Response;
    type Future = BoxFuture<'static, Result<tonic::Response<Q::Response>, Status>>;

    fn call(&mut self, request: tonic::Request<Q>) -> Self::Future {
        let (call, in_status) = (self.0.call(), self.0.in_status);
        async move {
            let call = call?;
            match perform(&call, request.into_inner()).await {
                Err(error) if in_status => Err(status_of(error)),
                done => Ok(tonic::Response::new(Q::Response::of(done))),
            }
        }
        .boxed()
    }
}

impl UnaryService<Result<BatchRequest, usize>> for Edge {
    type Response = BatchResponse;
    type Future = BoxFuture<'static, Result<tonic::Response<BatchResponse>, Status>>;

    fn call(&mut self, request: tonic::Request<Result<BatchRequest, usize>>) -> Self::Future {
        let (call, in_status) = (Self::call(self), self.in_status);
        async move {
            let call = call?;
            let request = match request.into_inner() {
                Ok(request) => Ok(request),
                Err(commands) => batch::check(&call, commands).map(|()| BatchRequest::default()),
            };
            match request {
                Ok(request) => Ok(tonic::Response::new(batch::batch(&call, request).await)),
                Err(error) if in_status => Err(status_of(error)),
                Err(error) => {
                    Ok(tonic::Response::new(BatchResponse { error: Some(error), ..BatchResponse::default() }))
                }
            }
        }
        .boxed()
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

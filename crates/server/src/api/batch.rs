//! `batch`: several calls in one request.

use super::refusal::{other, too_much};
use super::{Call, perform};
use crate::limits::{BATCH_ANSWER_BYTES_MAX, BATCH_AT_ONCE, BATCH_COMMANDS_MAX};
use futures_util::{StreamExt, stream};
use std::sync::atomic::{AtomicUsize, Ordering};
use tidings_api::{BatchRequest, BatchResponse, Command, Error, Reply, each_method};

/// As HTTP and metrics name it.
pub(super) const BATCH: &str = "batch";

/// The refusal of a batch with so many commands. It is asked before they are built: an empty one has three bytes in a body and
/// takes more than a kilobyte.
pub(super) fn check(call: &Call, commands: usize) -> Result<(), Error> {
    if commands <= BATCH_COMMANDS_MAX {
        return Ok(());
    }
    call.app.metrics.api_calls.count(&call.key.name, BATCH, 106);
    Err(too_much(format!("limit exceeded: a batch has at most {BATCH_COMMANDS_MAX} commands; send several")))
}

/// Does all of it; what a call is not allowed is an error in its place. Who asks has it [checked](check).
pub(super) async fn batch(call: &Call, request: BatchRequest) -> BatchResponse {
    let at_once = if request.parallel { BATCH_AT_ONCE } else { 1 };
    let answered = AtomicUsize::new(0);
    let replies = stream::iter(request.commands).map(|command| bounded(call, command, &answered)).buffered(at_once);
    let replies = replies.collect().await;
    let code = if answered.load(Ordering::Relaxed) > BATCH_ANSWER_BYTES_MAX { 106 } else { 0 };
    call.app.metrics.api_calls.count(&call.key.name, BATCH, code);
    BatchResponse { replies, error: None }
}

/// A call of a batch that is not too long yet.
async fn bounded(call: &Call, command: Command, answered: &AtomicUsize) -> Reply {
    let bytes = answered.load(Ordering::Relaxed);
    if bytes > BATCH_ANSWER_BYTES_MAX {
        let message = "limit exceeded: the answers before this one are too long already; ask for this in another batch";
        return Reply { error: Some(too_much(message)), ..Reply::default() };
    }
    let reply = Box::pin(reply_to(call, command)).await;
    answered.fetch_add(prost::Message::encoded_len(&reply), Ordering::Relaxed);
    // Most calls never wait, and others want their turn.
    tokio::task::yield_now().await;
    reply
}

macro_rules! by_method {
    ($($method:ident $path:literal $variant:ident $request:ident $response:ident $result:ident;)*) => {
        async fn reply_to(call: &Call, command: Command) -> Reply {
            let named = 0 $(+ usize::from(command.$method.is_some()))*;
            if named > 1 {
                let message = "bad request: a command names one method; put the others into commands of their own";
                return Reply { error: Some(other(&tidings_protocol::Error::BAD_REQUEST, message)), ..Reply::default() };
            }
            $(
                if let Some(request) = command.$method {
                    return match perform(call, request).await {
                        Ok(result) => Reply { $method: Some(result), ..Reply::default() },
                        Err(error) => Reply { error: Some(error), ..Reply::default() },
                    };
                }
            )*
            let message = "method not found: a command names one method, such as publish, and what it is asked";
            let error = other(&tidings_protocol::Error::METHOD_NOT_FOUND, message);
            Reply { error: Some(error), ..Reply::default() }
        }
    };
}
each_method!(by_method);

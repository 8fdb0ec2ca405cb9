//! `batch`: several calls in one request.

use super::refusal::{other, too_much};
use super::{Call, perform};
use crate::limits::{BATCH_ANSWER_BYTES_MAX, BATCH_AT_ONCE, BATCH_COMMANDS_MAX, PAGE_BYTES_MAX};
use futures_util::{StreamExt, stream};
use std::sync::atomic::{AtomicUsize, Ordering};
use tidings_api::{BatchRequest, BatchResponse, Command, Error, Reply, each_method};
use tokio::sync::Semaphore;

/// As HTTP and metrics name it.
pub(super) const BATCH: &str = "batch";

/// The refusal of a batch with so many commands. It is asked before they are built: an empty one has three bytes in a body and
/// takes more than a kilobyte.
pub(super) fn check(call: &Call, commands: usize) -> Result<(), Error> {
    check_number(call, commands, "a batch", "commands")
}

/// The same of calls that come together in another form.
pub(super) fn check_number(call: &Call, commands: usize, whole: &str, parts: &str) -> Result<(), Error> {
    if commands <= BATCH_COMMANDS_MAX {
        return Ok(());
    }
    call.app.metrics.api_calls.count(&call.key.name, BATCH, 106);
    Err(too_much(format!("limit exceeded: {whole} has at most {BATCH_COMMANDS_MAX} {parts}; send several")))
}

/// Does all of it; what a call is not allowed is an error in its place. Who asks has it [checked](check).
pub(super) async fn batch(call: &Call, request: BatchRequest) -> BatchResponse {
    let at_once = if request.parallel { BATCH_AT_ONCE } else { 1 };
    let answers = Answers { bytes: AtomicUsize::new(0), parts: Semaphore::new(PARTS as usize) };
    let replies = stream::iter(request.commands).map(|command| bounded(call, command, &answers)).buffered(at_once);
    let replies = replies.collect().await;
    let code = if answers.are_too_long() { 106 } else { 0 };
    call.app.metrics.api_calls.count(&call.key.name, BATCH, code);
    BatchResponse { replies, error: None }
}

/// What a batch has answered, and what those of its calls may answer that are carried out.
struct Answers {
    bytes: AtomicUsize,
    parts: Semaphore,
}

/// Parts of [`BATCH_ANSWER_BYTES_MAX`]: a page of 512 KiB as JSON, with the names of its fields, takes one.
const PARTS: u32 = 4;
const _: () = assert!(BATCH_ANSWER_BYTES_MAX / PARTS as usize >= 2 * PAGE_BYTES_MAX);

impl Answers {
    fn are_too_long(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) > BATCH_ANSWER_BYTES_MAX
    }
}

/// How many parts the answer of a call may take at most: none where it is a line.
fn parts(command: &Command) -> u32 {
    let Command { channels, presence, broadcast, publish_pattern, user_status, .. } = command;
    let Command { history, connections, blocked, .. } = command;
    let is_long = channels.is_some() || presence.is_some() || broadcast.is_some() || publish_pattern.is_some();
    let is_page = history.is_some() || connections.is_some() || blocked.is_some();
    if is_long || user_status.is_some() { PARTS } else { u32::from(is_page) }
}

/// A call of a batch that is not too long yet. Those that are carried out at once answer no more together than the whole may.
async fn bounded(call: &Call, command: Command, answers: &Answers) -> Reply {
    let _parts = answers.parts.acquire_many(parts(&command)).await;
    if answers.are_too_long() {
        let message = "limit exceeded: the answers before this one are too long already; ask for this in another batch";
        return Reply { error: Some(too_much(message)), ..Reply::default() };
    }
    let reply = Box::pin(reply_to(call, command)).await;
    answers.bytes.fetch_add(prost::Message::encoded_len(&reply), Ordering::Relaxed);
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

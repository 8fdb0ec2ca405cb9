//! `tidings call`: any method of the server API by its name, for what has no command of its own and for scripts.

use super::remote::{Remote, print, text_of};
use crate::cli::CallArgs;
use crate::plain::plain_json;
use anyhow::Context;
use tidings_protocol::Payload;

pub(crate) async fn run(args: CallArgs) -> anyhow::Result<()> {
    let body = Payload::parse(text_of(&args.body)?.as_bytes()).context("the body must be one JSON object")?;
    let answer = Remote::find(&args.remote)?.api.call_by_name(&args.method, &body).await;
    let answer = answer.with_context(|| format!("calling {}", args.method))?;
    print(&format!("{}\n", plain_json(answer.as_json().unwrap_or_default())))
}

//! `tidings reload`: has a running server read its configuration and keys again.

use super::remote::answer;
use crate::cli::AnswerArgs;
use crate::plain::plain;
use tidings_api::{ReloadRequest, ReloadResult};

pub(crate) async fn run(args: AnswerArgs) -> anyhow::Result<()> {
    answer(&args, &ReloadRequest {}, |ReloadResult { changed, at_next_start }| {
        let listed = |keys: &[String]| plain(&keys.join(", "));
        match (changed.is_empty(), at_next_start.is_empty()) {
            (true, true) => "Nothing has changed.\n".to_owned(),
            (false, true) => format!("Changed, and in effect: {}.\n", listed(changed)),
            (true, false) => format!("Changed, and in effect from the next start: {}.\n", listed(at_next_start)),
            (false, false) => format!(
                "Changed, and in effect: {}.\nChanged, and in effect from the next start: {}.\n",
                listed(changed),
                listed(at_next_start)
            ),
        }
    })
    .await
}

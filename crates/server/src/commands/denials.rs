//! `tidings block`, `unblock`, `blocked` and `revoke`: whom and what client tokens are refused for.

use super::remote::{answer, ends, more, now, span};
use super::table::Table;
use crate::cli::{BlockArgs, BlockedArgs, PageArgs, RevokeArgs, UnblockArgs};
use crate::plain::plain;
use tidings_api::{
    BlockRequest, BlockedRequest, BlockedResult, Denial, RevokeTokenRequest, RevokeUserRequest, UnblockRequest,
};

pub(crate) async fn block(args: BlockArgs) -> anyhow::Result<()> {
    let request = BlockRequest { user: args.user.clone(), expire_at: ends(args.lasts) };
    answer(&args.answer, &request, |_| format!("{} is blocked {}.\n", plain(&args.user), lasting(args.lasts))).await
}

pub(crate) async fn unblock(args: UnblockArgs) -> anyhow::Result<()> {
    let request = UnblockRequest { user: args.user.clone(), ..UnblockRequest::default() };
    answer(&args.answer, &request, |result| {
        let what = if result.was_blocked { "is blocked no more" } else { "was not blocked" };
        format!("{} {what}.\n", plain(&args.user))
    })
    .await
}

pub(crate) async fn list(args: BlockedArgs) -> anyhow::Result<()> {
    let PageArgs { limit, after } = args.page;
    answer(&args.answer, &BlockedRequest { limit, cursor: after }, table).await
}

fn table(result: &BlockedResult) -> String {
    let mut table = Table::new(["REFUSED", "WHO OR WHAT", "CHANNEL", "SINCE", "STILL FOR"]);
    let now = now();
    for Denial { user, uid, channel, issued_before, created, expire_at } in &result.denials {
        let (what, name) = match (&**uid, *issued_before) {
            ("", 0) => ("user", user),
            ("", _) => ("tokens of", user),
            _ => ("token", uid),
        };
        let still = if *expire_at == 0 { "ever".to_owned() } else { span(expire_at - now) };
        table.row([what, name, channel, &format!("{} ago", span(now - created)), &still]);
    }
    if table.is_empty() {
        return "Nobody is blocked, and nothing is revoked.\n".to_owned();
    }
    format!("{table}{}", more(&result.cursor))
}

pub(crate) async fn revoke(args: RevokeArgs) -> anyhow::Result<()> {
    let (expire_at, lasting) = (ends(args.lasts), lasting(args.lasts));
    if let Some(uid) = args.token {
        let request = RevokeTokenRequest { uid: uid.clone(), expire_at };
        return answer(&args.answer, &request, |_| format!("The token {} is revoked {lasting}.\n", plain(&uid))).await;
    }
    let user = args.user.unwrap_or_default();
    let RevokeArgs { channel, issued_before, .. } = args;
    let request = RevokeUserRequest { user: user.clone(), channel, issued_before, expire_at };
    answer(&args.answer, &request, |_| format!("The tokens of {} until then are revoked {lasting}.\n", plain(&user)))
        .await
}

fn lasting(lasts: Option<u32>) -> String {
    lasts.map_or_else(|| "for ever".to_owned(), |seconds| format!("for {}", span(seconds.into())))
}

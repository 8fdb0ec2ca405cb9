//! `tidings connections`, `disconnect` and `refresh`: who is connected, and for how long.

use super::remote::{answer, counted, ends, more, now, span, watch};
use super::table::Table;
use crate::cli::{ConnectionsArgs, DisconnectArgs, PageArgs, RefreshArgs, WhoseArgs};
use tidings_api::{ConnectionsRequest, ConnectionsResult, Disconnect, DisconnectRequest, RefreshRequest};

pub(crate) async fn list(args: ConnectionsArgs) -> anyhow::Result<()> {
    let ConnectionsArgs { user, channel, client, chat, page: PageArgs { limit, after }, .. } = args;
    let request =
        ConnectionsRequest { user, channel, client, chat, limit, cursor: after, ..ConnectionsRequest::default() };
    if args.watch {
        watch(&args.answer, &request, |result| table(&result)).await
    } else {
        answer(&args.answer, &request, |result| table(&result)).await
    }
}

fn table(result: &ConnectionsResult) -> String {
    let mut table = Table::new(["CLIENT", "USER", "ADDRESS", "TRANSPORT", "FOR", "QUEUED", "CHANNELS", "PROGRAM"]);
    let now = now();
    for (client, one) in &result.connections {
        let user = match &*one.user {
            "" => "-".to_owned(),
            user if one.person => format!("{user} (chat)"),
            user => user.to_owned(),
        };
        table.row([
            client,
            &user,
            &one.address,
            &format!("{}/{}", one.transport, one.protocol),
            &span(now - one.since / 1_000),
            &one.queued_bytes.to_string(),
            &one.channels.join(" "),
            &one.user_agent,
        ]);
    }
    if table.is_empty() {
        return "Nobody like that is connected.\n".to_owned();
    }
    format!("{table}{}", more(&result.cursor))
}

pub(crate) async fn disconnect(args: DisconnectArgs) -> anyhow::Result<()> {
    let WhoseArgs { user, client, session } = args.whose;
    let disconnect = Some(Disconnect { code: args.code, reason: args.reason });
    let request = DisconnectRequest { user, client, session, disconnect, whitelist: args.except };
    answer(&args.answer, &request, |result| {
        format!("Closed {}.\n", counted(result.num_clients, "connection", "connections"))
    })
    .await
}

pub(crate) async fn refresh(args: RefreshArgs) -> anyhow::Result<()> {
    let WhoseArgs { user, client, session } = args.whose;
    let (expired, expire_at) = (args.expired, ends(args.lasts));
    let request = RefreshRequest { user, client, session, expired, expire_at, ..RefreshRequest::default() };
    let when = match args.lasts {
        _ if args.expired => "and they were told to come back with another token".to_owned(),
        Some(seconds) => format!("which expires after {}", span(seconds.into())),
        None => "which expires no more".to_owned(),
    };
    answer(&args.answer, &request, |result| {
        format!("Reached {}, {when}.\n", counted(result.num_clients, "connection", "connections"))
    })
    .await
}

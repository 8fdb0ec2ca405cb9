//! `tidings presence` and `status`: who is here.

use super::remote::{answer, counted};
use super::table::Table;
use crate::cli::{PresenceArgs, StatusArgs};
use tidings_api::{PresenceRequest, PresenceStatsRequest, UserStatusRequest};

pub(crate) async fn run(args: PresenceArgs) -> anyhow::Result<()> {
    if args.count {
        let request = PresenceStatsRequest { channel: args.channel };
        return answer(&args.answer, &request, |stats| {
            let clients = counted(stats.num_clients, "connection", "connections");
            format!("{clients} of {}\n", counted(stats.num_users, "user", "users"))
        })
        .await;
    }
    answer(&args.answer, &PresenceRequest { channel: args.channel }, |result| {
        let mut table = Table::new(["CLIENT", "USER", "CONNECTION", "HERE"]);
        for (client, info) in &result.presence {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let user = if info.user.is_empty() { "-" } else { &info.user };
            table.row([client, user, &text(&info.conn_info), &text(&info.chan_info)]);
        }
        if table.is_empty() { "Nobody is there.\n".to_owned() } else { table.to_string() }
    })
    .await
}

pub(crate) async fn status(args: StatusArgs) -> anyhow::Result<()> {
    answer(&args.answer, &UserStatusRequest { users: args.users }, |result| {
        let mut table = Table::new(["USER", "CONNECTIONS", "BLOCKED"]);
        for status in &result.statuses {
            let blocked = if status.blocked { "yes" } else { "no" };
            table.row([&status.user, &status.num_clients.to_string(), blocked]);
        }
        table.to_string()
    })
    .await
}

//! `tidings info`: how a running server is.

use super::remote::{answer, span};
use super::table::Table;
use crate::cli::AnswerArgs;
use tidings_api::InfoRequest;

pub(crate) async fn run(args: AnswerArgs) -> anyhow::Result<()> {
    answer(&args, &InfoRequest {}, |result| {
        let mut table =
            Table::new(["NODE", "VERSION", "UP FOR", "CONNECTIONS", "USERS", "CHANNELS", "SUBSCRIPTIONS", "MEMORY"]);
        for node in &result.nodes {
            let memory = node.process.as_ref().map_or_else(String::new, |process| format!("{} MiB", process.rss >> 20));
            let numbers = [node.num_clients, node.num_users, node.num_channels, node.num_subs].map(|n| n.to_string());
            let [clients, users, channels, subscriptions] = &numbers;
            let up = span(node.uptime.into());
            table.row([&node.name, &node.version, &up, clients, users, channels, subscriptions, &memory]);
        }
        table.to_string()
    })
    .await
}

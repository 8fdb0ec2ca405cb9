//! `tidings history` and `history-remove`: what was published in a channel.

use super::remote::answer;
use super::table::Table;
use crate::cli::{HistoryArgs, HistoryRemoveArgs};
use crate::plain::plain;
use tidings_api::{HistoryRemoveRequest, HistoryRequest, HistoryResult, StreamPosition};

pub(crate) async fn print(args: HistoryArgs) -> anyhow::Result<()> {
    let since = args.since.map(|offset| StreamPosition { offset, epoch: String::new() });
    let request = HistoryRequest { channel: args.channel, limit: args.limit, since, reverse: !args.oldest_first };
    answer(&args.answer, &request, table).await
}

fn table(result: &HistoryResult) -> String {
    let mut table = Table::new(["OFFSET", "BY", "TAGS", "DATA"]);
    for one in &result.publications {
        let by = one.info.as_ref().map_or("", |info| &info.user);
        let tags: Vec<_> = one.tags.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let data = match &*one.b64data {
            "" => String::from_utf8_lossy(&one.data).into_owned(),
            bytes => format!("base64 {bytes}"),
        };
        table.row([&one.offset.to_string(), by, &tags.join(" "), &data]);
    }
    let top = format!("The stream stands at offset {} of epoch {}.\n", result.offset, plain(&result.epoch));
    if table.is_empty() { top } else { format!("{table}{top}") }
}

pub(crate) async fn remove(args: HistoryRemoveArgs) -> anyhow::Result<()> {
    let request = HistoryRemoveRequest { channel: args.channel };
    answer(&args.answer, &request, |_| "What was published there is forgotten; its numbers go on.\n".to_owned()).await
}

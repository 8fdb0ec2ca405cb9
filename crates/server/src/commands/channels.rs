//! `tidings channels`: which channels somebody is subscribed to.

use super::remote::{answer, more, watch};
use super::table::Table;
use crate::cli::{ChannelsArgs, PageArgs};
use tidings_api::{ChannelsRequest, ChannelsResult};

pub(crate) async fn run(args: ChannelsArgs) -> anyhow::Result<()> {
    let PageArgs { limit, after } = args.page;
    let request = ChannelsRequest { pattern: args.pattern, limit, cursor: after };
    if args.watch {
        watch(&args.answer, &request, |result| table(&result)).await
    } else {
        answer(&args.answer, &request, |result| table(&result)).await
    }
}

fn table(result: &ChannelsResult) -> String {
    let mut table = Table::new(["CHANNEL", "CLIENTS"]);
    for (channel, info) in &result.channels {
        table.row([channel, &info.num_clients.to_string()]);
    }
    if table.is_empty() {
        return "Nobody is subscribed to a channel like that.\n".to_owned();
    }
    format!("{table}{}", more(&result.cursor))
}

//! `tidings subscribe` and `unsubscribe`: what connections are subscribed to.

use super::remote::{answer, counted, ends, json};
use crate::cli::{SubscribeArgs, UnsubscribeArgs, WhoseArgs};
use bytes::Bytes;
use tidings_api::{SubscribeRequest, UnsubscribeRequest};

pub(crate) async fn subscribe(args: SubscribeArgs) -> anyhow::Result<()> {
    let WhoseArgs { user, client, session } = args.whose;
    let value = |what: &str, text: Option<String>| text.map_or(Ok(Bytes::new()), |text| json(what, &text));
    let request = SubscribeRequest {
        channel: args.channel,
        user,
        client,
        session,
        info: value("--info", args.info)?,
        data: value("--data", args.data)?,
        expire_at: ends(args.lasts),
        ..SubscribeRequest::default()
    };
    answer(&args.answer, &request, |result| {
        format!("Subscribed {}.\n", counted(result.num_clients, "connection", "connections"))
    })
    .await
}

pub(crate) async fn unsubscribe(args: UnsubscribeArgs) -> anyhow::Result<()> {
    let WhoseArgs { user, client, session } = args.whose;
    let request = UnsubscribeRequest { channel: args.channel, user, client, session };
    answer(&args.answer, &request, |result| {
        format!("Ended {}.\n", counted(result.num_clients, "subscription", "subscriptions"))
    })
    .await
}

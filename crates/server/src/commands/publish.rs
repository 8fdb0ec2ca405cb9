//! `tidings publish`: puts one JSON value into channels of a running server.

use super::remote::{answer, counted, json, text_of};
use crate::cli::PublishArgs;
use crate::plain::plain;
use std::fmt::Write;
use tidings_api::{BroadcastRequest, PublishPatternRequest, PublishRequest, PublishResponse, PublishResult};

pub(crate) async fn run(args: PublishArgs) -> anyhow::Result<()> {
    let text = text_of(&args.data)?;
    let (data, b64data) = if args.b64 {
        (bytes::Bytes::new(), text.trim().to_owned())
    } else {
        (json("the data", &text)?, String::new())
    };
    let PublishArgs { channel, also, delta, skip_history, idempotency_key, .. } = args;
    let tags = args.tags.into_iter().collect();
    if args.pattern {
        let request = PublishPatternRequest {
            pattern: channel,
            data,
            b64data,
            tags,
            delta,
            skip_history,
            idempotency_key,
            ..PublishPatternRequest::default()
        };
        return answer(&args.answer, &request, |result| {
            let mut text = format!("Published in {}.\n", counted(result.num_channels, "channel", "channels"));
            for (channel, error) in &result.failed {
                writeln!(text, "Not in {}: {}", plain(channel), plain(&error.to_string()))
                    .expect("a string takes everything");
            }
            text
        })
        .await;
    }
    if also.is_empty() {
        let request = PublishRequest {
            channel,
            data,
            b64data,
            tags,
            delta,
            skip_history,
            idempotency_key,
            ..PublishRequest::default()
        };
        return answer(&args.answer, &request, position).await;
    }
    let channels: Vec<_> = std::iter::once(channel).chain(also).collect();
    let request = BroadcastRequest {
        channels: channels.clone(),
        data,
        b64data,
        tags,
        delta,
        skip_history,
        idempotency_key,
        ..BroadcastRequest::default()
    };
    answer(&args.answer, &request, |result| {
        let said = |(channel, response): (&String, &PublishResponse)| match response {
            PublishResponse { error: Some(error), .. } => {
                format!("{}: not published, {}\n", plain(channel), plain(&error.to_string()))
            }
            PublishResponse { result, .. } => {
                format!("{}: {}", plain(channel), in_line(&result.clone().unwrap_or_default()))
            }
        };
        channels.iter().zip(&result.responses).map(said).collect()
    })
    .await
}

/// Nothing where nothing is kept.
fn position(result: &PublishResult) -> String {
    if result.epoch.is_empty() {
        String::new()
    } else {
        format!("offset {} epoch {}\n", result.offset, plain(&result.epoch))
    }
}

fn in_line(result: &PublishResult) -> String {
    if result.epoch.is_empty() { "published\n".to_owned() } else { position(result) }
}

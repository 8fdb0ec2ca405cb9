//! What the commands that ask a running server share: where it is, asking it, and printing what it says.

use crate::cli::{AnswerArgs, RemoteArgs};
use crate::config::Config;
use crate::plain::{plain, plain_json, without_password};
use crate::secrets::API_KEY;
use anyhow::Context;
use std::io::{IsTerminal, Read, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tidings_api::Request;
use tidings_client::ServerApi;
use tidings_protocol::Payload;

/// How often `--watch` looks again.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);

/// A running server.
pub(super) struct Remote {
    pub(super) api: ServerApi,
    address: String,
}

impl Remote {
    pub(super) fn find(args: &RemoteArgs) -> anyhow::Result<Self> {
        let config = Config::load_beside(&args.common)?;
        let address = args.server.clone().unwrap_or_else(|| config.server_url());
        let api = ServerApi::new(&address, API_KEY.load(&config.storage.data_dir, config.secret_bytes_min())?)?;
        Ok(Self { api, address })
    }

    pub(super) async fn ask<Q: Request>(&self, request: &Q) -> anyhow::Result<Q::Result> {
        let answer = self.api.call(request).await;
        answer.with_context(|| format!("asking {} for {}", without_password(&self.address), Q::METHOD))
    }
}

/// Asks, and prints the answer: as it came, or in words.
pub(super) async fn answer<Q: Request>(
    args: &AnswerArgs,
    request: &Q,
    in_words: impl FnOnce(&Q::Result) -> String,
) -> anyhow::Result<()> {
    let answer = Remote::find(&args.remote)?.ask(request).await?;
    print(&if args.json { json_of(&answer)? } else { in_words(&answer) })
}

/// The same again and again, until interrupted: on a terminal each in the place of the one before.
pub(super) async fn watch<Q: Request>(
    args: &AnswerArgs,
    request: &Q,
    in_words: impl Fn(&Q::Result) -> String,
) -> anyhow::Result<()> {
    let remote = Remote::find(&args.remote)?;
    let redraws = std::io::stdout().is_terminal() && !args.json;
    loop {
        let answer = remote.ask(request).await?;
        let text = if args.json { json_of(&answer)? } else { in_words(&answer) };
        if redraws {
            // To the upper left corner, and clear what is below.
            print(&format!("\x1b[H\x1b[2J{text}"))?;
        } else {
            print(&text)?;
        }
        tokio::time::sleep(WATCH_INTERVAL).await;
    }
}

fn json_of<R: serde::Serialize>(answer: &R) -> anyhow::Result<String> {
    Ok(plain_json(&serde_json::to_string(answer)?) + "\n")
}

/// Whoever reads may have gone, as `head` does: then nothing is wrong.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        written => Ok(written?),
    }
}

/// What an argument says, or standard input where it is `-`.
pub(super) fn text_of(argument: &str) -> anyhow::Result<String> {
    if argument != "-" {
        return Ok(argument.to_owned());
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("reading standard input")?;
    Ok(text)
}

/// One JSON value of the command line, as the API carries it.
pub(super) fn json(what: &str, text: &str) -> anyhow::Result<bytes::Bytes> {
    let payload = Payload::parse(text.as_bytes())
        .with_context(|| format!("{what} must be one JSON value; a text needs its quotes, such as '\"hello\"'"))?;
    Ok(bytes::Bytes::copy_from_slice(payload.as_bytes()))
}

/// The time in seconds since 1970 at which something ends that lasts so long from now; 0: never.
pub(super) fn ends(lasts: Option<u32>) -> i64 {
    lasts.map_or(0, |seconds| now() + i64::from(seconds))
}

/// Seconds since 1970.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// A span of time in its two largest units.
pub(super) fn span(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// So many of something, in words.
pub(super) fn counted(number: u32, one: &str, many: &str) -> String {
    match number {
        0 => format!("no {one}"),
        1 => format!("1 {one}"),
        _ => format!("{number} {many}"),
    }
}

/// What follows a page that is not the last.
pub(super) fn more(cursor: &str) -> String {
    if cursor.is_empty() { String::new() } else { format!("There are more: --after {}\n", plain(cursor)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_said_in_its_two_largest_units() {
        let said = [0, 59, 61, 3_599, 3_600, 86_400 + 3_600].map(span);
        assert_eq!(said, ["0 s", "59 s", "1 min 1 s", "59 min 59 s", "1 h 0 min", "1 d 1 h"]);
    }
}

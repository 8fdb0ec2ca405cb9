//! Load connections: as little as a connection can be, so that the figures show the server.

use std::sync::Arc;

use anyhow::{Context, Result, anyhow, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use tidings_protocol::{Command, ConnectRequest, Reply, Request, Response, SubscribeRequest};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::ENCODING;
use crate::limits;
use crate::target::Target;
use crate::wire::Wire;

/// Opens connections, a bounded number at the same time, each subscribed to `channel` if there is one. Each is a user
/// of its own, named after its `role`.
pub(crate) async fn open(
    target: &Arc<Target>,
    role: &str,
    count: u32,
    channel: Option<&str>,
    show: bool,
) -> Result<Vec<Wire>> {
    let bar = progress(count.into(), "connecting  {bar:40} {pos}/{len}", show);
    let turns = Arc::new(Semaphore::new(limits::OPENING_MAX));
    let mut opening = JoinSet::new();
    for number in 0..count {
        let (target, turns, bar) = (Arc::clone(target), Arc::clone(&turns), bar.clone());
        let (user, channel) = (format!("bench-{role}-{number}"), channel.map(str::to_owned));
        opening.spawn(async move {
            let _turn = turns.acquire().await.context("turns do not end")?;
            let wire = open_one(&target, &user, channel.as_deref()).await;
            bar.inc(1);
            wire.with_context(|| format!("opening connection {} of {count}", number + 1))
        });
    }
    let mut wires = Vec::with_capacity(count as usize);
    while let Some(opened) = opening.join_next().await {
        wires.push(opened.context("a connecting task failed")??);
    }
    bar.finish_and_clear();
    Ok(wires)
}

/// Opens one connection within [`limits::OPEN_TIME`].
async fn open_one(target: &Target, user: &str, channel: Option<&str>) -> Result<Wire> {
    let token = target.token(user)?;
    timeout(limits::OPEN_TIME, async {
        let mut wire = Wire::dial(&target.url).await?;
        let connect = ConnectRequest { name: "bench".to_owned(), ..ConnectRequest::with_token(token) };
        ask(&mut wire, 1, Request::Connect(Box::new(connect))).await.context("connect")?;
        if let Some(channel) = channel {
            let subscribe = SubscribeRequest { channel: channel.to_owned(), ..SubscribeRequest::default() };
            ask(&mut wire, 2, Request::Subscribe(Box::new(subscribe))).await.context("subscribe")?;
        }
        Ok(wire)
    })
    .await
    .map_err(|_| anyhow!("not done within {} s", limits::OPEN_TIME.as_secs()))?
}

async fn ask(wire: &mut Wire, id: u32, request: Request) -> Result<Response> {
    wire.send(ENCODING.encode_commands(&[Command::new(id, request)])?).await?;
    loop {
        let message = wire.receive().await?;
        for reply in ENCODING.replies(message.as_bytes())? {
            match reply {
                Reply::Answer { id: answered, result } if answered == id => {
                    return result.map_err(|error| anyhow!("the server answered: {error}"));
                }
                Reply::Ping => wire.send(ENCODING.encode_commands(&[Command::PONG])?).await?,
                _ => {}
            }
        }
    }
}

/// The lines of one message: answers pings and gives back the others.
pub(crate) async fn without_pings<'m>(wire: &mut Wire, message: &'m str) -> Result<impl Iterator<Item = &'m str>> {
    for _ in message.split('\n').filter(|line| is_ping(line)) {
        wire.send(ENCODING.encode_commands(&[Command::PONG])?).await?;
    }
    Ok(message.split('\n').filter(|line| !is_ping(line)))
}

pub(crate) fn is_ping(line: &str) -> bool {
    line == "{}"
}

/// Fails when a line is a refusal.
pub(crate) fn ensure_not_refused(line: &str) -> Result<()> {
    ensure!(
        !line.contains(r#","error":{"code":111,"#),
        "the server's limit of commands per client was reached: use more --publishers"
    );
    ensure!(!line.contains(r#","error":{"#), "the server refused a publication: {line}");
    Ok(())
}

pub(crate) fn progress(length: u64, template: &str, show: bool) -> ProgressBar {
    let bar = if show { ProgressBar::new(length) } else { ProgressBar::hidden() };
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// Lets the server finish what connecting or disconnecting left to do.
pub(crate) async fn settle() {
    tokio::time::sleep(limits::SETTLE_TIME).await;
}

//! Load connections: as little as a connection can be, so that the figures show the server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use http::HeaderValue;
use http::header::{COOKIE, ORIGIN};
use indicatif::{ProgressBar, ProgressStyle};
use tidings_protocol::{Command, ConnectRequest, Reply, Request, SubscribeRequest};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::ENCODING;
use crate::cli::Transport;
use crate::limits;
use crate::stream_wire::{StreamWire, Uplinks};
use crate::target::Target;
use crate::wire::Wire;

/// Who a load connection is.
pub(crate) enum Who {
    /// A user of an application, by a client token.
    Token(String),
    /// A person of the chat, by the cookie of a session.
    Session(String),
}

impl Who {
    /// So many users, each named after its role.
    pub(crate) fn users(target: &Target, role: &str, count: u32) -> Result<Vec<Who>> {
        (0..count).map(|number| Ok(Who::Token(target.token(&format!("bench-{role}-{number}"))?))).collect()
    }
}

/// A connection that is open, and how long that took.
pub(crate) struct Opened {
    pub(crate) wire: Wire,
    pub(crate) took: Duration,
}

/// Opens one connection for each of `who`, a bounded number at the same time; the number of each gives its channels. They
/// come back in their order.
pub(crate) async fn open(
    target: &Arc<Target>,
    who: Vec<Who>,
    channels: impl Fn(usize) -> Vec<String>,
    show: bool,
) -> Result<Vec<Opened>> {
    open_over(target, Transport::Websocket, who, channels, show).await
}

/// As [`open`], over any transport.
pub(crate) async fn open_over(
    target: &Arc<Target>,
    transport: Transport,
    who: Vec<Who>,
    channels: impl Fn(usize) -> Vec<String>,
    show: bool,
) -> Result<Vec<Opened>> {
    let over = match transport {
        Transport::Websocket => None,
        stream => Some((stream, Arc::new(Uplinks::dial(target.authority()?).await?))),
    };
    let count = who.len();
    let bar = progress(count as u64, "connecting  {bar:40} {pos}/{len}", show);
    let turns = Arc::new(Semaphore::new(limits::OPENING_MAX));
    let mut opening = JoinSet::new();
    for (number, who) in who.into_iter().enumerate() {
        let (target, turns, bar, channels) = (Arc::clone(target), Arc::clone(&turns), bar.clone(), channels(number));
        let over = over.clone();
        opening.spawn(async move {
            let _turn = turns.acquire().await.context("turns do not end")?;
            let opened = open_one(&target, over, who, channels).await;
            bar.inc(1);
            anyhow::Ok((number, opened.with_context(|| format!("opening connection {} of {count}", number + 1))?))
        });
    }
    let mut all: Vec<Option<Opened>> = (0..count).map(|_| None).collect();
    while let Some(opened) = opening.join_next().await {
        let (number, opened) = opened.context("a connecting task failed")??;
        all[number] = Some(opened);
    }
    bar.finish_and_clear();
    Ok(all.into_iter().flatten().collect())
}

/// As [`open`], for those who are in no channel.
pub(crate) async fn open_alone(target: &Arc<Target>, who: Vec<Who>, show: bool) -> Result<Vec<Wire>> {
    Ok(open(target, who, |_| Vec::new(), show).await?.into_iter().map(|opened| opened.wire).collect())
}

/// Opens one connection within [`limits::OPEN_TIME`].
async fn open_one(
    target: &Target,
    over: Option<(Transport, Arc<Uplinks>)>,
    who: Who,
    channels: Vec<String>,
) -> Result<Opened> {
    let (options, token) = match who {
        Who::Token(token) => (target.options(), token),
        Who::Session(cookie) => {
            let origin = format!("http://{}", target.authority()?);
            let options = target.options().header(ORIGIN, HeaderValue::try_from(origin)?);
            (options.header(COOKIE, HeaderValue::try_from(cookie)?), String::new())
        }
    };
    let start = Instant::now();
    let opening = async {
        let connect = ConnectRequest { name: "bench".to_owned(), ..ConnectRequest::with_token(token) };
        let connect = Command::new(1, Request::Connect(Box::new(connect)));
        let mut wire = match over {
            None => {
                let mut wire = Wire::dial(&target.url, options).await?;
                ask(&mut wire, 1, &[connect]).await.context("connect")?;
                wire
            }
            Some((transport, uplinks)) => {
                let connect = ENCODING.encode_commands(&[connect])?;
                let stream = StreamWire::open(target.authority()?, transport, &connect, uplinks).await;
                Wire::Stream(Box::new(stream.context("connect")?))
            }
        };
        if !channels.is_empty() {
            // All in one message, as a client that comes back sends them.
            let subscribe = |channel| SubscribeRequest { channel, ..SubscribeRequest::default() };
            let subscribes = channels.into_iter().map(|channel| Request::Subscribe(Box::new(subscribe(channel))));
            let commands: Vec<Command> = (2..).zip(subscribes).map(|(id, request)| Command::new(id, request)).collect();
            ask(&mut wire, commands.len(), &commands).await.context("subscribe")?;
        }
        anyhow::Ok(wire)
    };
    let wire = timeout(limits::OPEN_TIME, opening)
        .await
        .map_err(|_| anyhow!("not done within {} s", limits::OPEN_TIME.as_secs()))??;
    Ok(Opened { wire, took: start.elapsed() })
}

/// Sends commands in one message and reads until so many are answered with yes.
async fn ask(wire: &mut Wire, mut unanswered: usize, commands: &[Command]) -> Result<()> {
    wire.send(ENCODING.encode_commands(commands)?).await?;
    while unanswered > 0 {
        let message = wire.receive().await?;
        for reply in ENCODING.replies(message.as_bytes())? {
            match reply {
                Reply::Answer { result, .. } => {
                    result.map_err(|error| anyhow!("the server answered: {error}"))?;
                    unanswered -= 1;
                }
                Reply::Ping => wire.send(ENCODING.encode_commands(&[Command::PONG])?).await?,
                Reply::Push(_) => {}
            }
        }
    }
    Ok(())
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

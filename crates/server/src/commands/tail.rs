//! `tidings tail`: prints what is published into a channel, one JSON value a line, across reconnects.

use crate::cli::TailArgs;
use crate::config::Config;
use crate::plain::{plain, plain_json, without_password};
use crate::secrets::TOKEN_SECRET;
use crate::tokens::{Order, Signer};
use anyhow::{Context, bail};
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;
use tidings_client::{Client, Event, HistoryQuery, Options, State, SubscribeOptions, Subscription, TokenError};
use tokio::sync::watch;

/// Each token is short-lived; the client asks for the next one by itself.
const TOKEN_TTL: Duration = Duration::from_secs(300);

/// Whom the tokens name.
const USER: &str = "tidings tail";

pub(crate) async fn run(args: TailArgs) -> anyhow::Result<()> {
    let config = Config::load_beside(&args.remote.common)?;
    let server = args.remote.server.clone().unwrap_or_else(|| config.server_url());
    let secret = TOKEN_SECRET.load(&config.storage.data_dir, config.secret_bytes_min())?;
    let tokens = Arc::new(Signer::own(&secret, config.token_parties()));
    let client = connect(&server, tokens.clone())?;
    let server = without_password(&server);
    tokio::spawn(say_when_lost(client.states(), server.clone()));
    if let Err(disconnect) = client.connected().await {
        bail!("{server} refused the connection: {} ({})", disconnect.reason, disconnect.code);
    }
    let channel = args.channel.clone();
    let options = SubscribeOptions::new().recoverable().token_provider(move || {
        let token = sign(&tokens, Some(&channel));
        async { token }
    });
    let subscription = client.subscribe(&args.channel, options).await?;
    let printed = print_all(&client, &args, subscription).await;
    client.close().await;
    printed
}

fn connect(server: &str, tokens: Arc<Signer>) -> anyhow::Result<Client> {
    let options = Options::new().name("tidings-tail").token_provider(move || {
        let token = sign(&tokens, None);
        async { token }
    });
    let socket = format!("{}/connection/websocket", server.trim_end_matches('/').replacen("http", "ws", 1));
    Client::connect(&socket, options).with_context(|| format!("the server address {}", without_password(server)))
}

fn sign(tokens: &Signer, channel: Option<&str>) -> Result<String, TokenError> {
    let order =
        Order { user: USER.into(), channel: channel.map(str::to_owned), ttl: Some(TOKEN_TTL), ..Order::default() };
    tokens.sign(order).map_err(|error| TokenError::Refused(error.to_string()))
}

/// One line when the server cannot be reached, and one when it can again; the client tries for ever by itself.
async fn say_when_lost(mut states: watch::Receiver<State>, server: String) {
    let mut lost = false;
    loop {
        match &*states.borrow_and_update() {
            State::Connecting { why: Some(why), .. } if !lost => {
                lost = true;
                eprintln!("tidings: cannot reach {server} ({}); trying again", plain(&why.reason));
            }
            State::Connected { .. } if lost => {
                lost = false;
                eprintln!("tidings: connected to {server}");
            }
            _ => {}
        }
        if states.changed().await.is_err() {
            return;
        }
    }
}

/// Until the subscription ends, `--count` is reached, or nobody reads our output any more.
async fn print_all(client: &Client, args: &TailArgs, mut subscription: Subscription) -> anyhow::Result<()> {
    let mut left = args.count.unwrap_or(u64::MAX);
    let mut older = args.history;
    // What came live while the history was being read is in both.
    let mut printed_up_to = 0;
    let mut out = std::io::stdout();
    while left > 0 {
        let publications = match subscription.next().await {
            Some(Event::Subscribed(_)) if older > 0 => {
                let history = client.history(&args.channel, HistoryQuery::latest(std::mem::take(&mut older))).await?;
                printed_up_to = history.offset;
                history.publications.into_iter().rev().collect()
            }
            Some(Event::Subscribed(subscribed)) => {
                if subscribed.was_recovering && !subscribed.recovered {
                    printed_up_to = 0; // perhaps a new stream, which counts anew
                    eprintln!("tidings: some publications were missed while the connection was lost");
                }
                Vec::new()
            }
            Some(Event::Publication(publication)) if publication.offset > 0 && publication.offset <= printed_up_to => {
                Vec::new()
            }
            Some(Event::Publication(publication)) => vec![publication],
            Some(Event::Unsubscribed { code, reason }) => bail!("the subscription ended: {reason} ({code})"),
            Some(_) => Vec::new(),
            None => break,
        };
        for data in publications.into_iter().filter_map(|publication| publication.data) {
            if writeln!(out, "{}", plain_json(data.as_json().unwrap_or_default())).and_then(|()| out.flush()).is_err() {
                return Ok(());
            }
            left = left.saturating_sub(1);
        }
    }
    Ok(())
}

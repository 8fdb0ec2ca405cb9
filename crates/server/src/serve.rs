//! `tidings serve`: puts the parts together, starts, and drains at the end.
//!
//! The order is the story: chat, secrets, hub, routes, listen, say so; then a signal; then readiness off, sockets closed
//! with the protocol's "shutdown" code, requests finished, waiting writes finished.

use crate::api::keys::{Key, KeyUses, Keys};
use crate::app::{App, Shared};
use crate::channels::Channels;
use crate::config::{Config, Settings, Sources, Storage};
use crate::data_dir::MESSAGE_KEY;
use crate::limits::{ANNOUNCE, CLOSE_MAX, DISCONNECT_SPREAD, DRAIN_MAX, LOGGED_CHARS_MAX};
use crate::live::{Doors, LivePolicy, TokenPolicy};
use crate::metrics::{self, Metrics};
use crate::reload::reload;
use crate::secrets::{API_KEY, Secrets, message_key};
use crate::tasks::Tasks;
use crate::tokens::{Issuer, Issuers, Tokens};
use crate::{logs, process, router};
use anyhow::Context;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};
use tidings_chat::limits::Rates;
use tidings_chat::{Chat, Clock, Desk, Options, Time};
use tidings_hub::Hub;
use tidings_serve::{Handle, Listen, Readiness, ServeError, Server, StartError, Tls};
use tidings_websocket::OriginPolicy;
use tokio::signal::unix::{SignalKind, signal};

pub(crate) async fn run(config: Config, sources: Sources<Settings>) -> anyhow::Result<()> {
    let mut stop = Stop::listen()?;
    let app = open(config, sources).await?;
    let mut tasks = Tasks::default();
    // Without it nothing that was lost would ever be noticed.
    tasks.spawn("upkeep of the hub", {
        let hub = app.hub.clone();
        async move { hub.maintain().await }
    });
    tasks.spawn("hang-ups", hang_ups(signal(SignalKind::hangup())?, app.clone()));
    let handle = listen(&app).await?;
    let grpc = listen_for_grpc(&app).await?;
    app.metrics.watch({
        let servers: Vec<_> = [Some(&handle), grpc.as_ref()].into_iter().flatten().cloned().collect();
        move || metrics::of_servers(&servers)
    });
    announce_start(&app, grpc.as_ref()).await?;
    let ended = tokio::select! {
        () = stop.requested() => Ok(()),
        failed = handle.wait() => failed.context("the server stopped by itself"),
        failed = wait(grpc.as_ref()) => failed.context("the server for gRPC stopped by itself"),
        ended = tasks.ended() => Err(ended.into()),
        why = app.chat.failed() => Err(anyhow::anyhow!("the chat cannot go on: {why}")),
    };
    tokio::select! {
        () = drain(&app, &handle, grpc.as_ref()) => {}
        () = stop.requested() => tracing::warn!("stopped at once, by a second signal"),
    }
    ended
}

/// What the configuration names and the start needs, read.
pub(crate) struct Named {
    /// Of the server API, beside the generated one.
    keys: Vec<Key>,
    /// Of client tokens, beside the server itself.
    issuers: Vec<Issuer>,
    own_origin: OriginPolicy,
    allowed_origins: OriginPolicy,
    /// A server has been at work in the data folder.
    has_secrets: bool,
}

/// Reads everything that the configuration names, and changes nothing: what is wrong with it is said before anything is made
/// or opened, and `tidings config check` says the same, and [what the data folder says](check).
///
/// # Errors
/// What a start is refused for, but what only shows when it listens or opens the database.
pub(crate) fn read_named(config: &Config) -> anyhow::Result<Named> {
    logs::filter(&config.settings.log)?;
    config.storage.data_dir.check()?;
    if let Some(tls) = tls(config) {
        tls.check().map_err(|error| explain(StartError::Certificate(error)))?;
    }
    // One that is not made yet will be like no other.
    let generated = API_KEY.find(&config.storage.data_dir, config.secret_bytes_min())?.map(|key| Key::generated(&key));
    Ok(Named {
        keys: config.api_keys(generated.as_ref())?,
        issuers: config.token_issuers()?,
        own_origin: match &config.public_url {
            Some(url) => OriginPolicy::listed([url.as_str()])?,
            None => OriginPolicy::SameHost,
        },
        allowed_origins: OriginPolicy::listed(&config.allowed_origins)?,
        has_secrets: Secrets::were_made(&config.storage.data_dir, config.secret_bytes_min())?,
    })
}

/// As [`read_named`], and looks at a database in the data folder.
///
/// # Errors
/// What a start is refused for, but what only shows when it listens or connects to a database.
pub(crate) fn check(config: &Config) -> anyhow::Result<()> {
    let named = read_named(config)?;
    let options = Options { may_be_new: !named.has_secrets, ..config.storage.options() };
    Desk::look(&options).map_err(|error| {
        let what = config.storage.cannot_open(&error);
        anyhow::Error::new(error).context(what)
    })
}

/// Nobody notices by themselves: sends that are repeated are still one message, but not with the same certainty.
async fn warn_of_another_message_key(chat: &Chat, storage: &Storage) {
    // Where it cannot be read just now, the next start says it.
    if matches!(chat.has_another_message_key().await, Ok(true)) {
        let key = storage.data_dir.file(MESSAGE_KEY);
        tracing::warn!(
            key = %key.display(),
            "the last message in {storage} was stored with another message-key than this one: messages from before that are \
             sent again are recognised by their author and client id alone, whatever their text. Stop the server, put the \
             message-key that it had before (of its earlier data folder, or beside the backup) in the place of this one, or into TIDINGS_MESSAGE_KEY where that is set, and \
             start it again. If that is lost, nothing needs to be done: this is said at each start until somebody has written"
        );
    }
}

/// The certificate that both listeners have, if any.
fn tls(config: &Config) -> Option<Tls> {
    let (certificate, key) = config.tls.as_ref()?;
    Some(Tls::files(certificate, key).reload_on_hangup())
}

/// Opens the data folder and wires chat, hub and policy.
pub(crate) async fn open(config: Config, sources: Sources<Settings>) -> anyhow::Result<App> {
    let named = read_named(&config)?;
    config.storage.data_dir.make()?;
    let mut options = config.storage.options();
    // The secrets are made after the database, so that beside them an empty one is never a new one.
    options.may_be_new = !named.has_secrets;
    options.message_key = message_key(&config.storage.data_dir)?;
    if !config.settings.rate_limits {
        tracing::warn!("rate limits are off: whoever has an account can overload this server");
        options.rates = Rates::unlimited();
    }
    let clock = options.clock.clone();
    let opened = Chat::open(options).await;
    let chat = opened.map_err(|error| {
        let what = config.storage.cannot_open(&error);
        anyhow::Error::new(error).context(what)
    })?;
    warn_of_another_message_key(&chat, &config.storage).await;
    let secrets = Secrets::load_or_make(&config.storage.data_dir, config.secret_bytes_min())?;
    config.storage.data_dir.warn_of_lax_modes(config.secret_files());
    let mut keys = vec![Key::generated(&secrets.api_key)];
    keys.extend(named.keys);
    let keys = Keys::new(keys);
    let doors = doors(&config);
    let issuers = Issuers::new(Issuer::own(&secrets.token_secret, config.token_parties()), named.issuers);
    let tokens = Arc::new(Tokens::new(issuers, config.settings.client.token.allow_without_exp));
    tokens.fetch_keys();
    tokens.tell_of_strangers({
        let chat = chat.clone();
        move |reason| {
            if let Some(left_out) = chat.security_line() {
                let reason: String = reason.chars().take(LOGGED_CHARS_MAX).collect();
                tracing::warn!(
                    ?reason,
                    left_out,
                    "a client token is refused that nobody here has signed; `tidings token explain` says more of one"
                );
            }
        }
    });
    let metrics = Arc::new(Metrics::new());
    let channels = Arc::new(Channels::new(config.channels()));
    let token_policy = TokenPolicy::new(tokens.clone(), chat.denials().clone(), clock, doors, channels.clone());
    chat.denials().enforce_by(token_policy.ended_by());
    let policy = Arc::new(LivePolicy::new(chat.clone(), token_policy, metrics.clone()));
    let limits = hub_limits(&config);
    let send_latency = metrics.send_latency.clone();
    // A name of this run of the server, new at each start.
    let node = uuid::Uuid::new_v4().to_string();
    let hub = Hub::builder(policy.clone())
        .application(policy.clone())
        .node(&node)
        .limits(limits)
        .version(format!("{} Tidings", env!("CARGO_PKG_VERSION")))
        .on_delivered(move |took| send_latency.observe(took.as_secs_f64()));
    let hub = match config.settings.threads {
        Some(threads) => hub.loops(threads),
        None => hub,
    };
    let hub = hub.build();
    // A circle in three parts: the hub asks the policy, the policy asks the chat, and the chat announces to the hub. It is
    // closed here, before anybody can connect.
    chat.announce_to(hub.clone());
    policy.close_by(hub.clone());
    metrics.watch({
        let hub = hub.clone();
        move || metrics::of_hub(&hub)
    });
    metrics.watch({
        let chat = chat.clone();
        move || metrics::of_chat(&chat)
    });
    Ok(App::new(Shared {
        node,
        chat,
        hub,
        channels,
        keys,
        tokens,
        token_secret: secrets.token_secret,
        key_uses: KeyUses::default(),
        metrics,
        readiness: Readiness::new(),
        own_origin: named.own_origin,
        allowed_origins: named.allowed_origins,
        handle: OnceLock::new(),
        in_effect: tokio::sync::Mutex::new(config.settings.clone()),
        config,
        sources,
    }))
}

/// Who is let in beside those whose token names them; each is said at every start.
fn doors(config: &Config) -> Doors {
    let client = &config.settings.client;
    if client.insecure {
        // Whatever is to be logged.
        eprintln!(
            "\n*** INSECURE: client.insecure is on. Whoever reaches this server may do everything in the application's channels, \
             without a token. ***\n*** It is for development, and listens on this machine alone. ***\n"
        );
    }
    if client.anonymous {
        tracing::warn!("client.anonymous is on: whoever has no token is let in, as nobody in particular");
    }
    if client.token.allow_without_exp {
        tracing::warn!(
            "client.token.allow_without_exp is on: a client token without the claim exp is good for ever; revoke the ones \
             that get lost"
        );
    }
    Doors { anonymous_tokens: config.settings.anonymous_tokens, anonymous: client.anonymous, insecure: client.insecure }
}

fn hub_limits(config: &Config) -> tidings_hub::Limits {
    let mut limits = tidings_hub::Limits {
        ping_interval: config.ping_interval,
        pong_timeout: config.pong_timeout,
        channels_max: config.channels_max,
        ..config.settings.limits.of_hub()
    };
    let per_address = config.settings.limits.connections_per_address_max as usize;
    if per_address > tidings_serve::Limits::default().connections_per_address_max {
        // Whoever is let in from one address can be there at once.
        limits.address = limits.address.at_least_for(per_address);
    }
    if !config.settings.rate_limits {
        (limits.user, limits.address) = (tidings_hub::Allowance::UNLIMITED, tidings_hub::Allowance::UNLIMITED);
    }
    limits
}

pub(crate) fn clock() -> Clock {
    Clock::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Time::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    })
}

async fn listen(app: &App) -> anyhow::Result<Handle> {
    let server = server_at(app, app.config.listen).readiness(app.readiness.clone());
    let handle = server.serve(router::router(app.clone())).await.map_err(explain)?;
    Ok(app.handle.get_or_init(|| handle).clone())
}

fn server_at(app: &App, address: SocketAddr) -> Server {
    let config = &app.config;
    let mut listen = Listen::from(address);
    if let Some(tls) = tls(config) {
        listen = listen.tls(tls);
    }
    let per_address = config.settings.limits.connections_per_address_max as usize;
    Server::bind(listen)
        .limits(tidings_serve::Limits { connections_per_address_max: per_address, ..tidings_serve::Limits::default() })
        .announce(ANNOUNCE)
        .trusted_proxies(config.trusted_proxies.clone())
}

/// The listener for gRPC alone, where one is configured.
async fn listen_for_grpc(app: &App) -> anyhow::Result<Option<Handle>> {
    let Some(address) = app.config.grpc_listen else { return Ok(None) };
    let handle = server_at(app, address).serve(router::grpc_router(app.clone())).await.map_err(explain)?;
    Ok(Some(handle))
}

/// Until a server ends; for ever where there is none.
async fn wait(server: Option<&Handle>) -> Result<(), ServeError> {
    match server {
        Some(server) => server.wait().await,
        None => std::future::pending().await,
    }
}

/// What to do next, beside what went wrong.
fn explain(error: StartError) -> anyhow::Error {
    let advice = match &error {
        StartError::Bind { source, .. } if source.kind() == std::io::ErrorKind::AddrInUse => {
            "another program listens there; stop it, or choose another address with --listen"
        }
        StartError::Bind { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
            "ports below 1024 need a privilege; choose another with --listen, or put a proxy in front"
        }
        StartError::Bind { .. } => "choose an address of this machine with --listen",
        StartError::Certificate(_) => "check --tls-cert and --tls-key",
        StartError::Limits(_) => "check the limits",
    };
    anyhow::Error::new(error).context(advice)
}

/// The address on standard output, alone on its line; warnings and the set-up link.
async fn announce_start(app: &App, grpc: Option<&Handle>) -> anyhow::Result<()> {
    let address = app.address();
    let scheme = if app.config.tls.is_some() { "https" } else { "http" };
    println!("listening on {scheme}://{address}");
    if let Some(grpc) = grpc {
        println!("listening for gRPC on {scheme}://{}", grpc.local_addr());
    }
    // Through a public URL that is HTTPS, a proxy in front ends TLS.
    if !app.config.is_https() && !address.ip().is_loopback() {
        tracing::warn!(
            "plain HTTP on {address}: passwords and messages can be read on the way. Put a TLS proxy in front and set \
             --public-url https://..., or give --tls-cert and --tls-key"
        );
    }
    if let Some(code) = app.chat.set_up_code().await? {
        let link = format!("{}/setup#{}", link_base(app, address), code.reveal());
        println!("\nNobody has an account here yet. Open this link to make the first one:\n\n  {link}\n");
    }
    std::io::stdout().flush()?;
    let took_ms = process::started().elapsed().as_secs_f64() * 1e3;
    tracing::info!(%address, took_ms, "started");
    Ok(())
}

/// Where a browser can reach the server: never an unspecified address, which is no place to go to.
fn link_base(app: &App, address: SocketAddr) -> String {
    if let Some(url) = &app.config.public_url {
        return url.as_str().to_owned();
    }
    app.config.local_url(address)
}

async fn drain(app: &App, handle: &Handle, grpc: Option<&Handle>) {
    tracing::info!(max_s = DRAIN_MAX.as_secs(), "draining");
    // Together: the server waits for its sockets to end, and it is the hub that tells them to, in the protocol's words. The
    // database comes last, so that what they still sent is in it.
    let closing = async {
        tokio::time::sleep(ANNOUNCE).await;
        app.hub.shutdown(DISCONNECT_SPREAD).await;
    };
    let grpc = async {
        if let Some(grpc) = grpc {
            grpc.shutdown(DRAIN_MAX - CLOSE_MAX).await;
        }
    };
    let (report, (), ()) = tokio::join!(handle.shutdown(DRAIN_MAX - CLOSE_MAX), closing, grpc);
    if tokio::time::timeout(CLOSE_MAX, app.chat.close()).await.is_err() {
        tracing::warn!("the database did not close in time; what was acknowledged is safe all the same");
    }
    tracing::info!(
        requests_finished = report.requests_finished,
        sockets_closed = report.sockets_closed,
        cut = report.connections_cut,
        "stopped"
    );
}

/// SIGHUP asks for the configuration to be read again, and for certificates, which the server does by itself. It never ends
/// the program: a terminal that closes and a habit from other servers are no reason to hang up on everybody.
async fn hang_ups(mut hang_ups: tokio::signal::unix::Signal, app: App) {
    while hang_ups.recv().await.is_some() {
        match reload(&app).await {
            Ok(_) => tracing::info!("SIGHUP: the configuration was read again"),
            Err(error) => {
                tracing::error!(%error, "SIGHUP: the configuration is refused, and everything stays as it was");
            }
        }
    }
}

/// Ctrl-C or SIGTERM.
pub(crate) struct Stop {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Stop {
    pub(crate) fn listen() -> anyhow::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    pub(crate) async fn requested(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

//! Tidings: a chat you host yourself and a real-time server, in one binary.
//!
//! `main` → `cli` (words) → `serve` (wiring, start, drain) or `commands`. The only place with arguments, environment,
//! clock and `anyhow`; the rules are in the libraries.

#![cfg_attr(not(test), warn(unused_crate_dependencies))]

mod api;
mod app;
mod channels;
mod cli;
mod commands;
mod config;
mod data_dir;
mod http;
mod limits;
#[cfg(test)]
mod limits_page;
mod live;
mod logs;
mod metrics;
mod pattern;
mod plain;
mod process;
mod reload;
mod router;
mod secrets;
mod serve;
mod tasks;
mod tokens;

use anyhow::Context;
use clap::Parser;
use cli::{Cli, Command};
use config::{Config, Settings, Sources};
use std::process::ExitCode;

fn main() -> ExitCode {
    process::started();
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tidings: {}", plain::plain_lines(&explained(&error)));
            ExitCode::FAILURE
        }
    }
}

/// What failed and why, each cause once: some say in their own words what caused them.
fn explained(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, cause| match told.as_str() {
        "" => cause,
        _ if told.contains(&cause) => told,
        _ => format!("{told}: {cause}"),
    })
}

fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        None => start_server(&cli.serve),
        Some(Command::Serve(sources)) => start_server(&sources),
        Some(Command::Config(args)) => commands::config::run(&args),
        Some(Command::Token(args)) => block_on(commands::token::run(*args)),
        Some(Command::User(args)) => block_on(commands::user::run(args)),
        Some(Command::Backup(args)) => block_on(commands::backup::run(args)),
        Some(Command::Restore(args)) => block_on(commands::restore::run(args)),
        Some(Command::Migrate(args)) => block_on(commands::migrate::run(args)),
        Some(Command::Publish(args)) => block_on(commands::publish::run(args)),
        Some(Command::Tail(args)) => block_on(commands::tail::run(args)),
        Some(Command::Channels(args)) => block_on(commands::channels::run(args)),
        Some(Command::Connections(args)) => block_on(commands::connections::list(args)),
        Some(Command::Disconnect(args)) => block_on(commands::connections::disconnect(args)),
        Some(Command::Refresh(args)) => block_on(commands::connections::refresh(args)),
        Some(Command::Subscribe(args)) => block_on(commands::subscriptions::subscribe(args)),
        Some(Command::Unsubscribe(args)) => block_on(commands::subscriptions::unsubscribe(args)),
        Some(Command::Presence(args)) => block_on(commands::presence::run(args)),
        Some(Command::History(args)) => block_on(commands::history::print(args)),
        Some(Command::HistoryRemove(args)) => block_on(commands::history::remove(args)),
        Some(Command::Status(args)) => block_on(commands::presence::status(args)),
        Some(Command::Block(args)) => block_on(commands::denials::block(args)),
        Some(Command::Unblock(args)) => block_on(commands::denials::unblock(args)),
        Some(Command::Blocked(args)) => block_on(commands::denials::list(args)),
        Some(Command::Revoke(args)) => block_on(commands::denials::revoke(args)),
        Some(Command::Info(args)) => block_on(commands::info::run(args)),
        Some(Command::Reload(args)) => block_on(commands::reload::run(args)),
        Some(Command::Call(args)) => block_on(commands::call::run(args)),
        Some(Command::Bench(args)) => block_on(tidings_bench::run(*args)),
    }
}

fn start_server(sources: &Sources<Settings>) -> anyhow::Result<()> {
    let config = Config::load(sources)?;
    logs::start(&config.settings.log, config.settings.log_format)?;
    process::raise_file_limit();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = config.settings.threads {
        runtime.worker_threads(threads);
    }
    block_on_with(runtime, serve::run(config, sources.clone()))
}

fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    block_on_with(tokio::runtime::Builder::new_multi_thread(), work)
}

fn block_on_with(
    mut runtime: tokio::runtime::Builder,
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    runtime.enable_all().build().context("the runtime did not start")?.block_on(work)
}

#[cfg(test)]
mod tests {
    use super::explained;
    use anyhow::anyhow;

    #[test]
    fn a_cause_that_is_said_already_is_not_said_twice() {
        let error =
            anyhow!("the disk is full").context("cannot write a.db: the disk is full").context("nothing was kept");
        assert_eq!(explained(&error), "nothing was kept: cannot write a.db: the disk is full");
        assert_eq!(explained(&anyhow!("no key").context("reading it")), "reading it: no key");
    }
}

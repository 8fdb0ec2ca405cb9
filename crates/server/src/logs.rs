//! Logs: human on a terminal, JSON otherwise, always on standard error (standard output carries the address line).

use crate::config::LogFormat;
use anyhow::Context;
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Whoever logs the values of statements (passwords' hashes, codes, messages; S18), and a line for each connection that the
/// database's server has ended, of which the chat speaks once.
const NEVER_IN_DETAIL: [&str; 3] = ["tokio_postgres=info", "tokio_postgres::query=info", "deadpool.postgres=error"];

/// What `filter`, a level or a `tracing` filter, says.
pub(crate) fn filter(filter: &str) -> anyhow::Result<EnvFilter> {
    EnvFilter::try_new(filter).with_context(|| format!("log filter `{filter}` is not understood"))
}

/// Installs the process-wide subscriber.
pub(crate) fn start(by: &str, format: Option<LogFormat>) -> anyhow::Result<()> {
    let mut filter = filter(by)?;
    for quiet in NEVER_IN_DETAIL {
        filter = filter.add_directive(quiet.parse().context("a filter of our own is not understood")?);
    }
    let terminal = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let format = format.unwrap_or(if terminal { LogFormat::Human } else { LogFormat::Json });
    let installed = match format {
        LogFormat::Human => builder.with_ansi(terminal).with_target(false).compact().try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    installed.map_err(|error| anyhow::anyhow!("logging could not start: {error}"))
}

//! Logs: human on a terminal, JSON otherwise, always on standard error (standard output carries the address line).

use crate::config::LogFormat;
use crate::plain::plain_lines;
use anyhow::Context;
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Whoever logs the values of statements (passwords' hashes, codes, messages; S18), and a line for each connection that the
/// database's server has ended, of which the chat speaks once.
const NEVER_IN_DETAIL: [&str; 3] = ["tokio_postgres=info", "tokio_postgres::query=info", "deadpool.postgres=error"];

/// Lines of JSON, in which names may stand that somebody else has chosen: JSON itself escapes no control character of the second
/// kind and nothing that turns text around (S50).
struct Plain<W>(W);

impl<W: std::io::Write> std::io::Write for Plain<W> {
    /// Is given a line at a time.
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.write_all(plain_lines(&String::from_utf8_lossy(line)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

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
        LogFormat::Json => builder.json().flatten_event(true).with_writer(|| Plain(std::io::stderr())).try_init(),
    };
    installed.map_err(|error| anyhow::anyhow!("logging could not start: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn s50_a_line_of_the_log_does_nothing_to_a_terminal_and_says_the_same() {
        let mut written = Vec::new();
        let line = "{\"user\":\"A\u{9b}2J\u{202e}B\"}\n";
        Plain(&mut written).write_all(line.as_bytes()).unwrap();
        let written = String::from_utf8(written).unwrap();
        assert_eq!(written, "{\"user\":\"A\\u009b2J\\u202eB\"}\n");
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(&written), value(line));
    }
}

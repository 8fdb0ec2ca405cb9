//! The server that is measured: a child process on scratch data, or one that runs already; on this machine alone.

use std::net::IpAddr;
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use http::Uri;
use jsonwebtoken::{EncodingKey, Header};
use serde::Serialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::cli::TargetArgs;
use crate::limits;
use crate::process::Process;

/// A server to measure. A child is stopped, and its data removed, when this is dropped.
pub(crate) struct Target {
    pub(crate) url: Uri,
    /// Absent when a running server's process is not known: then only its behaviour is measured.
    pub(crate) process: Option<Process>,
    secret: EncodingKey,
    _child: Option<(Child, tempfile::TempDir)>,
}

impl Target {
    pub(crate) async fn open(args: &TargetArgs) -> Result<Target> {
        match &args.server {
            Some(url) => Target::running(url, args),
            None => Target::start().await,
        }
    }

    fn running(url: &str, args: &TargetArgs) -> Result<Target> {
        let url = loopback(url)?;
        let secret = args.token_secret.as_deref().context(
            "a running server checks client tokens: give its secret by --token-secret or TIDINGS_TOKEN_SECRET",
        )?;
        let process = args.server_pid.map(Process::new);
        if let Some(process) = process {
            process.cpu().context("--server-pid")?;
        }
        Ok(Target { url, process, secret: EncodingKey::from_secret(secret.as_bytes()), _child: None })
    }

    async fn start() -> Result<Target> {
        let scratch = tempfile::tempdir().context("making a scratch folder")?;
        let log = scratch.path().join("server.log");
        let secret = random_hex()?;
        let mut command = Command::new(std::env::current_exe().context("finding this program")?);
        // What configures the user's own server must not configure this one.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("TIDINGS_") {
                command.env_remove(name);
            }
        }
        let mut child = command
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(scratch.path().join("data"))
            .current_dir(scratch.path())
            .env("TIDINGS_TOKEN_SECRET", &secret)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log).context("making the server's log file")?)
            .kill_on_drop(true)
            .spawn()
            .context("starting the server")?;
        let stdout = child.stdout.take().context("the server's output is piped")?;
        let listening = tokio::time::timeout(limits::START_TIME, address(stdout)).await;
        let address = match listening.context("the server did not say in time where it listens").flatten() {
            Ok(address) => address,
            Err(error) => {
                let log = std::fs::read_to_string(&log).unwrap_or_default();
                return Err(error.context(format!("the server's log ends with:\n{}", last_lines(&log, 10))));
            }
        };
        let process = child.id().map(Process::new).context("the server ended at once")?;
        let url = loopback(&format!("ws://{address}/connection/websocket"))?;
        let secret = EncodingKey::from_secret(secret.as_bytes());
        Ok(Target { url, process: Some(process), secret, _child: Some((child, scratch)) })
    }

    /// A client token for one load connection, valid for longer than any run.
    pub(crate) fn token(&self, user: &str) -> Result<String> {
        #[derive(Serialize)]
        struct Claims<'a> {
            sub: &'a str,
            exp: u64,
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let exp = (now + 6 * limits::DURATION_MAX + Duration::from_secs(600)).as_secs();
        jsonwebtoken::encode(&Header::default(), &Claims { sub: user, exp }, &self.secret).context("making a token")
    }

    /// Fails when either end may not open enough files.
    pub(crate) fn ensure_room(&self, connections: u32) -> Result<()> {
        Process::this().ensure_descriptors(connections)?;
        self.process.map_or(Ok(()), |server| server.ensure_descriptors(connections))
    }

    pub(crate) fn server_cpu(&self) -> Result<Option<Duration>> {
        self.process.map(Process::cpu).transpose()
    }

    pub(crate) fn server_memory(&self) -> Result<Option<u64>> {
        self.process.map(Process::memory_bytes).transpose()
    }
}

/// Load is for one's own machine: anything else than the loopback interface is refused.
fn loopback(url: &str) -> Result<Uri> {
    let expected = "expected an address such as ws://127.0.0.1:8000/connection/websocket";
    let uri: Uri = url.parse().with_context(|| format!("{url:?}: {expected}"))?;
    ensure!(uri.scheme_str() == Some("ws"), "{url:?}: {expected}");
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let local = host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    ensure!(
        local,
        "{host} is not this machine: the load generator only measures servers at a loopback address (127.0.0.1, ::1, \
         localhost)"
    );
    Ok(uri)
}

/// The address that the server says it listens on.
async fn address(stdout: tokio::process::ChildStdout) -> Result<String> {
    let mut lines = BufReader::new(stdout).lines();
    while let Some(line) = lines.next_line().await.context("reading the server's output")? {
        if let Some(address) = line.strip_prefix("listening on http://") {
            // What it says later is read and dropped, so that its pipe never fills.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return Ok(address.trim().to_owned());
        }
    }
    bail!("the server ended without listening")
}

fn random_hex() -> Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).context("the system gives no random bytes")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_addresses_are_measured() {
        for url in ["ws://127.0.0.1:8000/x", "ws://127.1.2.3:1/", "ws://[::1]:8000/x", "ws://localhost:8000/x"] {
            assert!(loopback(url).is_ok(), "{url}");
        }
        for url in ["ws://192.168.1.1:8000/x", "ws://chat.example.org/x", "ws://0.0.0.0:8000/x", "ws://[2001:db8::1]/x"]
        {
            let error = loopback(url).unwrap_err().to_string();
            assert!(error.contains("is not this machine"), "{url}: {error}");
        }
        for url in ["http://127.0.0.1:8000/x", "127.0.0.1:8000", "wss://127.0.0.1/x", ""] {
            assert!(loopback(url).unwrap_err().to_string().contains("expected an address"), "{url}");
        }
    }

    #[test]
    fn a_running_server_needs_its_secret() {
        let args = TargetArgs {
            server: Some("ws://127.0.0.1:9/x".to_owned()),
            server_pid: None,
            token_secret: None,
            json: false,
        };
        let error = Target::running(args.server.as_deref().unwrap(), &args).err().unwrap();
        assert!(error.to_string().contains("TIDINGS_TOKEN_SECRET"), "{error}");
    }

    #[test]
    fn of_a_long_log_the_end_is_shown() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("", 2), "");
    }
}

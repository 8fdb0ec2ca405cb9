//! The server that is measured: a child process on scratch data, or one that runs already; on this machine alone.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use http::Uri;
use jsonwebtoken::{EncodingKey, Header};
use rustls::client::Resumption;
use rustls::{ClientConfig, RootCertStore};
use serde::Serialize;
use tidings_websocket::ConnectOptions;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use crate::cli::TargetArgs;
use crate::cores::{self, Layout};
use crate::limits;
use crate::process::{Cpu, Process};

/// A server to measure. A child is stopped, and its data removed, by [`Target::stop`], or when this is dropped.
pub(crate) struct Target {
    pub(crate) url: Uri,
    /// Absent when a running server's process is not known: then only its behaviour is measured.
    pub(crate) process: Option<Process>,
    pub(crate) layout: Layout,
    /// Of the server API; absent when a running server's is not given.
    pub(crate) api_key: Option<String>,
    settle: Duration,
    secret: EncodingKey,
    /// Absent for plain TCP.
    tls: Option<Arc<ClientConfig>>,
    /// The code with which the first person may be made, once the server has said it.
    set_up: Option<watch::Receiver<Option<String>>>,
    _child: Option<(Child, tempfile::TempDir)>,
}

/// One key of the server's configuration that a measurement needs at another value than the default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) value: String,
}

impl Key {
    fn flag(&self) -> String {
        format!("--{}", self.name.replace('_', "-"))
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

/// A server that is to be started.
pub(crate) struct Wanted<'a> {
    pub(crate) program: &'a Path,
    pub(crate) layout: Layout,
    pub(crate) keys: &'a [Key],
    pub(crate) tls: bool,
    pub(crate) settle: Duration,
    /// Where its scratch folder is made; by itself where the system has such things.
    pub(crate) scratch: Option<&'a Path>,
}

impl Target {
    pub(crate) fn running(url: &str, args: &TargetArgs, layout: Layout) -> Result<Target> {
        let url = loopback(url)?;
        let secret = args.token_secret.as_deref().context(
            "a running server checks client tokens: give its secret by --token-secret or TIDINGS_TOKEN_SECRET",
        )?;
        let process = args.server_pid.map(Process::new);
        if let Some(process) = process {
            process.cpu().context("--server-pid")?;
        }
        let secret = EncodingKey::from_secret(secret.as_bytes());
        let api_key = args.api_key.clone();
        Ok(Target { url, process, layout, api_key, settle: args.settle, secret, tls: None, set_up: None, _child: None })
    }

    pub(crate) async fn start(wanted: Wanted<'_>) -> Result<Target> {
        let mut builder = tempfile::Builder::new();
        let builder = builder.prefix("tidings-bench-");
        let scratch = match wanted.scratch {
            Some(folder) => {
                builder.tempdir_in(folder).with_context(|| format!("making a folder in {}", folder.display()))
            }
            None => builder.tempdir().context("making a scratch folder"),
        }?;
        let log = scratch.path().join("server.log");
        let (secret, api_key) = (random_hex()?, random_hex()?);
        let mut command = Command::new(wanted.program);
        // What configures the user's own server must not configure this one.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("TIDINGS_") {
                command.env_remove(name);
            }
        }
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(scratch.path().join("data"));
        for key in wanted.keys {
            command.args([&key.flag(), &key.value]);
        }
        let tls = if wanted.tls { Some(self_made_certificate(&mut command, scratch.path())?) } else { None };
        command
            .current_dir(scratch.path())
            .env("TIDINGS_TOKEN_SECRET", &secret)
            .env("TIDINGS_API_KEY", &api_key)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log).context("making the server's log file")?)
            .kill_on_drop(true);
        let mut child = spawn_on(wanted.layout.server.as_deref(), command)
            .with_context(|| format!("starting the server {}", wanted.program.display()))?;
        let stdout = child.stdout.take().context("the server's output is piped")?;
        let (code, set_up) = watch::channel(None);
        let listening = tokio::time::timeout(limits::START_TIME, address(stdout, code)).await;
        let address = match listening.context("the server did not say in time where it listens").flatten() {
            Ok(address) => address,
            Err(error) => {
                let log = std::fs::read_to_string(&log).unwrap_or_default();
                return Err(error.context(format!("the server's log ends with:\n{}", last_lines(&log, 10))));
            }
        };
        let process = child.id().map(Process::new).context("the server ended at once")?;
        let scheme = if tls.is_some() { "wss" } else { "ws" };
        let url = loopback(&format!("{scheme}://{address}/connection/websocket"))?;
        Ok(Target {
            url,
            process: Some(process),
            layout: wanted.layout,
            api_key: Some(api_key),
            settle: wanted.settle,
            secret: EncodingKey::from_secret(secret.as_bytes()),
            tls,
            set_up: Some(set_up),
            _child: Some((child, scratch)),
        })
    }

    /// Ends a server that was started here, and returns when it is gone: the next one has the machine for itself.
    pub(crate) async fn stop(self) {
        let Some((mut child, scratch)) = self._child else { return };
        let _ = child.kill().await;
        let gone = Instant::now() + limits::START_TIME;
        while self.process.is_some_and(|process| !process.is_gone()) && Instant::now() < gone {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        drop(scratch);
    }

    /// Lets the server finish what connecting or disconnecting left to do.
    pub(crate) async fn settle(&self) {
        tokio::time::sleep(self.settle).await;
    }

    /// Host and port, for plain HTTP beside the sockets.
    pub(crate) fn authority(&self) -> Result<&str> {
        ensure!(self.tls.is_none(), "what is asked over HTTP is not measured with TLS");
        self.url.authority().map(http::uri::Authority::as_str).context("the address has no host")
    }

    /// How a socket to this server is asked for.
    pub(crate) fn options(&self) -> ConnectOptions {
        let options = ConnectOptions::new();
        match &self.tls {
            Some(tls) => options.tls(Arc::clone(tls)),
            None => options,
        }
    }

    /// The key of the server API.
    pub(crate) fn api_key(&self) -> Result<&str> {
        self.api_key.as_deref().context(
            "a running server's API needs its key: give it by --api-key or TIDINGS_API_KEY; it is in the data folder, \
             in the file api-key",
        )
    }

    /// The code of the set-up link that the server prints at its first start.
    pub(crate) async fn set_up_code(&self) -> Result<String> {
        let mut said = self.set_up.clone().context(
            "people are made on a server that is started for the measurement: leave --server out, or name a program \
             with --server-binary",
        )?;
        let code = tokio::time::timeout(limits::START_TIME, said.wait_for(Option::is_some)).await;
        let code = code.context("the server did not print its set-up link")?.context("the server has ended")?;
        code.clone().context("there is a code")
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

    pub(crate) fn server_cpu(&self) -> Result<Option<Cpu>> {
        self.process.map(Process::cpu).transpose()
    }

    pub(crate) fn server_memory(&self) -> Result<Option<u64>> {
        self.process.map(Process::memory_bytes).transpose()
    }
}

/// Whether the program knows a key of the configuration: versions before may lack it.
pub(crate) async fn knows(program: &Path, key: &Key) -> Result<bool> {
    let help = Command::new(program).args(["serve", "--help"]).stdin(Stdio::null()).output().await;
    let help = help.with_context(|| format!("asking {} for its flags", program.display()))?;
    Ok(String::from_utf8_lossy(&help.stdout).contains(&key.flag()))
}

/// This program: what is measured unless another one is named.
pub(crate) fn this_program() -> Result<PathBuf> {
    std::env::current_exe().context("finding this program")
}

/// A program inherits the cores of the thread that starts it; and how many it has, it looks up at its very start.
fn spawn_on(cores: Option<&[usize]>, mut command: Command) -> io::Result<Child> {
    let Some(cores) = cores else { return command.spawn() };
    let runtime = tokio::runtime::Handle::current();
    let spawn = || {
        let _runtime = runtime.enter();
        cores::pin_thread(cores)?;
        command.spawn()
    };
    std::thread::scope(|scope| scope.spawn(spawn).join()).unwrap_or_else(|_| Err(io::Error::other("its thread failed")))
}

/// Has the server use a certificate that is made here, and gives a client's configuration that trusts it alone.
fn self_made_certificate(command: &mut Command, folder: &Path) -> Result<Arc<ClientConfig>> {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).context("making a certificate")?;
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).context("writing the certificate")?;
    std::fs::write(&key, made.signing_key.serialize_pem()).context("writing the certificate's key")?;
    command.arg("--tls-cert").arg(cert).arg("--tls-key").arg(key);
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).context("trusting the certificate")?;
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().context("setting up TLS")?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    // Each connection is a client of its own, and pays for a whole handshake.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// Load is for one's own machine: anything else than the loopback interface is refused.
fn loopback(url: &str) -> Result<Uri> {
    let expected = "expected an address such as ws://127.0.0.1:8000/connection/websocket";
    let uri: Uri = url.parse().with_context(|| format!("{url:?}: {expected}"))?;
    ensure!(matches!(uri.scheme_str(), Some("ws" | "wss")), "{url:?}: {expected}");
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let local = host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    ensure!(
        local,
        "{host} is not this machine: the load generator only measures servers at a loopback address (127.0.0.1, ::1, \
         localhost)"
    );
    Ok(uri)
}

/// The address that the server says it listens on. The set-up code, which follows when nobody has an account yet, is told
/// to `code`.
async fn address(stdout: tokio::process::ChildStdout, code: watch::Sender<Option<String>>) -> Result<String> {
    let mut lines = BufReader::new(stdout).lines();
    while let Some(line) = lines.next_line().await.context("reading the server's output")? {
        let Some(said) = line.strip_prefix("listening on ") else { continue };
        let address = said.trim().rsplit("://").next().unwrap_or_default().to_owned();
        // What it says later is read and dropped, so that its pipe never fills.
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some((_, found)) = line.split_once("/setup#") {
                    code.send_replace(Some(found.trim().to_owned()));
                }
            }
        });
        return Ok(address);
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
        for url in ["ws://127.0.0.1:8000/x", "ws://127.1.2.3:1/", "ws://[::1]:8000/x", "wss://localhost:8000/x"] {
            assert!(loopback(url).is_ok(), "{url}");
        }
        for url in ["ws://192.168.1.1:8000/x", "ws://chat.example.org/x", "ws://0.0.0.0:8000/x", "ws://[2001:db8::1]/x"]
        {
            let error = loopback(url).unwrap_err().to_string();
            assert!(error.contains("is not this machine"), "{url}: {error}");
        }
        for url in ["http://127.0.0.1:8000/x", "127.0.0.1:8000", ""] {
            assert!(loopback(url).unwrap_err().to_string().contains("expected an address"), "{url}");
        }
    }

    #[test]
    fn a_running_server_needs_its_secret() {
        let url = "ws://127.0.0.1:9/x";
        let error = Target::running(url, &TargetArgs::default(), Layout::unpinned(&[0])).err().unwrap();
        assert!(error.to_string().contains("TIDINGS_TOKEN_SECRET"), "{error}");
    }

    #[test]
    fn a_raised_limit_is_named_by_its_key() {
        let key = Key { name: "rate_limits", value: "false".to_owned() };
        assert_eq!((key.to_string(), key.flag()), ("rate_limits=false".to_owned(), "--rate-limits".to_owned()));
    }

    #[test]
    fn of_a_long_log_the_end_is_shown() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("", 2), "");
    }
}

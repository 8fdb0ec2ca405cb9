//! The real program, with a data folder of its own, on a port of its own choice.

use http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Bytes;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;
use tidings_client::{Client, Event, Options, SubscribeOptions, Subscription};
use tokio::net::TcpStream;

/// A server; it ends when this is dropped.
pub(crate) struct Server {
    process: Child,
    folder: TempDir,
    pub(crate) address: SocketAddr,
    /// Where it listens for gRPC alone.
    pub(crate) grpc: Option<SocketAddr>,
    /// The one-time code of the set-up link.
    pub(crate) setup_code: String,
}

/// What came back.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::configured("")
    }

    /// With a `tidings.toml`.
    pub(crate) fn configured(file: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tidings.toml"), file).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut process = program(&folder)
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir", "data"])
            .args(["--log", "debug,h2=info,hyper=info,hyper_util=info", "--log-format", "json"])
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
        let address = lines.find_map(|line| line.strip_prefix("listening on http://")?.parse().ok());
        let mut grpc = None;
        let code = lines.find_map(|line| {
            grpc = grpc.or_else(|| line.strip_prefix("listening for gRPC on http://")?.parse().ok());
            Some(line.split_once("/setup#")?.1.trim().to_owned())
        });
        Self { process, folder, address: address.expect("it listens"), grpc, setup_code: code.expect("a set-up link") }
    }

    /// What a server says that does not start with this `tidings.toml`. `tidings config check` says the same before it.
    pub(crate) fn refused(file: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tidings.toml"), file).unwrap();
        Self::refused_in(&folder, &[])
    }

    /// The same with what is in a folder, and with this environment.
    pub(crate) fn refused_in(folder: &TempDir, environment: &[(&str, &str)]) -> String {
        let said = |args: &[&str]| {
            let mut program = program(folder);
            let said = program.envs(environment.iter().copied()).args(args).output().unwrap();
            assert!(
                !said.status.success() && said.stdout.is_empty(),
                "{args:?}: {}",
                String::from_utf8_lossy(&said.stdout)
            );
            // Behind what a start has logged.
            let said = String::from_utf8(said.stderr).unwrap();
            said[said.find("tidings: ").expect("it says why")..].to_owned()
        };
        let checked = said(&["config", "check", "--data-dir", "data"]);
        let started = said(&["serve", "--listen", "127.0.0.1:0", "--data-dir", "data"]);
        assert_eq!(checked, started, "the start says the same");
        checked
    }

    /// What another program of ours prints with what is in a folder, and with this environment.
    pub(crate) fn run_in(folder: &TempDir, environment: &[(&str, &str)], args: &[&str]) -> String {
        let said = program(folder).envs(environment.iter().copied()).args(args).output().unwrap();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8(said.stdout).unwrap()
    }

    /// What it prints and what it says beside that, whatever came of it.
    pub(crate) fn said_in(folder: &TempDir, args: &[&str]) -> (String, String) {
        let said = program(folder).args(args).output().unwrap();
        (String::from_utf8(said.stdout).unwrap(), String::from_utf8(said.stderr).unwrap())
    }

    /// What a backend with the generated key is answered.
    pub(crate) async fn api(&self, method: &str, body: &Value) -> Value {
        self.api_with(&self.api_key(), method, body).await
    }

    pub(crate) async fn api_with(&self, key: &str, method: &str, body: &Value) -> Value {
        let request = http::Request::post(format!("/api/{method}")).header("x-api-key", key);
        let answer = self.send(request.body(Full::from(body.to_string())).unwrap()).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", String::from_utf8_lossy(&answer.body));
        answer.json()
    }

    /// The status of a call with nothing in it.
    pub(crate) async fn status_with(&self, key: &str, method: &str) -> u16 {
        let request = http::Request::post(format!("/api/{method}")).header("x-api-key", key);
        self.send(request.body(Full::from("{}")).unwrap()).await.status.as_u16()
    }

    /// A client with a token of this user.
    pub(crate) async fn client(&self, user: &str) -> Listener {
        let client = Client::connect(&self.socket_url(), Options::new().token(self.token(user))).unwrap();
        client.connected().await.unwrap();
        Listener { client }
    }

    pub(crate) async fn get_at(&self, address: SocketAddr, path: &str) -> Answer {
        send_to(address, http::Request::get(path).body(Full::default()).unwrap()).await
    }

    pub(crate) async fn send(&self, request: http::Request<Full<Bytes>>) -> Answer {
        send_to(self.address, request).await
    }

    /// A publication in `news`, over gRPC or else as JSON, of which the last byte is missing.
    pub(crate) async fn begin(&self, path: &str, key: &str) -> Begun {
        let json = r#"{"channel":"news","data":1,"method":"publish","params":{"channel":"news","data":1}}"#;
        let message = b"\0\0\0\0\x09\x0a\x04news\x12\x011";
        let is_grpc = !path.starts_with("/api");
        let body = if is_grpc { &message[..] } else { json.as_bytes() };
        let (first, last) = body.split_at(body.len() - 1);
        let (give, taken) = tokio::sync::mpsc::channel::<Bytes>(1);
        let pieces = futures_util::stream::unfold(taken, async |mut taken| {
            let piece = taken.recv().await?;
            Some((Ok::<_, std::convert::Infallible>(hyper::body::Frame::data(piece)), taken))
        });
        let request = http::Request::post(format!("http://{}{path}", self.address)).header("x-api-key", key);
        let request = request.header("content-type", if is_grpc { "application/grpc" } else { "application/json" });
        let request = request.body(StreamBody::new(Box::pin(pieces))).unwrap();
        let stream = TokioIo::new(TcpStream::connect(self.address).await.unwrap());
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        let answer = tokio::spawn(async move { sender.send_request(request).await.unwrap() });
        give.send(Bytes::copy_from_slice(first)).await.unwrap();
        Begun { give, last: Bytes::copy_from_slice(last), answer }
    }

    /// What it has logged, in detail.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// A file beside its configuration.
    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Another program of ours in the same place, such as `tidings publish`.
    pub(crate) fn tidings(&self, args: &[&str]) -> std::process::Output {
        let mut program = program(&self.folder);
        program.env("TIDINGS_SERVER", format!("http://{}", self.address));
        program.args(args).args(["--data-dir", "data"]).output().unwrap()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.process.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// The most memory that it has had so far, in KiB.
    pub(crate) fn peak_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches(" kB").parse().unwrap()
    }

    pub(crate) fn api_key(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("data/api-key")).unwrap().trim().to_owned()
    }

    pub(crate) fn token_secret(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("data/token-secret")).unwrap().trim().to_owned()
    }

    pub(crate) fn socket_url(&self) -> String {
        format!("ws://{}/connection/websocket", self.address)
    }

    /// A client token, as `tidings token` prints it.
    pub(crate) fn token(&self, user: &str) -> String {
        let said = program(&self.folder).args(["token", "--user", user, "--data-dir", "data"]).output().unwrap();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8(said.stdout).unwrap().trim().to_owned()
    }
}

async fn send_to(address: SocketAddr, mut request: http::Request<Full<Bytes>>) -> Answer {
    let host = address.to_string().parse().unwrap();
    request.headers_mut().entry(header::HOST).or_insert(host);
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    Answer { status: head.status, headers: head.headers, body: body.collect().await.unwrap().to_bytes() }
}

/// A request whose last byte is missing.
pub(crate) struct Begun {
    give: tokio::sync::mpsc::Sender<Bytes>,
    last: Bytes,
    answer: tokio::task::JoinHandle<http::Response<hyper::body::Incoming>>,
}

impl Begun {
    /// The status that comes of it, of gRPC where that is what it is.
    pub(crate) async fn end(self) -> String {
        self.give.send(self.last).await.unwrap();
        drop(self.give);
        let (head, body) = self.answer.await.unwrap().into_parts();
        let trailers = body.collect().await.unwrap().trailers().cloned().unwrap_or_default();
        let status = head.headers.get("grpc-status").or(trailers.get("grpc-status"));
        status.map_or_else(|| head.status.as_u16().to_string(), |status| status.to_str().unwrap().to_owned())
    }
}

/// Somebody who is connected.
pub(crate) struct Listener {
    pub(crate) client: Client,
}

impl Listener {
    /// Subscribed, once this returns.
    pub(crate) async fn listen(&self, channel: &str) -> Subscription {
        let mut subscription = self.client.subscribe(channel, SubscribeOptions::new()).await.unwrap();
        assert!(matches!(subscription.next().await, Some(Event::Subscribed(_))));
        subscription
    }
}

impl Listener {
    /// What the server sent before this has been taken: its answers come in order.
    pub(crate) async fn settle(&self) {
        let _ = self.client.presence_stats("news").await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Without this process's environment, in which somebody may have configured a server of their own.
fn program(folder: &TempDir) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_tidings"));
    program.env_clear().current_dir(folder);
    program
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The text at a path such as `/room/id`.
    pub(crate) fn text(&self, pointer: &str) -> String {
        let json = self.json();
        json.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no {pointer} in {json}")).to_owned()
    }

    /// The cookie that it sets, as the browser will send it.
    pub(crate) fn cookie(&self) -> Option<String> {
        let set = self.headers.get(header::SET_COOKIE)?.to_str().unwrap();
        Some(set.split(';').next().unwrap().to_owned())
    }
}

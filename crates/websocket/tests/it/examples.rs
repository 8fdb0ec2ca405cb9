//! Every example runs as its first comment says.

use bytes::Bytes;
use http::{Method, Request, Version, header::SEC_WEBSOCKET_VERSION};
use http_body_util::Empty;
use hyper::{client::conn::http2, ext::Protocol};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::{
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
    sync::{Arc, Once},
    time::Duration,
};
use tidings_websocket::{
    ClientStream, CloseCode, ConnectOptions, DeflateOptions, Limits, Message, Role, WebSocket, connect,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        self, ClientConfig, DigitallySignedStruct, SignatureScheme,
        client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        crypto::{CryptoProvider, ring},
        pki_types::{CertificateDer, ServerName, UnixTime},
    },
};

/// A running example, killed when it is dropped.
struct Example {
    process: Child,
    output: BufReader<ChildStdout>,
    address: String,
}

impl Example {
    fn start(name: &str, arguments: &[&str]) -> Self {
        let mut example = Self::run(name, arguments);
        let mut line = String::new();
        example.output.read_line(&mut line).unwrap();
        let (_, address) = line.trim_end().split_once("://").expect("it says where");
        example.address = address.to_owned();
        example
    }

    fn run(name: &str, arguments: &[&str]) -> Self {
        let mut process =
            Command::new(binary(name)).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Example { process, output, address: String::new() }
    }

    async fn connect(&self, path: &str) -> WebSocket<ClientStream> {
        let options = ConnectOptions::new().deflate(DeflateOptions::default());
        connect(format!("ws://{}{path}", self.address), options).await.unwrap().0
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The example's program. `cargo test` builds all examples before the tests; a narrower run may not.
fn binary(name: &str) -> PathBuf {
    static BUILT: Once = Once::new();
    let folder = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join("examples");
    BUILT.call_once(|| {
        if !folder.join("filewatch").exists() {
            let status =
                Command::new(env!("CARGO")).args(["build", "-q", "-p", "tidings-websocket", "--examples"]).status();
            assert!(status.unwrap().success());
        }
    });
    folder.join(name)
}

async fn text(socket: &mut WebSocket<impl AsyncRead + AsyncWrite + Unpin>) -> String {
    socket.receive().await.unwrap().unwrap().as_text().unwrap().to_owned()
}

#[tokio::test]
async fn echo_sends_messages_back_and_compresses_when_asked() {
    for (arguments, compressed) in [(&["127.0.0.1:0"][..], false), (&["127.0.0.1:0", "--deflate"], true)] {
        let example = Example::start("echo", arguments);
        let mut socket = example.connect("/").await;
        assert_eq!(socket.is_compressed(), compressed);
        let message = Message::text("to be or not to be ".repeat(100));
        socket.send(message.clone()).await.unwrap();
        assert_eq!(socket.receive().await.unwrap().unwrap(), message);
        assert_eq!(socket.close(CloseCode::NORMAL, "").await, Some(CloseCode::NORMAL.into()));
    }
}

#[tokio::test]
async fn echo_client_prints_what_comes_back() {
    let server = Example::start("echo", &["127.0.0.1:0"]);
    let mut client = Example::run("echo_client", &[&format!("ws://{}/", server.address)]);
    client.process.stdin.take().unwrap().write_all("hello\n".as_bytes()).unwrap();
    let mut line = String::new();
    client.output.read_line(&mut line).unwrap();
    assert_eq!(line, "hello\n");
    assert!(client.process.wait().unwrap().success());
}

#[tokio::test]
async fn echo_http2_names_the_version_that_brought_the_socket_and_sends_messages_back() {
    let example = Example::start("echo_http2", &["127.0.0.1:0"]);
    let options = ConnectOptions::new().tls(trusting_tls(&[]));
    let (mut socket, _) = connect(format!("wss://{}/", example.address), options).await.unwrap();
    assert_eq!(text(&mut socket).await, "HTTP/1.1");
    socket.send("hello").await.unwrap();
    assert_eq!(text(&mut socket).await, "hello");

    let tcp = TcpStream::connect(&example.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let tls = TlsConnector::from(trusting_tls(&["h2"])).connect(name, tcp).await.unwrap();
    assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut http, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(tls)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::builder()
        .method(Method::CONNECT)
        .uri(format!("https://{}/", example.address))
        .version(Version::HTTP_2)
        .extension(Protocol::from_static("websocket"))
        .header(SEC_WEBSOCKET_VERSION, "13")
        .body(Empty::<Bytes>::new())
        .unwrap();
    let response = http.send_request(request).await.unwrap();
    let stream = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    let mut socket = WebSocket::new(stream, Role::Client, Limits::client());
    assert_eq!(text(&mut socket).await, "HTTP/2.0");
    socket.send("hello").await.unwrap();
    assert_eq!(text(&mut socket).await, "hello");
}

/// TLS that trusts everybody, because the example makes a certificate that nobody knows.
fn trusting_tls(protocols: &[&str]) -> Arc<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trusting(provider)))
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

#[derive(Debug)]
struct Trusting(Arc<CryptoProvider>);

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[tokio::test]
async fn chat_carries_messages_to_everybody() {
    let example = Example::start("chat", &["127.0.0.1:0"]);
    let (mut ana, mut ben) = (example.connect("/ws").await, example.connect("/ws").await);
    ben.send("here").await.unwrap();
    assert_eq!(text(&mut ben).await, "here");
    ana.send("hello").await.unwrap();
    while text(&mut ana).await != "hello" {}
    assert_eq!(text(&mut ben).await, "hello");
}

#[tokio::test]
async fn command_runs_a_process_behind_a_socket() {
    let example = Example::start("command", &["127.0.0.1:0", "sed", "-u", "s/^/> /;/quit/q"]);
    let mut socket = example.connect("/ws").await;
    for line in ["hello", "quit"] {
        socket.send(line).await.unwrap();
        assert_eq!(text(&mut socket).await, format!("> {line}"));
    }
    assert!(socket.receive().await.is_none());
    assert_eq!(socket.close_frame().unwrap().code, CloseCode::NORMAL);
}

#[tokio::test]
async fn command_takes_and_gives_at_the_same_time() {
    let example = Example::start("command", &["127.0.0.1:0", "cat", "-n"]);
    let mut socket = example.connect("/ws").await;
    let long = "x".repeat(60_000);
    let sender = socket.sender(4 * 1024 * 1024);
    for _ in 0..40 {
        sender.try_send(long.as_str()).unwrap();
    }
    for number in 1..=40 {
        let line = timeout(Duration::from_secs(10), text(&mut socket)).await.expect("the command goes on");
        assert!(line == format!("{number:6}\t{long}"), "line {number} differs");
    }
}

#[tokio::test]
async fn command_ends_with_its_client() {
    let example = Example::start("command", &["127.0.0.1:0", "sh", "-c", "echo $$; exec cat"]);
    for closes in [true, false] {
        let mut socket = example.connect("/ws").await;
        let process = text(&mut socket).await;
        assert!(is_running(&process));
        if closes {
            socket.close(CloseCode::NORMAL, "").await;
        } else {
            // It vanishes in the middle of much that goes both ways, and has read nothing.
            let flood = async { while socket.send("x".repeat(60_000)).await.is_ok() {} };
            let _ = timeout(Duration::from_millis(500), flood).await;
            socket.abort();
        }
        let gone = async {
            while is_running(&process) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(10), gone).await.expect("the process ends soon after its client");
    }
}

fn is_running(process: &str) -> bool {
    Command::new("sh").args(["-c", &format!("kill -0 {process} 2>/dev/null")]).status().unwrap().success()
}

#[tokio::test]
async fn filewatch_shows_a_file_whenever_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "first").unwrap();
    let example = Example::start("filewatch", &["127.0.0.1:0", file.to_str().unwrap()]);
    let mut socket = example.connect("/ws").await;
    assert_eq!(text(&mut socket).await, "first");
    std::fs::write(&file, "second").unwrap();
    // The file may be caught between being emptied and being filled.
    while text(&mut socket).await != "second" {}
}

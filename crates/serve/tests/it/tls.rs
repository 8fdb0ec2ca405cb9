//! TLS (capabilities 0.8, 2.7, 2.11).

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::support::{PATIENCE, Wire};
use axum::Router;
use axum::routing::get;
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tidings_serve::test_kit::{TestClient, TestServer};
use tidings_serve::{CertificateError, Handle, Listen, Server, StartError, Tls};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

fn app() -> Router {
    Router::new().route("/", get(|| async { "hello" }))
}

fn certificate(names: &[&str]) -> CertifiedKey<KeyPair> {
    generate_simple_self_signed(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap()
}

fn tls(certificate: &CertifiedKey<KeyPair>) -> Tls {
    Tls::pem(certificate.cert.pem(), certificate.signing_key.serialize_pem())
}

fn write(directory: &Path, certificate: &CertifiedKey<KeyPair>) -> Tls {
    std::fs::write(directory.join("cert.pem"), certificate.cert.pem()).unwrap();
    std::fs::write(directory.join("key.pem"), certificate.signing_key.serialize_pem()).unwrap();
    Tls::files(directory.join("cert.pem"), directory.join("key.pem"))
}

fn client_config(trusted: &[&CertifiedKey<KeyPair>], protocols: &[&str]) -> ClientConfig {
    client_config_with(trusted, protocols, rustls::DEFAULT_VERSIONS)
}

fn client_config_with(
    trusted: &[&CertifiedKey<KeyPair>],
    protocols: &[&str],
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for certificate in trusted {
        roots.add(certificate.cert.der().clone()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    config
}

async fn connect(server: &Handle, name: &str, config: ClientConfig) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(server.local_addr()).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(name.to_owned()).unwrap(), stream).await
}

#[tokio::test(flavor = "multi_thread")]
async fn c2_7_a_hundred_times_a_tls_server_on_port_0_answers_at_once_and_shuts_down() {
    let certificate = certificate(&["localhost"]);
    for _ in 0..100 {
        let server = Server::bind(Listen::tcp("127.0.0.1:0").tls(tls(&certificate))).serve(app()).await.unwrap();
        assert!(server.url().starts_with("https://127.0.0.1:") && server.local_addr().port() != 0);
        let stream = connect(&server, "localhost", client_config(&[&certificate], &[])).await.unwrap();
        assert_eq!(Wire::over(stream).get("/").await.text(), "hello");
        assert!(server.shutdown(Duration::from_secs(10)).await.is_clean());
        server.wait().await.unwrap();
    }
}

#[tokio::test]
async fn c2_7_a_tls_server_on_a_port_in_use_is_an_error_before_serve_returns() {
    let certificate = certificate(&["localhost"]);
    let first = Server::bind("127.0.0.1:0").serve(app()).await.unwrap();
    let second = Server::bind(Listen::tcp(first.local_addr()).tls(tls(&certificate))).serve(app()).await;
    assert!(matches!(second, Err(StartError::Bind { .. })));
}

#[tokio::test]
async fn a_bad_certificate_or_key_is_an_error_before_serve_returns_and_names_the_file() {
    let good = certificate(&["localhost"]);
    let other = certificate(&["localhost"]);
    let start = async |tls: Tls| {
        let Err(StartError::Certificate(error)) = Server::bind(Listen::tcp("127.0.0.1:0").tls(tls)).serve(app()).await
        else {
            panic!("it must not start")
        };
        error
    };
    let missing = start(Tls::files("/nowhere/cert.pem", "/nowhere/key.pem")).await;
    assert!(matches!(missing, CertificateError::Read { .. }) && missing.to_string().contains("/nowhere/cert.pem"));
    let key = good.signing_key.serialize_pem();
    assert!(matches!(start(Tls::pem("not PEM", key.clone())).await, CertificateError::Pem { .. }));
    assert!(matches!(start(Tls::pem(good.cert.pem(), "not PEM")).await, CertificateError::Pem { .. }));
    assert!(matches!(start(Tls::pem(other.cert.pem(), key)).await, CertificateError::Pair { .. }));
}

#[tokio::test]
async fn c0_8_http2_and_http1_are_chosen_by_alpn_and_tls_1_2_and_1_3_are_spoken() {
    let certificate = certificate(&["localhost"]);
    let server = Server::bind(Listen::tcp("127.0.0.1:0").tls(tls(&certificate))).serve(app()).await.unwrap();
    for (offered, version) in [(&["h2", "http/1.1"][..], &rustls::version::TLS13), (&["h2"], &rustls::version::TLS12)] {
        let config = client_config_with(&[&certificate], offered, &[version]);
        let stream = connect(&server, "localhost", config).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        assert_eq!(stream.get_ref().1.protocol_version(), Some(version.version));
        assert_eq!(TestClient::http2(stream).await.get("/").await.body(), "hello");
    }
    let stream = connect(&server, "localhost", client_config(&[&certificate], &["http/1.1"])).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert_eq!(Wire::over(stream).get("/").await.text(), "hello");
}

#[tokio::test]
async fn the_certificate_is_chosen_by_the_name_that_the_client_asks_for() {
    let (first, second) = (certificate(&["first.test"]), certificate(&["second.test", "*.second.test"]));
    let both = tls(&first).and_pem(second.cert.pem(), second.signing_key.serialize_pem());
    let server = Server::bind(Listen::tcp("127.0.0.1:0").tls(both)).serve(app()).await.unwrap();
    let cases = [("first.test", &first), ("second.test", &second), ("www.second.test", &second)];
    for (name, expected) in cases {
        let stream = connect(&server, name, client_config(&[expected], &[])).await.unwrap();
        assert_eq!(stream.get_ref().1.peer_certificates().unwrap()[0], *expected.cert.der());
    }
    assert!(connect(&server, "unknown.test", client_config(&[&first], &[])).await.is_err(), "the first is the default");
}

#[tokio::test]
async fn c2_11_a_ready_configuration_is_taken_as_it_is() {
    let certificate = certificate(&["localhost"]);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::clone(certificate.cert.der())],
            PrivateKeyDer::try_from(certificate.signing_key.serialize_der()).unwrap(),
        )
        .unwrap();
    let tls = Tls::config(Arc::new(config));
    let server = Server::bind(Listen::tcp("127.0.0.1:0").tls(tls)).serve(app()).await.unwrap();
    let stream = connect(&server, "localhost", client_config(&[&certificate], &["h2"])).await.unwrap();
    assert_eq!(TestClient::http2(stream).await.get("/").await.body(), "hello");
}

#[tokio::test]
async fn c1_9_one_router_is_served_over_http_and_https_at_once() {
    let certificate = certificate(&["localhost"]);
    let server = Server::bind("127.0.0.1:0")
        .and_bind(Listen::tcp("127.0.0.1:0").tls(tls(&certificate)))
        .serve(app())
        .await
        .unwrap();
    let addresses: Vec<_> = server.local_addrs().collect();
    assert_eq!(Wire::connect(addresses[0]).await.get("/").await.text(), "hello");
    let stream = TcpStream::connect(addresses[1]).await.unwrap();
    let connector = TlsConnector::from(Arc::new(client_config(&[&certificate], &[])));
    let stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
    assert_eq!(Wire::over(stream).get("/").await.text(), "hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_change_under_load_without_one_failed_request_or_one_dropped_connection() {
    let directory = tempfile::tempdir().unwrap();
    let (old, new) = (certificate(&["localhost"]), certificate(&["localhost"]));
    let tls = write(directory.path(), &old);
    let server = Server::bind(Listen::tcp("127.0.0.1:0").tls(tls)).serve(app()).await.unwrap();
    let both = client_config(&[&old, &new], &[]);
    let mut before = Wire::over(connect(&server, "localhost", both.clone()).await.unwrap());
    before.get("/").await;

    let load = {
        let (server, both) = (server.clone(), both.clone());
        tokio::spawn(async move {
            for _ in 0..100 {
                let stream = connect(&server, "localhost", both.clone()).await.unwrap();
                assert_eq!(Wire::over(stream).get("/").await.text(), "hello");
            }
        })
    };
    for certificate in [&new, &old, &new] {
        write(directory.path(), certificate);
        server.reload_certificates().unwrap();
    }
    load.await.unwrap();
    assert_eq!(before.get("/").await.text(), "hello");
    let stream = connect(&server, "localhost", client_config(&[&new], &[])).await.unwrap();
    assert_eq!(stream.get_ref().1.peer_certificates().unwrap()[0], *new.cert.der());

    std::fs::write(directory.path().join("cert.pem"), "half a certif").unwrap();
    server.reload_certificates().unwrap_err();
    connect(&server, "localhost", client_config(&[&new], &[])).await.expect("the one in use stays in use");
    assert_eq!(server.stats().tls_failures, 0);
}

/// New handshakes until the server shows this certificate.
async fn until_shown(server: &Handle, certificate: &CertifiedKey<KeyPair>) {
    let shown = async {
        while connect(server, "localhost", client_config(&[certificate], &[])).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, shown).await.expect("the new certificate is shown in time");
}

#[tokio::test]
async fn a_changed_file_is_noticed_and_sighup_is_heeded() {
    let directory = tempfile::tempdir().unwrap();
    let (first, second, third) =
        (certificate(&["localhost"]), certificate(&["localhost"]), certificate(&["localhost"]));
    let watching = write(directory.path(), &first).watch(Some(Duration::from_millis(10)));
    let server = Server::bind(Listen::tcp("127.0.0.1:0").tls(watching)).serve(app()).await.unwrap();
    until_shown(&server, &first).await;
    write(directory.path(), &second);
    until_shown(&server, &second).await;
    server.close();

    let heeding = write(directory.path(), &second).watch(None).reload_on_hangup();
    let server = Server::bind(Listen::tcp("127.0.0.1:0").tls(heeding)).serve(app()).await.unwrap();
    write(directory.path(), &third);
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::HUP).unwrap();
    until_shown(&server, &third).await;
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_is_not_finished_in_10_seconds_is_given_up_and_stalls_nobody() {
    let certificate = certificate(&["localhost"]);
    let server = Server::bind(Listen::tcp("127.0.0.1:0").tls(tls(&certificate))).serve(app()).await.unwrap();
    let began = tokio::time::Instant::now();
    let mut silent = Wire::connect(server.local_addr()).await;
    let stream = connect(&server, "localhost", client_config(&[&certificate], &[])).await.unwrap();
    let mut served = Wire::over(stream);
    served.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n").await;
    assert!(served.some().await.starts_with(b"HTTP/1.1 200"));
    assert!(silent.read_to_end().await.is_empty());
    assert_eq!(began.elapsed().as_secs(), 10);
    assert_eq!(server.stats().tls_failures, 1);
}

#[tokio::test]
async fn plain_http_on_the_tls_port_costs_one_connection() {
    let certificate = certificate(&["localhost"]);
    let server = TestServer::serve(Server::bind(Listen::tcp("127.0.0.1:0").tls(tls(&certificate))), app()).await;
    let mut wire = Wire::connect(server.handle().local_addr()).await;
    wire.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n").await;
    wire.read_to_end().await;
    assert_eq!(server.handle().stats().tls_failures, 1);
}

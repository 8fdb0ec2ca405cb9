//! Who is calling (capability 1.10, S51), through the server as a whole.

use crate::support::Wire;
use axum::Router;
use axum::routing::get;
use tidings_serve::test_kit::TestServer;
use tidings_serve::{Caller, Listen, Server, TrustedProxies};

fn app() -> Router {
    let who = |caller: Caller| async move {
        let address = caller.address.map_or("nobody".to_owned(), |address| address.to_string());
        format!("{address} {} {}", if caller.is_https { "https" } else { "http" }, caller.host)
    };
    Router::new().route("/", get(who))
}

const FORWARDED: &str = "GET / HTTP/1.1\r\nhost: inner\r\nx-forwarded-for: 198.51.100.7\r\nx-forwarded-proto: https\r\n\
                         x-forwarded-host: chat.example\r\n\r\n";

async fn ask(server: &TestServer) -> String {
    let mut wire = Wire::connect(server.handle().local_addr()).await;
    wire.send(FORWARDED).await;
    wire.answer().await.unwrap().text()
}

#[tokio::test]
async fn s51_forwarding_fields_of_strangers_are_ignored() {
    let server = TestServer::start(app()).await;
    assert_eq!(ask(&server).await, "127.0.0.1 http inner");
}

#[tokio::test]
async fn a_trusted_proxy_is_believed() {
    let proxies = TrustedProxies::parse(["127.0.0.0/8"]).unwrap();
    let server = TestServer::serve(Server::bind("127.0.0.1:0").trusted_proxies(proxies), app()).await;
    assert_eq!(ask(&server).await, "198.51.100.7 https chat.example");
}

#[tokio::test]
async fn http2_names_its_host_in_the_authority() {
    let server = TestServer::start(app()).await;
    assert_eq!(server.http2().await.get("/").await.body(), "127.0.0.1 http test");
}

#[tokio::test]
async fn behind_a_unix_socket_the_proxy_is_believed_when_it_is_trusted() {
    let directory = tempfile::tempdir().unwrap();
    for (proxies, expected) in [
        (TrustedProxies::none(), "nobody http inner"),
        (TrustedProxies::none().and_unix(), "198.51.100.7 https chat.example"),
    ] {
        let path = directory.path().join("app.sock");
        let server = Server::bind(Listen::unix(&path)).trusted_proxies(proxies).serve(app()).await.unwrap();
        let mut wire = Wire::over(tokio::net::UnixStream::connect(&path).await.unwrap());
        wire.send(FORWARDED).await;
        assert_eq!(wire.answer().await.unwrap().text(), expected);
        server.shutdown(std::time::Duration::from_secs(10)).await;
    }
}

//! WebSockets over HTTP/2 (RFC 8441), with nothing but hyper on both sides.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Version, header::SEC_WEBSOCKET_VERSION};
use http_body_util::{Empty, Full};
use hyper::{body::Incoming, ext::Protocol, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use std::convert::Infallible;
use tidings_websocket::{CloseCode, Limits, Message, Role, Upgrade, Upgraded, WebSocket};
use tokio::net::{TcpListener, TcpStream};

async fn echo(mut socket: WebSocket<Upgraded>) {
    while let Some(Ok(message)) = socket.receive().await {
        if socket.send(message).await.is_err() {
            return;
        }
    }
}

/// The plain hyper path: a request in, a response out.
async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (mut head, _) = request.into_parts();
    let response = match Upgrade::from_parts(&mut head).and_then(|upgrade| upgrade.protocols(["chat"]).accept(echo)) {
        Ok(response) => response.map(|()| Full::default()),
        Err(refusal) => refusal.response().map(Into::into),
    };
    Ok(response)
}

async fn client() -> hyper::client::conn::http2::SendRequest<Empty<Bytes>> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http2().enable_connect_protocol();
        builder.serve_connection_with_upgrades(TokioIo::new(stream), service_fn(answer)).await
    });
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn connect(path: &str) -> http::request::Builder {
    Request::builder()
        .method(Method::CONNECT)
        .uri(format!("http://a.example{path}"))
        .version(Version::HTTP_2)
        .extension(Protocol::from_static("websocket"))
        .header(SEC_WEBSOCKET_VERSION, "13")
}

#[tokio::test]
async fn many_sockets_share_one_http2_connection() {
    let mut client = client().await;
    let mut sockets = Vec::new();
    for _ in 0..20 {
        let request = connect("/ws").header("sec-websocket-protocol", "x, chat").header("origin", "http://a.example");
        client.ready().await.unwrap();
        let response = client.send_request(request.body(Empty::new()).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["sec-websocket-protocol"], "chat");
        let stream = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
        sockets.push(WebSocket::new(stream, Role::Client, Limits::client()));
    }
    for (number, socket) in sockets.iter_mut().enumerate() {
        socket.send(format!("message {number}")).await.unwrap();
        socket.send(vec![1; 60_000]).await.unwrap();
    }
    for (number, socket) in sockets.iter_mut().enumerate() {
        assert_eq!(socket.receive().await.unwrap().unwrap(), Message::text(format!("message {number}")));
        assert_eq!(socket.receive().await.unwrap().unwrap().len(), 60_000);
        assert_eq!(socket.close(CloseCode::NORMAL, "").await, Some(CloseCode::NORMAL.into()));
    }
}

#[tokio::test]
async fn requests_that_are_no_websocket_are_refused_cleanly_s04() {
    let mut client = client().await;
    let get = Request::get("http://a.example/ws").body(Empty::new()).unwrap();
    assert_eq!(client.send_request(get).await.unwrap().status(), StatusCode::UPGRADE_REQUIRED);
    let post = Request::post("http://a.example/ws").body(Empty::new()).unwrap();
    assert_eq!(client.send_request(post).await.unwrap().status(), StatusCode::METHOD_NOT_ALLOWED);
    let mut old = connect("/ws").body(Empty::new()).unwrap();
    old.headers_mut().insert(SEC_WEBSOCKET_VERSION, "8".parse().unwrap());
    assert_eq!(client.send_request(old).await.unwrap().status(), StatusCode::UPGRADE_REQUIRED);
    let foreign = connect("/ws").header("origin", "http://evil.example").body(Empty::new()).unwrap();
    assert_eq!(client.send_request(foreign).await.unwrap().status(), StatusCode::FORBIDDEN);
}

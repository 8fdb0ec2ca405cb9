//! The server API over gRPC: the same messages, keys and limits as over HTTP, on the same port and on one of its own.

use crate::server::Server;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use serde_json::json;
use std::net::SocketAddr;
use tidings_api::{
    BatchRequest, BatchResponse, Command, ConnectionsRequest, Error, HistoryRequest, Method, PresenceRequest,
    PublishRequest, Request, Response, SERVICES, StreamPosition,
};
use tokio::net::TcpStream;

/// What came of a call.
struct Called {
    status: u32,
    message: String,
    request_id: Option<String>,
    body: Option<Bytes>,
}

/// One call over a connection of its own, by prior knowledge of HTTP/2.
async fn call_at(address: SocketAddr, path: &str, metadata: &[(&str, &str)], message: Vec<u8>) -> Called {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap());
    framed.extend_from_slice(&message);
    let mut request = http::Request::post(format!("http://{address}{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in metadata {
        request = request.header(*name, *value);
    }
    let answer = sender.send_request(request.body(Full::new(framed.freeze())).unwrap()).await.unwrap();
    assert_eq!(answer.status(), 200);
    let (head, body) = answer.into_parts();
    let collected = body.collect().await.unwrap();
    let trailers = collected.trailers().cloned().unwrap_or_default();
    let text = |name: &str| {
        let value = trailers.get(name).or_else(|| head.headers.get(name))?;
        Some(value.to_str().unwrap().to_owned())
    };
    let (status, message) = (text("grpc-status").unwrap().parse().unwrap(), text("grpc-message").unwrap_or_default());
    let mut body = collected.to_bytes();
    let body = (!body.is_empty()).then(|| {
        assert_eq!(body.get_u8(), 0, "it is not compressed");
        assert_eq!(body.get_u32() as usize, body.remaining());
        body
    });
    Called { status, message, request_id: text("x-request-id"), body }
}

async fn ask<Q: Request>(server: &Server, metadata: &[(&str, &str)], request: &Q) -> Called {
    call_at(server.address, &format!("/{}/{}", SERVICES[0], Q::METHOD.path()), metadata, request.encode_to_vec()).await
}

/// With the generated key.
async fn call<Q: Request>(server: &Server, request: &Q) -> Result<Q::Result, Error> {
    let called = ask(server, &[("x-api-key", &server.api_key())], request).await;
    assert_eq!((called.status, &*called.message), (0, ""));
    Q::Response::decode(called.body.unwrap()).unwrap().into_result().unwrap()
}

fn publish(channel: &str, data: &'static [u8]) -> PublishRequest {
    PublishRequest { channel: channel.into(), data: Bytes::from_static(data), ..PublishRequest::default() }
}

#[tokio::test]
async fn what_is_published_over_grpc_is_read_over_http_and_the_other_way_round() {
    let server = Server::configured("[channels]\npublication_format = \"any\"\n");
    let published = call(&server, &publish("news", b"{\"a\": [1]}")).await.unwrap();
    assert_eq!(published.offset, 1);
    call(&server, &publish("news", &[0, 255])).await.unwrap();
    let told = server.api("history", &json!({"channel": "news", "limit": -1})).await;
    assert_eq!(told["result"]["publications"][0]["data"], json!({"a": [1]}));
    assert_eq!(told["result"]["publications"][1], json!({"data": null, "b64data": "AP8=", "offset": 2}));
    server.api("publish", &json!({"channel": "news", "data": "three"})).await;
    let since = Some(StreamPosition { offset: 1, epoch: published.epoch });
    let history = HistoryRequest { channel: "news".into(), limit: 10, since, ..HistoryRequest::default() };
    let history = call(&server, &history).await.unwrap();
    let data: Vec<_> = history.publications.iter().map(|one| one.data.to_vec()).collect();
    assert_eq!(data, [vec![0, 255], b"\"three\"".to_vec()]);
}

#[tokio::test]
async fn the_key_is_metadata_in_either_form_and_without_one_nothing_is_read() {
    let server = Server::start();
    let key = server.api_key();
    let request = PresenceRequest { channel: "news".into() };
    for metadata in [("x-api-key", key.clone()), ("authorization", format!("apikey {key}"))] {
        assert_eq!(ask(&server, &[(metadata.0, &metadata.1)], &request).await.status, 0, "{}", metadata.0);
    }
    for metadata in [&[][..], &[("x-api-key", "wrong")], &[("authorization", &*key)]] {
        let refused = ask(&server, metadata, &request).await;
        assert_eq!(refused.status, 16);
        assert!(refused.message.contains("x-api-key") && refused.body.is_none(), "{}", refused.message);
        assert_eq!(refused.request_id.unwrap().len(), 32);
    }
}

#[tokio::test]
async fn errors_are_in_the_answer_or_as_whoever_calls_wants_it_in_the_status() {
    let server = Server::start();
    let room = publish("room:1", b"1");
    assert_eq!(call(&server, &room).await.unwrap_err().code, 102);
    let metadata = [("x-api-key", &*server.api_key()), ("x-centrifugo-error-mode", "transport")];
    let refused = ask(&server, &metadata, &room).await;
    assert_eq!((refused.status, refused.body), (5, None));
    assert!(refused.message.starts_with("unknown%20channel") || refused.message.starts_with("unknown channel"));
    let odd = ask(&server, &metadata, &ConnectionsRequest { limit: -1, ..ConnectionsRequest::default() }).await;
    assert_eq!(odd.status, 3);
}

#[tokio::test]
async fn every_method_is_there_under_both_names_of_the_service_and_no_other() {
    let server = Server::start();
    let key = [("x-api-key", &*server.api_key())];
    for service in SERVICES {
        for path in Method::ALL.iter().map(|method| method.path()).chain(["Batch"]) {
            assert_eq!(
                call_at(server.address, &format!("/{service}/{path}"), &key, Vec::new()).await.status,
                0,
                "{path}"
            );
        }
        assert_eq!(call_at(server.address, &format!("/{service}/Nothing"), &key, Vec::new()).await.status, 12);
    }
}

#[tokio::test]
async fn a_message_that_is_broken_or_too_large_is_refused() {
    let server = Server::start();
    let key = [("x-api-key", &*server.api_key())];
    let path = format!("/{}/Publish", SERVICES[0]);
    let malformed = call_at(server.address, &path, &key, vec![0xff; 8]).await;
    assert_eq!(malformed.status, 3, "{}", malformed.message);
    let large =
        PublishRequest { channel: "news".into(), data: vec![b'1'; 1 << 20].into(), ..PublishRequest::default() };
    let refused = call_at(server.address, &path, &key, large.encode_to_vec()).await;
    assert_eq!(refused.status, 8, "{}", refused.message);
    let other_epoch = Some(StreamPosition { offset: 1, epoch: "other".into() });
    let history = HistoryRequest { channel: "news".into(), limit: 1, since: other_epoch, ..HistoryRequest::default() };
    let in_status = [key[0], ("x-centrifugo-error-mode", "transport")];
    call(&server, &publish("news", b"1")).await.unwrap();
    assert_eq!(ask(&server, &in_status, &history).await.status, 11, "which is a position's own status");
}

#[tokio::test]
async fn a_batch_answers_each_call_in_its_place() {
    let server = Server::start();
    let commands = vec![
        Command { publish: Some(publish("news", b"1")), ..Command::default() },
        Command { publish: Some(publish("room:1", b"1")), ..Command::default() },
        Command::default(),
    ];
    let request = BatchRequest { commands, parallel: true };
    let key = [("x-api-key", &*server.api_key())];
    let called = call_at(server.address, &format!("/{}/Batch", SERVICES[0]), &key, request.encode_to_vec()).await;
    let replies = BatchResponse::decode(called.body.unwrap()).unwrap().replies;
    assert_eq!(replies[0].publish.as_ref().unwrap().offset, 1);
    assert_eq!(
        replies.iter().map(|reply| reply.error.as_ref().map_or(0, |error| error.code)).collect::<Vec<_>>(),
        [0, 102, 104]
    );
}

/// An empty command has two bytes here, and takes more than a kilobyte when it is built.
#[tokio::test]
async fn commands_of_a_batch_are_counted_before_they_are_built() {
    let server = Server::start();
    let key = [("x-api-key", &*server.api_key())];
    let path = format!("/{}/Batch", SERVICES[0]);
    let empty = [0x0a, 0].repeat(520_000);
    let before = server.peak_kib();
    let called = call_at(server.address, &path, &key, empty.clone()).await;
    assert_eq!(BatchResponse::decode(called.body.unwrap()).unwrap().error.unwrap().code, 106);
    let in_status = [key[0], ("x-centrifugo-error-mode", "transport")];
    assert_eq!(call_at(server.address, &path, &in_status, empty).await.status, 8);
    let body = format!("{{\"commands\": [{}]}}", vec!["{}"; 345_000].join(","));
    let request = http::Request::post("/api/batch").header("x-api-key", key[0].1).body(Full::from(body)).unwrap();
    assert_eq!(server.send(request).await.json()["error"]["code"], 106);
    let taken = server.peak_kib() - before;
    assert!(taken < 64 * 1024, "{taken} KiB");
}

#[tokio::test]
async fn grpc_has_a_listener_of_its_own_where_one_is_configured_and_nothing_else_is_there() {
    let server = Server::configured("grpc_listen = \"127.0.0.1:0\"\n");
    let own = server.grpc.unwrap();
    let key = [("x-api-key", &*server.api_key())];
    let info = format!("/{}/Info", SERVICES[0]);
    for address in [own, server.address] {
        assert_eq!(call_at(address, &info, &key, Vec::new()).await.status, 0, "{address}");
    }
    for path in ["/api/info", "/metrics", "/", "/connection/websocket"] {
        let answer = server.get_at(own, path).await;
        assert_eq!(answer.status, 404, "{path}");
    }
    // The calls and questions there, the call here, and this question.
    let request = http::Request::get("/metrics").header("x-api-key", key[0].1).body(Full::default()).unwrap();
    let metrics = String::from_utf8(server.send(request).await.body.to_vec()).unwrap();
    assert!(metrics.contains("tidings_http_requests_total 7"), "{metrics}");
}

#[tokio::test]
async fn what_is_no_grpc_is_told_where_to_go() {
    let server = Server::start();
    let request = http::Request::post(format!("/{}/Info", SERVICES[0])).header("content-type", "application/grpc");
    let answer = server.send(request.body(Full::default()).unwrap()).await;
    assert_eq!(answer.status, 415);
    assert!(String::from_utf8_lossy(&answer.body).contains("HTTP/2"));
}

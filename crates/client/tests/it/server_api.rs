//! The REST client against an HTTP server that answers what the test tells it to.

use axum::body::Bytes;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tidings_client::{ApiError, HistoryQuery, PublishOptions, ServerApi};
use tidings_protocol::{Payload, StreamPosition};
use tokio::net::TcpListener;

async fn answer(Path(method): Path<String>, headers: HeaderMap, body: Bytes) -> (StatusCode, Json<Value>) {
    if headers["x-api-key"] != "secret" {
        return (StatusCode::UNAUTHORIZED, Json(json!("unauthorized")));
    }
    let body: Value = serde_json::from_slice(&body).unwrap();
    let result = match (method.as_str(), body) {
        ("publish", body) if body == json!({"channel": "news", "data": {"n": 1}, "idempotency_key": "k"}) => {
            json!({"result": {"offset": 7, "epoch": "E"}})
        }
        ("publish", body) if body["channel"] == "room:1" => {
            json!({"error": {"code": 103, "message": "permission denied"}})
        }
        ("broadcast", body) if body == json!({"channels": ["a", "b"], "data": 1, "skip_history": true}) => json!({
            "result": {"responses": [{"result": {}}, {"error": {"code": 102, "message": "unknown channel"}}]}
        }),
        ("history", body) if body == json!({"channel": "news", "limit": 10, "since": {"offset": 3, "epoch": "E"}}) => {
            json!({"result": {"publications": [{"data": 4, "offset": 4}], "epoch": "E", "offset": 4}})
        }
        ("presence", _) => json!({"result": {"presence": {"c": {"user": "ana", "client": "c"}}}}),
        ("presence_stats", _) => json!({"result": {"num_clients": 2, "num_users": 1}}),
        ("info", _) => json!({"result": {"nodes": []}}),
        (method, body) => panic!("unexpected {method} {body}"),
    };
    (StatusCode::OK, Json(result))
}

async fn start() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().route("/api/{method}", post(answer));
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}")
}

fn payload(json: &str) -> Payload {
    Payload::parse(json.as_bytes()).unwrap()
}

#[tokio::test]
async fn every_method_of_the_server_api_says_and_understands_its_json() {
    let api = ServerApi::new(&start().await, "secret").unwrap();
    let options = PublishOptions { idempotency_key: Some("k".to_owned()), ..PublishOptions::default() };
    let position = StreamPosition { offset: 7, epoch: "E".to_owned() };
    assert_eq!(api.publish("news", payload(r#"{"n":1}"#), options).await.unwrap(), position);
    let refused = api.publish("room:1", payload("1"), PublishOptions::default()).await;
    assert!(matches!(refused, Err(ApiError::Refused(error)) if error.code == 103));
    let options = PublishOptions { skip_history: true, ..PublishOptions::default() };
    let results = api.broadcast(&["a", "b"], payload("1"), options).await.unwrap();
    assert_eq!(results[0], Ok(StreamPosition::default()));
    assert_eq!(results[1].as_ref().unwrap_err().code, 102);
    let since = StreamPosition { offset: 3, epoch: "E".to_owned() };
    assert_eq!(api.history("news", HistoryQuery::after(since, 10)).await.unwrap().publications[0].offset, 4);
    assert_eq!(api.presence("news").await.unwrap()["c"].user, "ana");
    assert_eq!(api.presence_stats("news").await.unwrap().num_clients, 2);
    assert_eq!(api.info().await.unwrap(), payload(r#"{"nodes":[]}"#));
}

#[tokio::test]
async fn a_wrong_key_and_an_absent_server_are_told_apart() {
    let url = start().await;
    let wrong = ServerApi::new(&url, "wrong").unwrap();
    assert!(matches!(wrong.info().await, Err(ApiError::Unauthorized)));
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let absent = ServerApi::new(&format!("http://{nobody}/"), "secret").unwrap();
    let error = absent.info().await.unwrap_err();
    assert!(matches!(&error, ApiError::Unreachable(cause) if cause.contains("refused")), "{error}");
}

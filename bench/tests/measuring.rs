//! The load generator against a small server of the test's own, which can also lose and reorder.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::any;
use serde_json::{Value, json};
use tidings_bench::cli::{BenchArgs, BenchCommand, FanoutArgs, IdleArgs, Subscription, TargetArgs, Transport};
use tidings_websocket::{Upgrade, Upgraded, WebSocket};
use tokio::net::TcpListener;
use tokio::sync::broadcast;

/// Which publications a faulty server does not deliver.
type Loses = fn(u64) -> bool;

async fn start(loses: Loses) -> TargetArgs {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let channel = Arc::new(broadcast::Sender::new(1024));
    let connect = move |upgrade: Upgrade| {
        let channel = Arc::clone(&channel);
        async move { upgrade.on_upgrade(move |socket| serve(socket, channel, loses)) }
    };
    let app = Router::new().route("/connection/websocket", any(connect));
    tokio::spawn(async move { axum::serve(listener, app).await });
    TargetArgs {
        server: Some(format!("ws://{address}/connection/websocket")),
        server_pid: Some(std::process::id()),
        token_secret: Some("secret".to_owned()),
        unpinned: true,
        ..TargetArgs::default()
    }
}

async fn serve(mut socket: WebSocket<Upgraded>, channel: Arc<broadcast::Sender<String>>, loses: Loses) {
    let mut subscription: Option<broadcast::Receiver<String>> = None;
    loop {
        let message = match &mut subscription {
            None => socket.receive().await,
            Some(publications) => tokio::select! {
                message = socket.receive() => message,
                Ok(push) = publications.recv() => {
                    let _ = socket.send(push).await;
                    continue;
                }
            },
        };
        let Some(Ok(message)) = message else { return };
        for line in message.as_text().unwrap().lines() {
            let command: Value = serde_json::from_str(line).unwrap();
            let id = &command["id"];
            let reply = if command.get("connect").is_some() {
                assert!(command["connect"]["token"].as_str().unwrap().split('.').count() == 3);
                json!({"id": id, "connect": {"client": "c", "version": "v", "ping": 25, "pong": true}})
            } else if command.get("subscribe").is_some() {
                subscription = Some(channel.subscribe());
                json!({"id": id, "subscribe": {}})
            } else if command.get("publish").is_some() {
                let data = &command["publish"]["data"];
                let text = format!(r#"{{"n":{},"p":{},"at":{},"pad":"x"}}"#, data["n"], data["p"], data["at"]);
                let number = data["n"].as_u64().unwrap();
                let publication = format!(r#"{{"data":{text},"offset":{number}}}"#);
                if !loses(number) {
                    let _ = channel.send(format!(r#"{{"push":{{"channel":"bench","pub":{publication}}}}}"#));
                }
                json!({"id": id, "publish": {}})
            } else {
                continue;
            };
            let _ = socket.send(reply.to_string()).await;
        }
    }
}

fn fanout(target: TargetArgs) -> BenchArgs {
    BenchArgs {
        command: BenchCommand::Fanout(FanoutArgs {
            target,
            subscribers: vec![20],
            window: vec![4],
            rate: Vec::new(),
            channels_per_connection: vec![1],
            publishers: 1,
            payload: 128,
            duration: Duration::from_secs(1),
            messages: Some(100),
        }),
    }
}

#[tokio::test]
async fn capability_1_3_a_fan_out_is_measured_when_every_subscriber_gets_every_publication() {
    tidings_bench::run(fanout(start(|_| false).await)).await.unwrap();
}

#[tokio::test]
async fn a_server_that_loses_a_publication_fails_the_measurement() {
    let error = tidings_bench::run(fanout(start(|number| number == 50).await)).await.unwrap_err();
    assert!(format!("{error:#}").contains("publication 51 of the channel came after 49"), "{error:#}");
}

#[tokio::test]
async fn idle_connections_are_measured() {
    let target = start(|_| false).await;
    let subscribe = vec![Subscription::None];
    let transport = vec![Transport::Websocket];
    let duration = Duration::from_secs(1);
    let args = IdleArgs { target, connections: vec![20], subscribe, transport, tls: false, duration };
    tidings_bench::run(BenchArgs { command: BenchCommand::Idle(args) }).await.unwrap();
}

#[tokio::test]
async fn other_machines_are_not_put_under_load() {
    let target = TargetArgs {
        server: Some("ws://192.0.2.1:8000/connection/websocket".to_owned()),
        token_secret: Some("secret".to_owned()),
        ..TargetArgs::default()
    };
    let error = tidings_bench::run(fanout(target)).await.unwrap_err();
    assert!(error.to_string().contains("is not this machine"), "{error}");
}

//! The Rust client and a token that is too old when it comes: it goes on by itself, as the other SDKs do.

use crate::server::Server;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tidings_client::{Client, Event, Options, State, SubscribeOptions, TokenError};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(10);

/// Hands out tokens that expire after `ttls`, some of them in the past, and then good ones.
struct Backend {
    key: EncodingKey,
    ttls: Mutex<VecDeque<i64>>,
    claims: Value,
}

impl Backend {
    fn new(server: &Server, ttls: &[i64], claims: Value) -> Arc<Self> {
        let key = EncodingKey::from_secret(server.token_secret().as_bytes());
        Arc::new(Self { key, ttls: Mutex::new(ttls.iter().copied().collect()), claims })
    }

    fn token(&self) -> Result<String, TokenError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let ttl = self.ttls.lock().unwrap().pop_front().unwrap_or(3600);
        let mut claims = self.claims.clone();
        claims["exp"] = json!(now.checked_add_signed(ttl).unwrap());
        Ok(jsonwebtoken::encode(&Header::default(), &claims, &self.key).unwrap())
    }
}

#[tokio::test]
async fn the_rust_client_comes_back_when_its_refresh_brings_an_expired_token() {
    let server = Server::start();
    let backend = Backend::new(&server, &[1, -60], json!({"sub": "ana"}));
    let options =
        Options::new().backoff(Duration::from_millis(1), Duration::from_millis(10)).token_provider(move || {
            let token = backend.token();
            async { token }
        });
    let client = Client::connect(&server.socket_url(), options).unwrap();
    let mut states = client.states();
    let lost = |state: &State| matches!(state, State::Connecting { why: Some(why), .. } if why.code == 3005);
    timeout(SOON, states.wait_for(lost)).await.expect("the refresh is refused").unwrap();
    timeout(SOON, client.connected()).await.expect("it is back").unwrap();
    client.close().await;
}

#[tokio::test]
async fn the_rust_client_subscribes_again_when_its_refresh_brings_an_expired_token() {
    let server = Server::start();
    let backend = Backend::new(&server, &[1, -60], json!({"sub": "ana", "channel": "$secret"}));
    let options =
        Options::new().token(server.token("ana")).backoff(Duration::from_millis(1), Duration::from_millis(10));
    let client = Client::connect(&server.socket_url(), options).unwrap();
    let options = SubscribeOptions::new().token_provider(move || {
        let token = backend.token();
        async { token }
    });
    let mut subscription = client.subscribe("$secret", options).await.unwrap();
    let mut events = Vec::new();
    while events.iter().filter(|event| matches!(event, Event::Subscribed(_))).count() < 2 {
        events.push(timeout(SOON, subscription.next()).await.expect("it is subscribed again").expect("it lives on"));
    }
    assert!(matches!(&events[1], Event::Interrupted { code: 2501, .. }), "{events:?}");
    client.close().await;
}

#[tokio::test]
async fn that_a_name_makes_no_personal_channel_is_logged_once_for_each_reason() {
    let server = Server::configured("[namespaces.me]\npersonal = true\n");
    for user in ["Zoë", "Ana\u{9b}", &"a".repeat(255), "ana"] {
        drop(server.client(user).await);
    }
    let log = server.log();
    let told: Vec<_> = log.lines().filter(|line| line.contains("a user has no personal channel")).collect();
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(
        told[0].contains("Zoë") && told[0].contains("printable ASCII") && told[1].contains("at most 255"),
        "{told:#?}"
    );
}

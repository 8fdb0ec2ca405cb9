//! The client over real sockets, against a server that says what the test tells it to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::support::{Server, options, resumed, stream};
use serde_json::json;
use tidings_client::{
    Client, Event, HistoryQuery, Options, RequestError, ServerEventKind, State, SubscribeError, SubscribeOptions,
    Subscription, limits, local,
};
use tidings_protocol::Payload;
use tokio::time::timeout;

async fn next(subscription: &mut Subscription) -> Event {
    timeout(Duration::from_secs(10), subscription.next()).await.expect("no event").expect("the subscription is over")
}

/// The next event, which must be a publication, as its number.
async fn next_number(subscription: &mut Subscription) -> u64 {
    match next(subscription).await {
        Event::Publication(publication) => publication.offset,
        event => panic!("expected a publication, got {event:?}"),
    }
}

fn recoverable() -> SubscribeOptions {
    SubscribeOptions::new().recoverable()
}

fn payload(json: &str) -> Payload {
    Payload::parse(json.as_bytes()).unwrap()
}

#[tokio::test]
async fn capability_4_3_a_client_subscribes_receives_and_publishes() {
    let mut server = Server::start().await;
    let client = Client::connect(&server.url(), options().name("test")).unwrap();
    let mut peer = server.welcome().await;
    client.connected().await.unwrap();
    assert_eq!(client.state(), State::Connected { client: "c1".to_owned(), version: "v1".to_owned() });

    let mut news = client.subscribe("news", SubscribeOptions::new().join_leave()).await.unwrap();
    assert_eq!(peer.subscribe(stream(4)).await["subscribe"]["join_leave"], true);
    assert!(matches!(next(&mut news).await, Event::Subscribed(subscribed) if subscribed.position.offset == 4));
    peer.send(&json!({"push": {"channel": "news", "join": {"info": {"user": "ana", "client": "x"}}}})).await;
    assert!(matches!(next(&mut news).await, Event::Join(info) if info.user == "ana"));

    let publishing = tokio::spawn({
        let client = client.clone();
        async move { client.publish("news", payload(r#"{"text":"hi"}"#)).await }
    });
    let command = peer.expect("publish").await;
    assert_eq!(command["publish"], json!({"channel": "news", "data": {"text": "hi"}}));
    peer.publish("news", 5).await;
    peer.reply(&command, "publish", json!({})).await;
    publishing.await.unwrap().unwrap();
    assert_eq!(next_number(&mut news).await, 5);
    assert_eq!(news.position().offset, 5);
}

#[tokio::test]
async fn requests_get_their_results_and_refusals() {
    let mut server = Server::start().await;
    let client = Client::connect(&server.url(), options()).unwrap();
    let mut peer = server.welcome().await;
    let asking = tokio::spawn(async move {
        let history = client.history("news", HistoryQuery::latest(2)).await.unwrap();
        let presence = client.presence("news").await.unwrap();
        let stats = client.presence_stats("news").await.unwrap();
        let answer = client.rpc("add", payload("[1,2]")).await.unwrap();
        let refused = client.publish("news", payload("1")).await;
        (history, presence, stats, answer, refused)
    });
    let command = peer.expect("history").await;
    assert_eq!(command["history"], json!({"channel": "news", "limit": 2, "reverse": true}));
    peer.reply(&command, "history", json!({"publications": [{"data": 2, "offset": 2}], "epoch": "E", "offset": 2}))
        .await;
    let command = peer.expect("presence").await;
    peer.reply(&command, "presence", json!({"presence": {"c1": {"user": "ana", "client": "c1"}}})).await;
    let command = peer.expect("presence_stats").await;
    peer.reply(&command, "presence_stats", json!({"num_clients": 2, "num_users": 1})).await;
    let command = peer.expect("rpc").await;
    peer.reply(&command, "rpc", json!({"data": 3})).await;
    let command = peer.expect("publish").await;
    peer.refuse(&command, 103).await;

    let (history, presence, stats, answer, refused) = asking.await.unwrap();
    assert_eq!((history.publications.len(), history.offset), (1, 2));
    assert_eq!(presence["c1"].user, "ana");
    assert_eq!((stats.num_clients, stats.num_users), (2, 1));
    assert_eq!(answer, Some(payload("3")));
    assert!(matches!(refused, Err(RequestError::Refused(error)) if error.code == 103));
}

#[tokio::test]
async fn capability_4_26_after_a_cut_link_the_subscriber_gets_what_it_missed_once_and_in_order() {
    let mut server = Server::start().await;
    let client = Client::connect(&server.url(), options()).unwrap();
    let mut peer = server.welcome().await;
    let mut news = client.subscribe("news", recoverable()).await.unwrap();
    peer.subscribe(stream(0)).await;
    peer.publish("news", 1).await;
    assert!(matches!(next(&mut news).await, Event::Subscribed(_)));
    assert_eq!(next_number(&mut news).await, 1);
    peer.cut();
    assert!(matches!(next(&mut news).await, Event::Interrupted { .. }));

    let mut peer = server.welcome().await;
    let command = peer.subscribe(resumed(1, [2, 3])).await;
    assert_eq!((&command["subscribe"]["offset"], &command["subscribe"]["recover"]), (&json!(1), &json!(true)));
    peer.publish("news", 4).await;
    assert!(matches!(next(&mut news).await, Event::Subscribed(subscribed) if subscribed.recovered));
    for number in 2..=4 {
        assert_eq!(next_number(&mut news).await, number);
    }
    assert_eq!(client.statistics().sockets_opened, 2);
}

#[tokio::test]
async fn a_terminal_close_code_ends_client_and_subscriptions_with_its_reason() {
    let mut server = Server::start().await;
    let client = Client::connect(&server.url(), options()).unwrap();
    let mut peer = server.welcome().await;
    let mut news = client.subscribe("news", recoverable()).await.unwrap();
    peer.subscribe(stream(0)).await;
    assert!(matches!(next(&mut news).await, Event::Subscribed(_)));
    peer.close(3503).await;
    assert_eq!(next(&mut news).await, Event::Unsubscribed { code: 3503, reason: "test".to_owned() });
    assert_eq!(news.next().await, None);
    assert_eq!(client.connected().await.unwrap_err().code, 3503);
    assert!(matches!(client.publish("news", payload("1")).await, Err(RequestError::Disconnected(_))));
    let refused = client.subscribe("news", recoverable()).await;
    assert!(matches!(refused, Err(SubscribeError::Disconnected(why)) if why.code == 3503));
}

#[tokio::test]
async fn capability_4_31_an_expired_token_is_replaced_by_the_provider() {
    let mut server = Server::start().await;
    let calls = Arc::new(AtomicU32::new(0));
    let provide = {
        let calls = Arc::clone(&calls);
        move || {
            let call = calls.fetch_add(1, Ordering::Relaxed);
            async move { Ok(format!("token-{call}")) }
        }
    };
    let options = Options::new().token_provider(provide).backoff(Duration::from_millis(1), Duration::from_millis(10));
    let client = Client::connect(&server.url(), options).unwrap();
    let mut peer = server.accept().await;
    let command = peer.expect("connect").await;
    assert_eq!(command["connect"]["token"], "token-0");
    peer.refuse(&command, 109).await;
    let mut peer = server.accept().await;
    let command = peer.expect("connect").await;
    assert_eq!(command["connect"]["token"], "token-1");
    peer.reply(&command, "connect", json!({"client": "c", "version": "v"})).await;
    client.connected().await.unwrap();
}

#[tokio::test]
async fn a_reader_who_does_not_keep_up_loses_nothing_and_holds_up_nobody() {
    let mut server = Server::start().await;
    let client = Client::connect(&server.url(), options()).unwrap();
    let mut peer = server.welcome().await;
    let mut slow = client.subscribe("slow", recoverable()).await.unwrap();
    peer.subscribe(stream(0)).await;
    let mut quick = client.subscribe("quick", recoverable()).await.unwrap();
    peer.subscribe(stream(0)).await;
    assert!(matches!(next(&mut quick).await, Event::Subscribed(_)));

    let total = limits::EVENTS_MAX as u64 + 100;
    for number in 1..=total {
        peer.publish("slow", number).await;
    }
    let pause = peer.expect("unsubscribe").await;
    peer.reply(&pause, "unsubscribe", json!({})).await;
    peer.publish("quick", 1).await;
    assert_eq!(next_number(&mut quick).await, 1);

    // The queue held the first event and as many publications as it has room for beside it.
    let kept = limits::EVENTS_MAX as u64 - 1;
    let reading = tokio::spawn(async move {
        let mut numbers = Vec::new();
        let mut interrupted = 0;
        while numbers.len() < usize::try_from(total).unwrap() {
            match next(&mut slow).await {
                Event::Publication(publication) => numbers.push(publication.offset),
                Event::Interrupted { code, .. } => interrupted += u32::from(code == u32::from(local::READER_BEHIND)),
                _ => {}
            }
        }
        (numbers, interrupted)
    });
    let command = peer.subscribe(resumed(kept, kept + 1..=total)).await;
    assert_eq!(command["subscribe"]["offset"], kept);
    let (numbers, interrupted) = reading.await.unwrap();
    assert!(numbers.into_iter().eq(1..=total));
    assert_eq!(interrupted, 1);
}

#[tokio::test]
async fn capability_4_12_a_hundred_subscriptions_share_one_socket() {
    let mut server = Server::start().await;
    let client = Client::connect(&server.url(), options()).unwrap();
    let mut peer = server.welcome().await;
    let mut subscriptions = Vec::new();
    for number in 0..100 {
        subscriptions.push(client.subscribe(&format!("channel-{number}"), recoverable()).await.unwrap());
        peer.subscribe(stream(0)).await;
    }
    for subscription in &mut subscriptions {
        assert!(matches!(next(subscription).await, Event::Subscribed(_)));
    }
    let statistics = client.statistics();
    assert_eq!((statistics.sockets_opened, statistics.subscriptions), (1, 100));
    let again = client.subscribe("channel-7", recoverable()).await;
    assert_eq!(again.unwrap_err(), SubscribeError::AlreadySubscribed("channel-7".to_owned()));
}

#[tokio::test]
async fn dropping_or_ending_a_subscription_unsubscribes() {
    let mut server = Server::start().await;
    let client = Client::connect(&server.url(), options()).unwrap();
    let mut peer = server.welcome().await;
    let dropped = client.subscribe("dropped", recoverable()).await.unwrap();
    peer.subscribe(stream(0)).await;
    drop(dropped);
    assert_eq!(peer.expect("unsubscribe").await["unsubscribe"]["channel"], "dropped");
    let ended = client.subscribe("ended", recoverable()).await.unwrap();
    peer.subscribe(stream(0)).await;
    ended.unsubscribe().await;
    assert_eq!(peer.expect("unsubscribe").await["unsubscribe"]["channel"], "ended");
}

#[tokio::test]
async fn the_connection_ends_with_close_and_with_the_last_handle() {
    let mut server = Server::start().await;
    let client = Client::connect(&server.url(), options()).unwrap();
    let mut peer = server.welcome().await;
    let mut news = client.subscribe("news", recoverable()).await.unwrap();
    peer.subscribe(stream(0)).await;
    let closing = tokio::spawn(async move {
        client.close().await;
        client.state()
    });
    assert_eq!(peer.next().await, None);
    assert!(matches!(closing.await.unwrap(), State::Disconnected(why) if why.code == local::CLOSED));
    while let Some(event) = news.next().await {
        assert!(matches!(event, Event::Subscribed(_) | Event::Unsubscribed { code: 0, .. }), "{event:?}");
    }

    let client = Client::connect(&server.url(), options()).unwrap();
    let mut peer = server.welcome().await;
    drop(client);
    assert_eq!(peer.next().await, None);
}

#[tokio::test]
async fn events_of_channels_that_the_server_decides_on_have_their_own_stream() {
    let mut server = Server::start().await;
    let client = Client::connect(&server.url(), options()).unwrap();
    let mut events = client.server_events().unwrap();
    assert!(client.server_events().is_none());
    let mut peer = server.accept().await;
    let command = peer.expect("connect").await;
    let subs = json!({"user:ana": {}});
    peer.reply(&command, "connect", json!({"client": "c", "version": "v", "subs": subs})).await;
    peer.publish("user:ana", 0).await;
    for expected in ["subscribed", "publication"] {
        let event = timeout(Duration::from_secs(10), events.next()).await.unwrap().unwrap();
        assert_eq!(event.channel, "user:ana");
        match (expected, event.kind) {
            ("subscribed", ServerEventKind::Event(Event::Subscribed(_)))
            | ("publication", ServerEventKind::Event(Event::Publication(_))) => {}
            (_, kind) => panic!("expected {expected}, got {kind:?}"),
        }
    }
}

#[tokio::test]
async fn a_wrong_path_is_final_and_a_server_that_is_down_is_waited_for() {
    let server = Server::start().await;
    let client = Client::connect(&server.url_of("/wrong"), options()).unwrap();
    assert_eq!(client.connected().await.unwrap_err().code, 404);

    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let client = Client::connect(&format!("ws://{nobody}/connection/websocket"), options()).unwrap();
    let mut states = client.states();
    let tried = states.wait_for(|state| matches!(state, State::Connecting { attempt: 3.., why: Some(_) }));
    timeout(Duration::from_secs(10), tried).await.unwrap().unwrap();
}

#[tokio::test]
async fn only_websocket_addresses_are_dialled() {
    for url in ["http://127.0.0.1:1/", "127.0.0.1:1", "ws://", "", "ws://host name/"] {
        assert!(Client::connect(url, options()).is_err(), "{url}");
    }
}

#[tokio::test]
async fn a_client_reads_while_it_writes() {
    let mut server = Server::start().await;
    let client = Client::connect(&server.url(), options()).unwrap();
    let mut peer = server.welcome().await;
    let mut news = client.subscribe("news", SubscribeOptions::new()).await.unwrap();
    peer.subscribe(stream(0)).await;
    assert!(matches!(next(&mut news).await, Event::Subscribed(_)));
    says_more_than_is_taken(&client).await;
    peer.publish("news", 1).await;
    let heard = timeout(Duration::from_secs(2), next(&mut news)).await.expect("heard while it writes");
    assert!(matches!(heard, Event::Publication(publication) if publication.offset == 1));
}

#[tokio::test]
async fn closing_does_not_wait_for_what_is_to_be_written() {
    let mut server = Server::start().await;
    let client = Client::connect(&server.url(), options()).unwrap();
    let _peer = server.welcome().await;
    says_more_than_is_taken(&client).await;
    // The close handshake has a second; a write would have five, and then the client would connect again.
    timeout(Duration::from_secs(4), client.close()).await.expect("closes at once");
    assert!(matches!(client.state(), State::Disconnected(why) if why.code == local::CLOSED));
}

/// The server does not read, and what the client has to say is more than the kernels take.
async fn says_more_than_is_taken(client: &Client) {
    let long = payload(&format!("\"{}\"", "x".repeat(30_000)));
    for _ in 0..1_000 {
        let (client, long) = (client.clone(), long.clone());
        tokio::spawn(async move { client.publish("news", long).await });
    }
    let mut written = 0;
    while written < client.statistics().messages_out {
        written = client.statistics().messages_out;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

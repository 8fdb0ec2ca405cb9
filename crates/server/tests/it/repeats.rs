//! What the Rust client promises of the server API, held against the real program.

use crate::server::Server;
use tidings_client::{HistoryQuery, PublishOptions, ServerApi};
use tidings_protocol::Payload;

fn keyed(key: &str) -> PublishOptions {
    PublishOptions { idempotency_key: Some(key.to_owned()), ..PublishOptions::default() }
}

#[tokio::test]
async fn a_publish_with_an_idempotency_key_can_be_repeated_safely() {
    let server = Server::start();
    let api = ServerApi::new(&format!("http://{}", server.address), server.api_key()).unwrap();
    let data = |text: &str| Payload::from_value(text).unwrap();

    let first = api.publish("news", data("one"), keyed("a")).await.unwrap();
    // As when the answer was lost, and by several at once.
    let (again, and_again) =
        tokio::join!(api.publish("news", data("one"), keyed("a")), api.publish("news", data("one"), keyed("a")));
    assert_eq!((first.offset, again.unwrap(), and_again.unwrap()), (1, first.clone(), first.clone()));
    assert_eq!(api.publish("news", data("two"), keyed("b")).await.unwrap().offset, 2);

    // A key counts in each channel by itself.
    for _ in 0..2 {
        let answers = api.broadcast(&["news", "sports"], data("all"), keyed("a")).await.unwrap();
        let offsets: Vec<_> = answers.into_iter().map(|answer| answer.unwrap().offset).collect();
        assert_eq!(offsets, [1, 1]);
    }
    for (channel, kept) in [("news", 2), ("sports", 1)] {
        let history = api.history(channel, HistoryQuery { limit: -1, ..HistoryQuery::default() }).await.unwrap();
        assert_eq!(history.publications.len(), kept, "{channel}");
    }
}

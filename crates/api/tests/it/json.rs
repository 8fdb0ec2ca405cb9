//! The JSON of the messages.

use tidings_api::{
    ClientInfo, HistoryResult, Method, PublishRequest, PublishResponse, PublishResult, Request, Response,
};

fn read(json: &str) -> PublishRequest {
    serde_json::from_str(json).unwrap()
}

#[test]
fn null_and_a_field_that_is_not_there_are_the_same_but_for_data() {
    let bare = PublishRequest { channel: "news".into(), ..PublishRequest::default() };
    assert_eq!(read(r#"{"channel": "news"}"#), bare);
    assert_eq!(read(r#"{"channel": "news", "tags": {"a": null}, "delta": null, "version": null, "new": 1}"#), bare);
    assert_eq!(read(r#"{"channel": "news", "data": null}"#).data, "null");
    assert_eq!(read(r#"{"data": {"a": [1, 2]}}"#).data, r#"{"a": [1, 2]}"#);
}

#[test]
fn zeros_are_left_out_but_where_programs_expect_them() {
    assert_eq!(serde_json::to_string(&PublishResult::default()).unwrap(), "{}");
    assert_eq!(serde_json::to_string(&ClientInfo::default()).unwrap(), r#"{"user":"","client":""}"#);
    let history = serde_json::to_string(&HistoryResult::default()).unwrap();
    assert_eq!(history, r#"{"publications":[],"epoch":"","offset":0}"#);
    let request = PublishRequest { channel: "a".into(), data: "[1]".into(), ..PublishRequest::default() };
    assert_eq!(serde_json::to_string(&request).unwrap(), r#"{"channel":"a","data":[1]}"#);
}

#[test]
fn a_response_is_a_result_or_an_error() {
    let done = PublishResponse::of(Ok(PublishResult { offset: 1, epoch: "E".into() }));
    assert_eq!(serde_json::to_string(&done).unwrap(), r#"{"result":{"offset":1,"epoch":"E"}}"#);
    let not = PublishResponse::of(Err(tidings_api::Error { code: 102, message: "unknown channel".into() }));
    assert_eq!(serde_json::to_string(&not).unwrap(), r#"{"error":{"code":102,"message":"unknown channel"}}"#);
    assert!(not.into_result().unwrap().is_err());
    assert_eq!(PublishResponse::default().into_result(), None);
}

#[test]
fn a_method_is_found_by_both_of_its_names() {
    assert_eq!(PublishRequest::METHOD, Method::Publish);
    for method in Method::ALL {
        assert_eq!((Method::named(method.name()), Method::at(method.path())), (Some(*method), Some(*method)));
    }
    assert_eq!((Method::Rpc.name(), Method::Rpc.path()), ("rpc", "RPC"));
    assert_eq!((Method::PresenceStats.name(), Method::PresenceStats.path()), ("presence_stats", "PresenceStats"));
    assert_eq!(Method::named("batch"), None);
}

//! What is particular to JSON: how leniently it is read, and what of a payload it can carry.

use tidings_protocol::json;
use tidings_protocol::{
    Command, DecodeError, Disconnect, Encoding, Error, Label, PAYLOAD_DEPTH_MAX, PAYLOAD_NUMBER_CHARS_MAX, Payload,
    Publication, Push, PushEvent, Reply, Request, Unsubscribe,
};

const CHANNEL: Label<'_> = Label::Channel("a");

#[test]
fn reading_is_lenient_about_white_space_unknown_fields_and_null() {
    for text in [
        "{\"id\":2,\"subscribe\":{\"channel\":\"a\"}}\n",
        "{\"id\":2,\n \"subscribe\": {\"channel\": \"a\"}\n}",
        r#"{"id":2,"subscribe":{"channel":"a","new":[{}]},"newer":{"x":null}}"#,
        r#"{"id":2,"connect":null,"subscribe":{"channel":"a","token":null,"recover":null,"offset":null}}"#,
    ] {
        let commands = json::decode_commands(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(json::encode_commands(&commands).unwrap(), r#"{"id":2,"subscribe":{"channel":"a"}}"#);
    }
}

#[test]
fn of_several_methods_in_one_command_the_first_in_the_protocols_order_counts() {
    let commands = json::decode_commands(br#"{"id":1,"subscribe":{"channel":"a"},"connect":{}}"#).unwrap();
    assert!(matches!(commands[0].request, Some(Request::Connect(_))));
    let commands = json::decode_commands(br#"{"id":1,"sub_refresh":{},"rpc":{"method":"m"},"send":{}}"#).unwrap();
    assert!(matches!(&commands[0].request, Some(Request::Rpc(rpc)) if rpc.method == "m"));
}

#[test]
fn an_empty_command_is_a_pong_and_an_unknown_method_has_no_request() {
    assert_eq!(json::decode_commands(b"{}").unwrap(), [Command::PONG]);
    let unknown = json::decode_commands(br#"{"id":7,"teleport":{}}"#).unwrap();
    assert_eq!(unknown, [Command { id: 7, request: None }]);
}

#[test]
fn a_frame_without_messages_is_refused() {
    for empty in ["", "\n", "  "] {
        assert!(matches!(json::decode_commands(empty.as_bytes()), Err(DecodeError::Empty)));
        assert!(matches!(json::decode_replies(empty.as_bytes()), Err(DecodeError::Empty)));
    }
}

/// Capability 4.20: a bad format destabilises nothing.
#[test]
fn a_malformed_frame_is_refused() {
    let deep = "[".repeat(60_000);
    let deep_data = format!(r#"{{"send":{{"data":{deep}"#);
    for bad in [
        "[]",
        "{}[]",
        "1",
        "null",
        "{",
        "{\"id\":1,\"connect\":{}} x",
        "{\"id\":-1}",
        "{\"id\":4294967296}",
        "{\"id\":\"1\"}",
        "{\"id\":1,\"subscribe\":{\"channel\":1}}",
        "{\"id\":1,\"publish\":{\"channel\":\"a\",\"data\":{k:1}}}",
        "{\"id\":1,\"publish\":{\"channel\":\"a\",\"data\":\"line\nbreak\"}}",
        deep.as_str(),
        deep_data.as_str(),
    ] {
        assert!(
            matches!(json::decode_commands(bad.as_bytes()), Err(DecodeError::Malformed(_) | DecodeError::NotAnObject)),
            "{bad:.80}"
        );
    }
    assert!(json::decode_commands(b"{\"send\":{\"data\":\"\xff\"}}").is_err(), "bad UTF-8");
}

#[test]
fn commands_before_a_malformed_one_are_still_read() {
    for bad in ["{\"id\":2,", "[]", "x"] {
        let frame = format!("{{\"id\":1,\"connect\":{{}}}}\n{bad}");
        let mut commands = json::commands(frame.as_bytes());
        assert!(matches!(commands.next(), Some(Ok(Command { id: 1, .. }))));
        assert!(matches!(commands.next(), Some(Err(_))));
        assert!(commands.next().is_none());
    }
}

#[test]
fn a_payload_is_relayed_as_it_was_written_but_without_line_breaks() {
    for (written, relayed) in [
        ("{\"a\": [1.0, 1e3, -0, 12345678901234567890]}", "{\"a\": [1.0, 1e3, -0, 12345678901234567890]}"),
        ("{\"b\":1,\"a\":2,\"a\":3}", "{\"b\":1,\"a\":2,\"a\":3}"),
        ("\"\\u00e9\\n\u{1F600}\"", "\"\\u00e9\\n\u{1F600}\""),
        ("{\n  \"a\": 1,\r\n  \"b\": 2\n}", "{   \"a\": 1,    \"b\": 2 }"),
    ] {
        let payload = Payload::parse(written.as_bytes()).unwrap();
        assert_eq!(payload.as_json(), Some(relayed));
        let frame = json::encode_publication(CHANNEL, &Publication { data: Some(payload), ..Publication::default() });
        assert_eq!(frame.unwrap(), format!(r#"{{"push":{{"channel":"a","pub":{{"data":{relayed}}}}}}}"#));
    }
}

#[test]
fn a_payload_is_exactly_one_json_value() {
    for bad in ["", " ", "{", "{} {}", "nul", "'a'", "{\"a\":\"line\nbreak\"}", "\u{feff}1"] {
        assert!(Payload::parse(bad.as_bytes()).is_err(), "{bad}");
    }
    assert_eq!(Payload::parse(b" 1 ").unwrap().as_json(), Some("1"));
    assert!(Payload::parse(b"\"\xc3\"").is_err(), "bad UTF-8");
}

/// Close 3506: whoever speaks JSON cannot be given what is not JSON.
#[test]
fn bytes_are_a_payload_of_their_own_kind_and_json_cannot_carry_them() {
    let bytes = Payload::from_bytes(b"one");
    assert_eq!((bytes.as_json(), bytes.as_bytes()), (None, &b"one"[..]));
    assert_ne!(Payload::from_bytes(b"1"), Payload::parse(b"1").unwrap(), "the same bytes, but not the same value");
    let publication = Publication { data: Some(bytes), ..Publication::default() };
    let event = PushEvent::Pub(publication.clone());
    assert!(Encoding::Json.encode_publication(CHANNEL, &publication).is_err());
    assert!(Encoding::Json.encode_push(CHANNEL, &event).is_err());
    assert!(Encoding::Json.encode_reply(&Reply::push("a", event)).is_err());
}

#[test]
fn bytes_that_are_json_are_written_as_what_they_are_on_one_line_where_readers_can_read_it() {
    let write = |bytes: &[u8]| {
        let publication = Publication { data: Some(Payload::from_bytes(bytes)), ..Publication::default() };
        json::encode_publication(CHANNEL, &publication)
    };
    let written = write(b" {\"a\":\r\n[1.0,\n12345678901234567890]}\n").unwrap();
    assert_eq!(written, r#"{"push":{"channel":"a","pub":{"data":{"a":  [1.0, 12345678901234567890]}}}}"#);
    let deep = format!("{}{}", "[".repeat(PAYLOAD_DEPTH_MAX + 1), "]".repeat(PAYLOAD_DEPTH_MAX + 1));
    let long = "9".repeat(PAYLOAD_NUMBER_CHARS_MAX + 1);
    for bad in [&b"{"[..], b"{}{}", b"\xff", b"\"line\nbreak\"", deep.as_bytes(), long.as_bytes()] {
        assert!(write(bad).is_err(), "{}", String::from_utf8_lossy(bad));
    }
}

#[test]
fn a_payload_that_readers_could_not_read_is_refused() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(Payload::parse(nested(PAYLOAD_DEPTH_MAX).as_bytes()).is_ok());
    assert!(Payload::parse(nested(PAYLOAD_DEPTH_MAX + 1).as_bytes()).is_err());
    assert!(json::decode_commands(format!(r#"{{"send":{{"data":{}}}}}"#, nested(30_000)).as_bytes()).is_err());
    let number = |digits: usize| format!(r#"{{"n":{}}}"#, "9".repeat(digits));
    assert!(Payload::parse(number(PAYLOAD_NUMBER_CHARS_MAX).as_bytes()).is_ok());
    for before in 0..3 {
        let long = number(PAYLOAD_NUMBER_CHARS_MAX + 1);
        assert!(Payload::parse(format!("{}{long}", " ".repeat(before * 200)).as_bytes()).is_err());
        assert!(Payload::parse(format!(r#"["{}",{long}]"#, "x".repeat(before * 200)).as_bytes()).is_err());
    }
    let exponent = format!("1e{}", "0".repeat(PAYLOAD_NUMBER_CHARS_MAX));
    assert!(Payload::parse(exponent.as_bytes()).is_err());
    let text = format!(r#"["{}\"{}"]"#, "1".repeat(5_000), "2".repeat(5_000));
    assert!(Payload::parse(text.as_bytes()).is_ok(), "digits in a text are no number");
    let flat = format!("[{}1]", r#"[],{"a":"[[\"{{\\"},"#.repeat(1_000));
    assert!(Payload::parse(flat.as_bytes()).is_ok(), "many brackets are not deep");
}

#[test]
fn a_command_with_such_a_payload_is_named_and_the_commands_behind_it_are_read() {
    for payload in ["9".repeat(5_000), format!("{}{}", "[".repeat(200), "]".repeat(200))] {
        let frame = format!(
            "{{\"id\":1,\"rpc\":{{\"data\":1}}}}\n{{\"id\":2,\"publish\":{{\"channel\":\"a\",\"data\":{payload}}}}}\n{{\"send\":{{\"data\":{payload}}}}}\n{{\"id\":3,\"rpc\":{{}}}}"
        );
        let read: Vec<_> = json::commands(frame.as_bytes()).collect();
        assert!(matches!(
            &*read,
            [
                Ok(Command { id: 1, .. }),
                Err(DecodeError::Unreadable { id: 2 }),
                Err(DecodeError::Unreadable { id: 0 }),
                Ok(Command { id: 3, .. })
            ]
        ));
    }
}

#[test]
fn null_is_a_value_of_a_payload_and_absent_elsewhere() {
    let written = r#"{"id":2,"publish":{"channel":"a","data":null}}"#;
    let commands = json::decode_commands(written.as_bytes()).unwrap();
    assert_eq!(json::encode_commands(&commands).unwrap(), written);
    let written = r#"{"push":{"channel":"a","pub":{"data":null,"offset":1}}}"#;
    let replies = json::decode_replies(written.as_bytes()).unwrap();
    assert_eq!(json::encode_reply(&replies[0]).unwrap(), written);
}

#[test]
fn a_client_ignores_pushes_of_a_kind_that_it_does_not_know() {
    let replies = json::decode_replies(br#"{"push":{"channel":"a","hologram":{}}}"#).unwrap();
    assert_eq!(replies, [Reply::Push(Push { id: 0, channel: "a".into(), event: PushEvent::Unknown })]);
}

#[test]
fn codes_tell_an_sdk_whether_to_try_again() {
    assert!(Disconnect::SHUTDOWN.reconnects() && Disconnect::SLOW.reconnects() && Disconnect::NO_PONG.reconnects());
    assert!(!Disconnect::BAD_REQUEST.reconnects() && !Disconnect::INVALID_TOKEN.reconnects());
    assert!(Disconnect::application(4000, "later").reconnects() && !Disconnect::application(4500, "no").reconnects());
    assert!(Unsubscribe::INSUFFICIENT_STATE.resubscribes() && !Unsubscribe::SERVER.resubscribes());
    let temporary = [Error::INTERNAL, Error::TOO_MANY_REQUESTS, Error::TOKEN_EXPIRED].map(|error| error.temporary);
    assert_eq!(temporary, [true, true, false]);
}

#[test]
fn a_close_reason_never_parses_as_json_and_fits_a_close_frame() {
    for harmful in ["1", "null", "{}", "\"x\"", &"x".repeat(124)] {
        assert_eq!(Disconnect::application(4000, harmful.to_owned()).reason, "");
    }
    assert_eq!(Disconnect::application(4000, "moved away").reason, "moved away");
}

//! What is particular to protobuf: how leniently it is read, and that no declared length or depth is believed.

use tidings_protocol::protobuf;
use tidings_protocol::{
    Command, DecodeError, Encoding, Label, Payload, Publication, PublishRequest, PushEvent, Reply, Request, RpcRequest,
    SubscribeRequest,
};

/// A message behind its length.
fn delimited(message: &[u8]) -> Vec<u8> {
    assert!(message.len() < 0x80);
    [&[u8::try_from(message.len()).unwrap()], message].concat()
}

/// A field of the kind that has a length.
fn field(number: u8, held: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2][..], &delimited(held)].concat()
}

fn only(frame: &[u8]) -> Result<Command, DecodeError> {
    let mut commands = protobuf::decode_commands(frame)?;
    assert_eq!(commands.len(), 1);
    Ok(commands.remove(0))
}

fn is_malformed(frame: &[u8]) -> bool {
    matches!(protobuf::decode_commands(frame), Err(DecodeError::Protobuf(_)))
        && matches!(protobuf::decode_replies(frame), Err(DecodeError::Protobuf(_)))
}

#[test]
fn unknown_fields_of_every_kind_are_skipped() {
    let unknown: [&[u8]; 6] = [
        &[0x98, 0x06, 0x96, 0x01],                      // 99: a number
        &[0x99, 0x06, 1, 2, 3, 4, 5, 6, 7, 8],          // 99: eight bytes
        &[0x9a, 0x06, 3, b'x', b'y', b'z'],             // 99: something with a length
        &[0x9d, 0x06, 1, 2, 3, 4],                      // 99: four bytes
        &[0x9b, 0x06, 0x08, 1, 0x13, 0x14, 0x9c, 0x06], // 99: a group with a number and a group
        &[0xf8, 0xff, 0xff, 0xff, 0x7f, 0x01],          // the highest number that a field may have
    ];
    let publish = Request::Publish(PublishRequest { channel: "a".into(), ..PublishRequest::default() });
    for unknown in unknown {
        let inner = [unknown, &field(1, b"a"), unknown].concat();
        let frame = delimited(&[unknown, &[0x08, 7], &field(7, &inner), unknown].concat());
        assert_eq!(only(&frame).unwrap(), Command::new(7, publish.clone()), "{unknown:x?}");
    }
}

#[test]
fn of_a_field_that_comes_twice_the_last_counts_and_messages_are_merged() {
    let subscribe = [field(5, &[field(1, b"a"), field(2, b"t")].concat()), field(5, &field(1, b"b"))].concat();
    let Some(Request::Subscribe(request)) = only(&delimited(&subscribe)).unwrap().request else { panic!() };
    assert_eq!(*request, SubscribeRequest { channel: "b".into(), token: "t".into(), ..SubscribeRequest::default() });
}

#[test]
fn of_several_methods_in_one_command_the_first_in_the_protocols_order_counts() {
    let both = [vec![0x08, 1], field(5, &field(1, b"a")), field(4, b"")].concat();
    assert!(matches!(only(&delimited(&both)).unwrap().request, Some(Request::Connect(_))));
}

#[test]
fn an_unknown_method_has_no_request_and_an_unknown_push_is_to_be_ignored() {
    assert_eq!(only(&delimited(&[0x08, 7, 0xfa, 0x07, 0])).unwrap(), Command { id: 7, request: None });
    let push = delimited(&field(4, &[field(2, b"a"), vec![0xfa, 0x07, 0]].concat()));
    let replies = protobuf::decode_replies(&push).unwrap();
    assert_eq!(replies, [Reply::push("a", PushEvent::Unknown)]);
    let reply = delimited(&[0x08, 7, 0xfa, 0x07, 0]);
    assert_eq!(protobuf::decode_replies(&reply).unwrap(), [Reply::Ping]);
}

#[test]
fn a_frame_without_messages_is_refused() {
    assert!(matches!(protobuf::decode_commands(b""), Err(DecodeError::Empty)));
    assert!(matches!(protobuf::decode_replies(b""), Err(DecodeError::Empty)));
}

/// Capability 4.20: a bad format destabilises nothing.
#[test]
fn a_malformed_frame_is_refused() {
    for bad in [
        &[1][..],                                                      // a length, and nothing behind it
        &[0x80],                                                       // half a length
        &[0xff; 11],                                                   // a number that does not end
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02], // one of more than 64 bits
        &[2, 0x08, 0x80],                                              // an id that is cut
        &[1, 0x08],                                                    // an id that is missing
        &[2, 0x00, 0x00],                                              // a field with the number 0
        &[6, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02],                      // a field with too high a number
        &[3, 0x0a, 1, b'1'],                                           // an id that is text
        &[2, 0x22, 1],                                                 // a connect, or push, that is cut
        &[2, 0x20, 1],                                                 // a connect, or push, that is a number
        &[2, 0x0e, 0],                                                 // a kind of field that there is not
        &[2, 0x9b, 0x06],                                              // a group without an end
        &[4, 0x9b, 0x06, 0xa4, 0x06],                                  // a group with another's end
        &[2, 0x9c, 0x06],                                              // an end without a group
        &[5, 0x22, 3, 0x12, 1, 0xff],                                  // a text in a push that is no UTF-8
    ] {
        // The last is a push; of commands the same field is data, which is bytes.
        assert!(is_malformed(bad) || bad.ends_with(&[0xff]) && protobuf::decode_replies(bad).is_err(), "{bad:x?}");
    }
    let not_utf8 = delimited(&field(7, &field(1, &[0xff])));
    assert!(only(&not_utf8).is_err(), "a channel that is no UTF-8");
}

#[test]
fn a_declared_length_is_not_believed() {
    let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    assert!(is_malformed(&huge), "of a message");
    assert!(is_malformed(&delimited(&[&[0x22][..], &huge].concat())), "of a connect");
    assert!(is_malformed(&delimited(&field(4, &[&[0x12][..], &huge].concat()))), "of its data");
    assert!(is_malformed(&delimited(&[&[0x9a, 0x06][..], &huge].concat())), "of what is skipped");
}

#[test]
fn commands_before_a_malformed_one_are_still_read() {
    let frame = [&delimited(&[0x08, 1, 0x22, 0])[..], &[9], &delimited(&[0x08, 3])].concat();
    let mut commands = protobuf::commands(&frame);
    assert!(matches!(commands.next(), Some(Ok(Command { id: 1, .. }))));
    assert!(matches!(commands.next(), Some(Err(DecodeError::Protobuf(_)))));
    assert!(commands.next().is_none());
}

#[test]
fn messages_within_each_other_have_a_bound() {
    let nested = |depth: usize| {
        let mut node = Vec::new();
        for _ in 0..depth {
            let length = u8::try_from(node.len() & 0x7f).unwrap();
            let length = if node.len() < 0x80 {
                vec![length]
            } else {
                vec![length | 0x80, u8::try_from(node.len() >> 7).unwrap()]
            };
            node = [&[6 << 3 | 2][..], &length, &node].concat();
        }
        // The filter of a subscribe.
        let length = |bytes: &[u8]| {
            vec![u8::try_from(bytes.len() & 0x7f).unwrap() | 0x80, u8::try_from(bytes.len() >> 7).unwrap()]
        };
        let filter = [&[13 << 3 | 2][..], &length(&node), &node].concat();
        let subscribe = [&[5 << 3 | 2][..], &length(&filter), &filter].concat();
        [length(&subscribe), subscribe].concat()
    };
    assert!(only(&nested(50)).is_ok());
    assert!(is_malformed(&nested(100)) || only(&nested(100)).is_err());
    let groups = [0x9b, 0x06].repeat(30_000);
    let frame = [&[0xe0, 0xd4, 0x03][..], &groups].concat();
    assert!(is_malformed(&frame), "groups are messages too");
}

#[test]
fn a_payload_is_carried_byte_for_byte_whatever_it_is() {
    for data in [&b"\xff\x00\n"[..], b"{\"a\":\r\n 1}", b"not json", b"null"] {
        let rpc = Request::Rpc(RpcRequest { data: Some(Payload::from_bytes(data)), method: "m".into() });
        let frame = protobuf::encode_commands(&[Command::new(1, rpc.clone())]);
        assert_eq!(only(&frame).unwrap(), Command::new(1, rpc));
    }
    let json = Payload::parse(b" [1, 2] ").unwrap();
    let publication = Publication { data: Some(json.clone()), ..Publication::default() };
    let frame = protobuf::encode_publication(Label::Channel("a"), &publication);
    assert!(frame.ends_with(json.as_bytes()), "JSON as its text");
}

#[test]
fn no_bytes_are_no_data() {
    let empty = Publication { data: Some(Payload::from_bytes(b"")), ..Publication::default() };
    for encoding in [Encoding::Json, Encoding::Protobuf] {
        let written = encoding.encode_publication(Label::Channel("a"), &empty).unwrap();
        assert_eq!(encoding.replies(&written).unwrap(), [Reply::push("a", PushEvent::Pub(Publication::default()))]);
    }
}

#[test]
fn a_number_above_its_fields_bits_loses_them_but_a_close_code_is_refused() {
    let id = [0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0x22, 0];
    assert_eq!(only(&delimited(&id)).unwrap().id, u32::MAX);
    let disconnect = delimited(&field(4, &field(11, &[0x08, 0x80, 0x80, 0x04])));
    assert!(matches!(protobuf::decode_replies(&disconnect), Err(DecodeError::Protobuf(_))));
}

#[test]
fn the_uplink_of_emulated_transports_carries_a_frame_in_both_forms() {
    let json = br#"{"session":"s","node":"n","data":"{\"id\":2}\n{}"}"#;
    let request = Encoding::Json.emulation_request(json).unwrap();
    assert_eq!((&*request.session, &*request.node), ("s", "n"));
    assert_eq!(&*request.frame().unwrap(), b"{\"id\":2}\n{}");
    // One message without its length, as the SDK writes it.
    let body = b"\x0a\x01n\x12\x01s\x1a\x02\x00\xff";
    let request = Encoding::Protobuf.emulation_request(body).unwrap();
    assert_eq!((&*request.session, &*request.node, &*request.frame().unwrap()), ("s", "n", &b"\x00\xff"[..]));

    for bad in [&b""[..], b"[]", b"{}{}", b"{", b"{\"data\":\"x\"} x"] {
        assert!(Encoding::Json.emulation_request(bad).is_err(), "{bad:?}");
    }
    let number = Encoding::Json.emulation_request(br#"{"session":"s","data":{"id":2}}"#).unwrap();
    assert!(number.frame().is_err(), "data is a string");
    assert!(Encoding::Protobuf.emulation_request(b"\x0a").is_err());
}

#[test]
fn on_transports_in_one_direction_a_client_says_one_connect_request_by_itself() {
    let read: Vec<_> = Encoding::JsonPushes.commands(br#"{"token":"t","subs":{"a":{}},"new":1}"#).collect();
    let [Ok(Command { id: 1, request: Some(Request::Connect(connect)) })] = &*read else { panic!("{read:?}") };
    assert_eq!((&*connect.token, connect.subs.len()), ("t", 1));
    for bad in [&b""[..], b"[]", b"{}{}", b"null", b"{\"token\":1}"] {
        assert!(matches!(&*Encoding::JsonPushes.commands(bad).collect::<Vec<_>>(), [Err(_)]), "{bad:?}");
    }
}

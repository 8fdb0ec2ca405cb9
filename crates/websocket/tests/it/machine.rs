//! The state machine without a socket: any split of the bytes gives the same events, and limits hold.

use crate::feed::{run, run_directly};
use bytes::{BufMut, Bytes};
use proptest::prelude::*;
use tidings_websocket::{
    CloseCode, CloseFrame, Event, Head, Kind, Limits, Machine, Message, OpCode, Outgoing, Prepared, ProtocolError,
    Role, SendRefused,
};

fn machine(role: Role) -> Machine {
    Machine::new(role, &Limits::server().message_bytes_max(1000))
}

fn frame(last: bool, opcode: OpCode, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let mut head = [0; tidings_websocket::HEAD_BYTES_MAX];
    let size = Head { last, compressed: false, opcode, mask, payload_len: payload.len() as u64 }.write(&mut head);
    let mut bytes = head[..size].to_vec();
    bytes.extend(payload.iter().zip(mask.unwrap_or_default().iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

fn opcodes() -> impl Strategy<Value = OpCode> {
    use OpCode::{Binary, Close, Continuation, Ping, Pong, Text};
    prop::sample::select(vec![Continuation, Continuation, Text, Binary, Ping, Pong, Close])
}

/// Frames that are sometimes a conversation, sometimes a violation.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop_oneof![
        8 => ".{0,20}".prop_map(String::into_bytes),
        2 => prop::collection::vec(any::<u8>(), 0..200),
        1 => Just(vec![0x03, 0xe8]),
        1 => prop::collection::vec(any::<u8>(), 0..700),
    ];
    let frames = (prop::bool::weighted(0.7), opcodes(), any::<[u8; 4]>(), payload)
        .prop_map(|(last, opcode, key, payload)| frame(last, opcode, Some(key), &payload));
    let damage = prop::option::weighted(0.2, (any::<prop::sample::Index>(), any::<u8>()));
    (prop::collection::vec(frames, 1..8), damage).prop_map(|(frames, damage)| {
        let mut bytes = frames.concat();
        if let Some((at, byte)) = damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn any_split_of_the_bytes_gives_the_same_events_and_answers(
        bytes in streams(), cuts in prop::collection::vec(1usize..40, 1..10)
    ) {
        let whole = run(&mut machine(Role::Server), &bytes, &[]);
        let split = run(&mut machine(Role::Server), &bytes, &cuts);
        prop_assert_eq!(whole, split);
    }

    #[test]
    fn long_payloads_may_be_read_straight_into_the_message(
        messages in prop::collection::vec((any::<bool>(), "[a-zé]{0,30}", 0usize..600, prop::bool::weighted(0.1)), 1..5),
        server: bool,
        cuts in prop::collection::vec(1usize..12_000, 1..10),
    ) {
        let (role, key) = if server { (Role::Server, KEY) } else { (Role::Client, None) };
        let wire: Vec<u8> = messages
            .iter()
            .flat_map(|(text, word, times, damaged)| {
                let mut payload = word.repeat(*times).into_bytes();
                if let (true, Some(last)) = (damaged, payload.last_mut()) {
                    *last = 0xff;
                }
                let opcode = if *text { OpCode::Text } else { OpCode::Binary };
                let (first, rest) = payload.split_at(payload.len() / 3);
                [
                    frame(true, opcode, key, &payload),
                    frame(true, OpCode::Ping, key, b"?"),
                    frame(false, opcode, key, first),
                    frame(true, OpCode::Continuation, key, rest),
                ]
                .concat()
            })
            .collect();
        let limits = Limits::server().message_bytes_max(30_000);
        let (events, _) = run(&mut Machine::new(role, &limits), &wire, &[]);
        prop_assert_eq!(run_directly(&mut Machine::new(role, &limits), &wire, &cuts), events);
    }

    #[test]
    fn parts_of_messages_add_up_to_the_messages(bytes in streams(), cuts in prop::collection::vec(1usize..40, 1..10)) {
        let (whole, _) = run(&mut Machine::new(Role::Server, &Limits::server()), &bytes, &[]);
        let mut in_parts = Machine::new(Role::Server, &Limits::server());
        in_parts.receive_in_parts(true);
        let mut parts: Option<(Kind, Vec<u8>)> = None;
        let mut messages = Vec::new();
        for event in run(&mut in_parts, &bytes, &cuts).0 {
            match event {
                Ok(Event::Part(part)) => {
                    let message = parts.get_or_insert((part.kind, Vec::new()));
                    message.1.extend_from_slice(&part.bytes);
                    if part.last {
                        let (kind, bytes) = parts.take().unwrap();
                        messages.push(Ok(Event::Message(match kind {
                            Kind::Text => Message::text(String::from_utf8(bytes).unwrap()),
                            Kind::Binary => Message::binary(bytes),
                        })));
                    }
                }
                other => messages.push(other),
            }
        }
        prop_assert_eq!(messages, whole);
    }

    #[test]
    fn what_one_end_sends_the_other_receives(
        payloads in prop::collection::vec((any::<bool>(), ".{0,300}", 1usize..5), 1..6),
        client_sends: bool,
        deflate: Option<(bool, bool, u8, u8)>,
        cuts in prop::collection::vec(1usize..100, 1..10),
    ) {
        let limits = Limits::server();
        let (mut client, mut server) = (Machine::new(Role::Client, &limits), Machine::new(Role::Server, &limits));
        if let Some((server_no_context_takeover, client_no_context_takeover, server_bits, client_bits)) = deflate {
            let agreed = tidings_websocket::Agreement {
                server_no_context_takeover,
                client_no_context_takeover,
                server_max_window_bits: 9 + server_bits % 7,
                client_max_window_bits: 9 + client_bits % 7,
            };
            client = client.with_deflate(agreed, 1, 20);
            server = server.with_deflate(agreed, 6, 20);
        }
        let (mut from, mut to) = if client_sends { (client, server) } else { (server, client) };
        let (mut wire, mut sent) = (Vec::new(), Vec::new());
        for (text, payload, fragments) in payloads {
            let message = if text { Message::text(payload.clone()) } else { Message::binary(payload.clone()) };
            if fragments == 1 {
                wire.extend(from.send(message.clone().into()).unwrap().to_bytes());
            } else if fragments == 2 {
                wire.extend(from.send(Prepared::from(message.clone()).compressible().into()).unwrap().to_bytes());
            } else {
                let size = payload.len() / fragments + 1;
                let mut pieces = payload.as_bytes().chunks(size).peekable();
                while let Some(piece) = pieces.next() {
                    let bytes = Bytes::copy_from_slice(piece);
                    wire.extend(from.send_fragment(message.kind(), bytes, pieces.peek().is_none(), true).unwrap().to_bytes());
                    wire.extend(from.send(Outgoing::Ping(Bytes::from_static(b"?"))).unwrap().to_bytes());
                }
                if payload.is_empty() {
                    continue;
                }
            }
            sent.push(message);
        }
        let (events, _) = run(&mut to, &wire, &cuts);
        let received: Vec<_> = events
            .into_iter()
            .filter_map(|event| match event.unwrap() {
                Event::Message(message) => Some(message),
                _ => None,
            })
            .collect();
        prop_assert_eq!(&received, &sent);
        prop_assert_eq!(to.statistics().messages_received, from.statistics().messages_sent);
        prop_assert_eq!(to.statistics().bytes_received, from.statistics().bytes_sent);
    }
}

const KEY: Option<[u8; 4]> = Some([1, 2, 3, 4]);

#[test]
fn the_state_of_a_connection_takes_at_most_128_bytes() {
    println!("Machine: {} bytes", size_of::<Machine>());
    assert!(size_of::<Machine>() <= 128);
}

#[test]
fn a_claimed_length_of_2_to_the_63_allocates_nothing_s08() {
    let mut machine = Machine::new(Role::Server, &Limits::server().message_bytes_max(usize::MAX));
    let mut head = [0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4, 9, 9];
    let step = machine.receive(&mut head);
    assert!(step.event.is_none() && step.reply.is_none());
    let mut limited = Machine::new(Role::Server, &Limits::server());
    let step = limited.receive(&mut [0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4]);
    assert_eq!(step.event, Some(Err(ProtocolError::MessageTooBig { max: 65536 })));
    assert_eq!(step.reply.unwrap().to_bytes().as_ref(), b"\x88\x02\x03\xf1", "1009 without a reason");
}

#[test]
fn the_room_for_a_claimed_length_grows_with_what_arrives_s07_s08() {
    let mut machine = Machine::new(Role::Client, &Limits::server().message_bytes_max(usize::MAX));
    let room = |machine: &mut Machine, fill: usize| {
        let read = machine.receive_directly(
            |room| {
                let bytes = room.remaining_mut();
                room.put_bytes(b'x', fill.min(bytes));
                bytes
            },
            &mut Vec::new(),
        );
        read.expect("most of the payload is missing").0
    };
    let claim = [0x82, 0x7f, 0x0f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    let _ = machine.receive(&mut [&claim[..], &[0; 5000]].concat());
    let mut arrived = 5000;
    for _ in 0..10 {
        let bytes = room(&mut machine, usize::MAX);
        assert!(bytes <= arrived, "room for {bytes} bytes after {arrived}");
        arrived += bytes;
    }
    let mut machine = Machine::new(Role::Client, &Limits::server().message_bytes_max(usize::MAX));
    let _ = machine.receive(&mut frame(true, OpCode::Binary, None, &[0; 10_000]));
    let _ = machine.receive(&mut claim.to_vec());
    let bytes = room(&mut machine, 0);
    assert!((10_000..10_100).contains(&bytes), "after a long message as much again: {bytes}");
}

#[test]
fn a_long_message_is_followed_by_short_reads_only_where_another_may_begin() {
    let long = frame(true, OpCode::Binary, None, &[0; 10_000]);
    let after_a_long_one = || {
        let mut machine = Machine::new(Role::Client, &Limits::server());
        let _ = machine.receive(&mut long.clone());
        machine
    };
    assert!(after_a_long_one().expects_long());
    for begun in [&long[..1000], &frame(false, OpCode::Binary, None, b"x")] {
        let mut machine = after_a_long_one();
        let _ = machine.receive(&mut begun.to_vec());
        assert!(!machine.expects_long());
    }
    let mut machine = after_a_long_one();
    let _ = machine.receive(&mut frame(true, OpCode::Binary, None, b"x"));
    assert!(!machine.expects_long(), "the last one was short");
    let mut machine = after_a_long_one();
    machine.receive_in_parts(true);
    assert!(!machine.expects_long());
    let mut tiny = long.clone();
    tiny.truncate(5);
    let step = machine.receive(&mut tiny);
    let Some(Ok(Event::Part(part))) = step.event else { panic!("{step:?}") };
    assert!(Vec::from(part.bytes).capacity() <= 8, "a part holds what it is made of");
}

#[test]
fn ten_thousand_empty_fragments_end_the_connection_s09() {
    let mut machine = machine(Role::Server);
    let mut bytes = frame(false, OpCode::Binary, KEY, b"");
    for _ in 0..10_000 {
        bytes.extend(frame(false, OpCode::Continuation, KEY, b""));
    }
    let (events, replies) = run(&mut machine, &bytes, &[]);
    assert_eq!(events, [Err(ProtocolError::TooManyEmptyFragments)]);
    assert_eq!(replies, b"\x88\x02\x03\xf0");
}

#[test]
fn a_megabyte_of_zeros_stops_at_the_inflated_limit_s10() {
    let agreed = tidings_websocket::Agreement {
        server_no_context_takeover: false,
        client_no_context_takeover: false,
        server_max_window_bits: 15,
        client_max_window_bits: 15,
    };
    let mut client = Machine::new(Role::Client, &Limits::client()).with_deflate(agreed, 9, 0);
    let mut server = Machine::new(Role::Server, &Limits::server()).with_deflate(agreed, 9, 0);
    let bomb = client.send(Message::binary(vec![0; 1 << 20]).into()).unwrap().to_bytes();
    assert!(bomb.len() < 2000, "{} bytes", bomb.len());
    let (events, replies) = run(&mut server, &bomb, &[]);
    assert_eq!(events, [Err(ProtocolError::MessageTooBig { max: 65536 })]);
    assert_eq!(replies, b"\x88\x02\x03\xf1");
}

#[test]
fn blocks_that_inflate_to_nothing_are_bounded_too_s10() {
    let agreed = tidings_websocket::Agreement {
        server_no_context_takeover: true,
        client_no_context_takeover: true,
        server_max_window_bits: 15,
        client_max_window_bits: 15,
    };
    let mut server = Machine::new(Role::Server, &Limits::server().message_bytes_max(1000)).with_deflate(agreed, 9, 0);
    let mut bytes = frame(false, OpCode::Binary, KEY, b"\0\0\0\xff\xff");
    bytes[0] |= 0x40;
    for _ in 0..10_000 {
        bytes.extend(frame(false, OpCode::Continuation, KEY, b"\0\0\0\xff\xff"));
    }
    let (events, _) = run(&mut server, &bytes, &[]);
    assert_eq!(events, [Err(ProtocolError::MessageTooBig { max: 1000 })]);
}

#[test]
fn each_violation_is_answered_with_its_code_s12() {
    let text = |payload: &[u8]| frame(true, OpCode::Text, KEY, payload);
    for (bytes, error, code) in [
        (frame(true, OpCode::Text, None, b"x"), ProtocolError::NotMasked, 1002),
        (vec![0xc1, 0x80, 0, 0, 0, 0], ProtocolError::ReservedBits, 1002),
        (vec![0xa1], ProtocolError::ReservedBits, 1002),
        (vec![0x83], ProtocolError::ReservedOpCode, 1002),
        (vec![0x09], ProtocolError::FragmentedControl, 1002),
        (vec![0x89, 0xfe], ProtocolError::ControlTooLong, 1002),
        (frame(true, OpCode::Continuation, KEY, b"x"), ProtocolError::UnexpectedContinuation, 1002),
        ([frame(false, OpCode::Text, KEY, b"x"), text(b"y")].concat(), ProtocolError::ExpectedContinuation, 1002),
        (text(b"\xff"), ProtocolError::InvalidUtf8, 1007),
        (text(b"\xe4"), ProtocolError::InvalidUtf8, 1007),
        (frame(true, OpCode::Close, KEY, b"x"), ProtocolError::CloseTooShort, 1002),
        (frame(true, OpCode::Close, KEY, &[3, 0xee]), ProtocolError::CloseCodeInvalid(1006), 1002),
        (frame(true, OpCode::Close, KEY, &[3, 0xe8, 0xff]), ProtocolError::InvalidUtf8, 1007),
        (text(&[b'x'; 1001]), ProtocolError::MessageTooBig { max: 1000 }, 1009),
    ] {
        let mut machine = machine(Role::Server);
        let (events, replies) = run(&mut machine, &bytes, &[]);
        assert_eq!(events, [Err(error)]);
        assert_eq!(replies, [&[0x88, 2][..], &u16::to_be_bytes(code)].concat(), "{error}");
        assert!(machine.is_done_receiving());
        assert!(machine.receive(&mut text(b"later")).event.is_none());
        assert_eq!(machine.send("later".into()).unwrap_err(), SendRefused::Closed);
    }
    let (events, _) = run(&mut machine(Role::Client), &text(b"x"), &[]);
    assert_eq!(events, [Err(ProtocolError::Masked)]);
}

#[test]
fn text_fails_at_its_first_wrong_byte() {
    let mut machine = machine(Role::Server);
    let bytes = frame(true, OpCode::Text, KEY, b"abc\xff and much more");
    let mut seen = 0;
    for byte in bytes {
        seen += 1;
        if machine.receive(&mut [byte]).event.is_some() {
            break;
        }
    }
    assert_eq!(seen, 6 + 4);
}

#[test]
fn a_close_is_answered_once_and_nothing_follows_it() {
    let mut server = machine(Role::Server);
    let close = frame(true, OpCode::Close, KEY, &[0x0f, 0xa0, b'o', b'k']);
    let (events, replies) = run(&mut server, &[close.clone(), close.clone()].concat(), &[]);
    assert_eq!(events, [Ok(Event::Close(CloseFrame::new(CloseCode::new(4000).unwrap(), "ok")))]);
    assert_eq!(replies, [0x88, 2, 0x0f, 0xa0]);
    let mut first = machine(Role::Server);
    first.send(CloseCode::NORMAL.into()).unwrap();
    let (events, replies) = run(&mut first, &[frame(true, OpCode::Ping, KEY, b"?"), close].concat(), &[]);
    assert_eq!(events.len(), 2, "what arrives before the peer's close still counts");
    assert!(replies.is_empty(), "nothing may follow a close frame");
}

#[test]
fn a_reason_is_cut_at_a_character_to_fit_its_frame() {
    let mut server = machine(Role::Server);
    let frame = server.send(CloseFrame::new(CloseCode::NORMAL, "€".repeat(100)).into()).unwrap().to_bytes();
    assert_eq!(frame.len(), 2 + 2 + 41 * 3);
}

#[test]
fn a_message_in_fragments_excludes_others_until_it_ends() {
    let mut server = machine(Role::Server);
    server.send_fragment(Kind::Text, "a".into(), false, true).unwrap();
    assert_eq!(server.send("b".into()).unwrap_err(), SendRefused::Unfinished);
    assert_eq!(server.send(Prepared::text("b").into()).unwrap_err(), SendRefused::Unfinished);
    assert!(server.send(Outgoing::Ping(Bytes::new())).is_ok());
    assert_eq!(server.send(Outgoing::Ping(vec![0; 126].into())).unwrap_err(), SendRefused::ControlTooLong);
    server.send_fragment(Kind::Text, "c".into(), true, true).unwrap();
    assert!(server.send("b".into()).is_ok());
}

#[test]
fn a_prepared_message_is_compressed_once_for_each_window() {
    let agreed = |bits| tidings_websocket::Agreement {
        server_no_context_takeover: true,
        client_no_context_takeover: true,
        server_max_window_bits: bits,
        client_max_window_bits: 15,
    };
    let prepared = Prepared::text("to be or not to be ".repeat(50)).compressible();
    let mut servers = [15, 15, 9].map(|bits| machine(Role::Server).with_deflate(agreed(bits), 1, 100));
    let frames = servers.each_mut().map(|server| server.send((&prepared).into()).unwrap().to_bytes());
    assert_eq!(frames[0].as_ptr(), frames[1].as_ptr(), "the same bytes are shared");
    assert_ne!(frames[0].as_ptr(), frames[2].as_ptr());
    assert!(frames[0].len() < 100);
    let mut client = machine(Role::Client).with_deflate(agreed(15), 1, 100);
    let (events, _) = run(&mut client, &[&frames[0][..], &frames[2][..]].concat(), &[]);
    let message = Message::text("to be or not to be ".repeat(50));
    assert_eq!(events, [Ok(Event::Message(message.clone())), Ok(Event::Message(message))]);
}

#[test]
fn a_prepared_message_is_compressed_for_each_level_and_for_each_connection_that_keeps_its_window() {
    let agreed = |takeover: bool| tidings_websocket::Agreement {
        server_no_context_takeover: !takeover,
        client_no_context_takeover: true,
        // More than there is means the most.
        server_max_window_bits: 16,
        client_max_window_bits: 15,
    };
    let text: String = (0..3000u32).map(|number| (number * number % 977).to_string()).collect();
    let prepared = Prepared::text(text.clone()).compressible();
    let secret = machine(Role::Client).with_deflate(agreed(false), 9, 100).send(Prepared::text(text.clone()).into());
    assert!(secret.unwrap().len() > text.len(), "nothing is compressed that was not marked so");
    let [mut fast, mut small] = [1, 9].map(|level| machine(Role::Server).with_deflate(agreed(false), level, 100));
    let [fast, small] = [&mut fast, &mut small].map(|server| server.send((&prepared).into()).unwrap().len());
    assert!(small < fast, "{small} bytes at level 9, {fast} at 1");
    let mut keeps = machine(Role::Server).with_deflate(agreed(true), 6, 100);
    let [first, second] = [(), ()].map(|()| keeps.send((&prepared).into()).unwrap().to_bytes());
    assert!(second.len() < first.len() / 2, "the second refers to the first");
    let mut client = Machine::new(Role::Client, &Limits::client()).with_deflate(agreed(true), 6, 100);
    let (events, _) = run(&mut client, &[first, second].concat(), &[]);
    assert_eq!(events, [Ok(Event::Message(text.clone().into())), Ok(Event::Message(text.into()))]);
}

#[test]
fn a_frame_that_was_compressed_when_it_was_made_goes_to_those_alone_who_can_read_it() {
    let text = "the tide comes in, the tide goes out. ".repeat(20);
    let agreed = |server_no_context_takeover, server_max_window_bits| tidings_websocket::Agreement {
        server_no_context_takeover,
        client_no_context_takeover: true,
        server_max_window_bits,
        client_max_window_bits: 15,
    };
    let bytes = Prepared::text(text.clone()).deflated().into_bytes();
    assert!(bytes.len() < text.len() / 4);
    let prepared = Prepared::from_bytes(bytes.clone()).unwrap();
    let mut server = machine(Role::Server).with_deflate(agreed(true, 15), 9, 0);
    assert!(server.takes_deflated());
    assert_eq!(server.send((&prepared).into()).unwrap().to_bytes(), bytes);
    let mut client = machine(Role::Client).with_deflate(agreed(true, 15), 1, 0);
    assert_eq!(run(&mut client, &bytes, &[]).0, [Ok(Event::Message(text.into()))]);
    for mut other in [
        machine(Role::Server),
        machine(Role::Server).with_deflate(agreed(false, 15), 1, 0),
        machine(Role::Server).with_deflate(agreed(true, 12), 1, 0),
        machine(Role::Client).with_deflate(agreed(true, 15), 1, 0),
    ] {
        assert!(!other.takes_deflated());
        assert!(matches!(other.send((&prepared).into()), Err(SendRefused::NotAgreed)));
        assert!(other.send(Prepared::text("plain").deflated().into()).is_ok(), "what gains nothing stays as it is");
    }
}

#[test]
fn prepared_bytes_are_judged_before_they_are_taken_back() {
    let prepared = Prepared::binary(vec![7; 70_000]);
    assert_eq!(Prepared::from_bytes(prepared.as_bytes().clone()).unwrap().into_bytes(), prepared.into_bytes());
    for bytes in [&b""[..], b"\x81", b"\x81\x01", b"\x81\x00x", b"\x01\x00", b"\x80\x00", b"\x89\x00", b"\x81\x80abcd"]
    {
        assert!(Prepared::from_bytes(Bytes::from_static(bytes)).is_err(), "{bytes:?}");
    }
}

#[test]
fn compressed_messages_are_received_in_parts_without_a_limit_to_the_whole() {
    let agreed = tidings_websocket::Agreement {
        server_no_context_takeover: true,
        client_no_context_takeover: true,
        server_max_window_bits: 15,
        client_max_window_bits: 15,
    };
    let mut client = Machine::new(Role::Client, &Limits::client()).with_deflate(agreed, 1, 0);
    let mut server = machine(Role::Server).with_deflate(agreed, 1, 0);
    server.receive_in_parts(true);
    let wire = client.send(Message::text("0123456789".repeat(500_000)).into()).unwrap().to_bytes();
    let mut bytes = 0;
    for event in run(&mut server, &wire, &[]).0 {
        let Ok(Event::Part(part)) = event else { panic!("{event:?}") };
        assert!(part.bytes.len() < 2 << 20, "a part stays small, however well it was compressed");
        bytes += part.bytes.len();
    }
    assert_eq!(bytes, 5_000_000);
}

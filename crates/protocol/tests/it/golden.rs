//! Every command, reply, push and code as it stands on the wire (`golden/`): line by line the same message in JSON, as it
//! was observed between stock SDKs and servers, and in protobuf, as the JavaScript SDK's codec writes it, which
//! `tests/sdk/node/golden.test.mjs` of the whole project makes sure of.

use tidings_protocol::{
    Command, ConnectResult, Disconnect, Encoding, Error, PushEvent, Reply, Request, Response, Unsubscribe, json,
    protobuf,
};

const COMMANDS: &str = include_str!("../golden/commands.jsonl");
const COMMANDS_HEX: &str = include_str!("../golden/commands.hex");
const REPLIES: &str = include_str!("../golden/replies.jsonl");
const REPLIES_HEX: &str = include_str!("../golden/replies.hex");

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn lines(json: &'static str, hex: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    assert_eq!(json.lines().count(), hex.lines().count());
    json.lines().zip(hex.lines())
}

#[test]
fn every_golden_command_is_read_and_written_back_byte_for_byte() {
    for (line, in_hex) in lines(COMMANDS, COMMANDS_HEX) {
        let commands = json::decode_commands(line.as_bytes()).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert_eq!(json::encode_commands(&commands).unwrap(), line);
        assert_eq!(hex(&protobuf::encode_commands(&commands)), in_hex, "{line}");
        let commands = protobuf::decode_commands(&bytes(in_hex)).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert_eq!(hex(&protobuf::encode_commands(&commands)), in_hex, "{line}");
        assert_eq!(json::encode_commands(&commands).unwrap(), line, "bytes that are JSON are written as such");
    }
}

#[test]
fn every_golden_reply_is_read_and_written_back_byte_for_byte() {
    for (line, in_hex) in lines(REPLIES, REPLIES_HEX) {
        let replies = json::decode_replies(line.as_bytes()).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert_eq!(replies.len(), 1);
        assert_eq!(json::encode_reply(&replies[0]).unwrap(), line);
        assert_eq!(hex(&protobuf::encode_reply(&replies[0])), in_hex, "{line}");
        let replies = protobuf::decode_replies(&bytes(in_hex)).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert_eq!(hex(&protobuf::encode_reply(&replies[0])), in_hex, "{line}");
        assert_eq!(json::encode_reply(&replies[0]).unwrap(), line, "bytes that are JSON are written as such");
    }
}

#[test]
fn where_a_transport_goes_in_one_direction_pushes_stand_alone_and_nothing_is_answered() {
    for line in REPLIES.lines() {
        let reply = &json::decode_replies(line.as_bytes()).unwrap()[0];
        let written = Encoding::JsonPushes.encode_reply(reply);
        match line.strip_prefix(r#"{"push":"#).and_then(|line| line.strip_suffix('}')) {
            Some(push) => assert_eq!(written.unwrap(), push),
            None if line == "{}" => assert_eq!(written.unwrap(), line),
            None => assert!(written.is_err(), "{line} is an answer"),
        }
    }
    let pushes = "{\"channel\":\"a\",\"pub\":{\"data\":1}}\n{}\n{\"refresh\":{}}";
    let read = Encoding::JsonPushes.replies(pushes.as_bytes()).unwrap();
    let written = read.iter().map(|reply| Encoding::JsonPushes.encode_reply(reply).unwrap());
    assert_eq!(Encoding::JsonPushes.join(written), pushes);
}

#[test]
fn a_whole_frame_is_many_messages_joined_by_one_newline_or_each_behind_its_length() {
    let (commands, replies) = (COMMANDS.trim_end(), REPLIES.trim_end());
    let (commands_hex, replies_hex) = (COMMANDS_HEX.replace('\n', ""), REPLIES_HEX.replace('\n', ""));

    let read = json::decode_commands(COMMANDS.as_bytes()).unwrap();
    assert_eq!(read.len(), commands.lines().count());
    assert_eq!(Encoding::Json.encode_commands(&read).unwrap(), commands);
    assert_eq!(hex(&Encoding::Protobuf.encode_commands(&read).unwrap()), commands_hex);
    assert_eq!(protobuf::decode_commands(&bytes(&commands_hex)).unwrap().len(), read.len());

    let read = json::decode_replies(REPLIES.as_bytes()).unwrap();
    let written = |encoding: Encoding| encoding.join(read.iter().map(|reply| encoding.encode_reply(reply).unwrap()));
    assert_eq!(written(Encoding::Json), replies);
    assert_eq!(hex(&written(Encoding::Protobuf)), replies_hex);
    assert_eq!(protobuf::decode_replies(&bytes(&replies_hex)).unwrap().len(), read.len());
}

#[test]
fn every_method_push_and_code_is_among_the_golden_frames() {
    let commands = json::decode_commands(COMMANDS.as_bytes()).unwrap();
    let replies = json::decode_replies(REPLIES.as_bytes()).unwrap();
    // A kind that is added to one of these does not compile until it has its golden frame here.
    let method = |request: &Request| match request {
        Request::Connect(_) => 0,
        Request::Ping(_) => 1,
        Request::Subscribe(_) => 2,
        Request::Unsubscribe(_) => 3,
        Request::Publish(_) => 4,
        Request::Presence(_) => 5,
        Request::PresenceStats(_) => 6,
        Request::History(_) => 7,
        Request::Rpc(_) => 8,
        Request::Send(_) => 9,
        Request::Refresh(_) => 10,
        Request::SubRefresh(_) => 11,
    };
    let answer = |response: &Response| match response {
        Response::Connect(_) => 0,
        Response::Subscribe(_) => 1,
        Response::Unsubscribe(_) => 2,
        Response::Publish(_) => 3,
        Response::Presence(_) => 4,
        Response::PresenceStats(_) => 5,
        Response::History(_) => 6,
        Response::Rpc(_) => 7,
        Response::Refresh(_) => 8,
        Response::SubRefresh(_) => 9,
    };
    let event = |event: &PushEvent| match event {
        PushEvent::Pub(_) => 0,
        PushEvent::Join(_) => 1,
        PushEvent::Leave(_) => 2,
        PushEvent::Unsubscribe(_) => 3,
        PushEvent::Message(_) => 4,
        PushEvent::Subscribe(_) => 5,
        PushEvent::Connect(_) => 6,
        PushEvent::Disconnect(_) => 7,
        PushEvent::Refresh(_) => 8,
        PushEvent::Unknown => panic!("no frame has an unknown push"),
    };
    let are_all = |mut seen: Vec<u32>, count: u32| {
        seen.sort_unstable();
        seen.dedup();
        assert!(seen.into_iter().eq(0..count), "each has a golden frame");
    };
    are_all(commands.iter().filter_map(|command| command.request.as_ref().map(method)).collect(), 12);
    let (mut answers, mut events) = (Vec::new(), Vec::new());
    for reply in &replies {
        match reply {
            Reply::Answer { result: Ok(response), .. } => answers.push(answer(response)),
            Reply::Push(push) => events.push(event(&push.event)),
            Reply::Ping | Reply::Answer { .. } => {}
        }
    }
    are_all(answers, 10);
    are_all(events, 9);

    for error in [
        Error::INTERNAL,
        Error::UNAUTHORIZED,
        Error::UNKNOWN_CHANNEL,
        Error::PERMISSION_DENIED,
        Error::METHOD_NOT_FOUND,
        Error::ALREADY_SUBSCRIBED,
        Error::LIMIT_EXCEEDED,
        Error::BAD_REQUEST,
        Error::NOT_AVAILABLE,
        Error::TOKEN_EXPIRED,
        Error::EXPIRED,
        Error::TOO_MANY_REQUESTS,
        Error::UNRECOVERABLE_POSITION,
        Error::CONCURRENT_PAGINATION,
    ] {
        assert!(replies.contains(&Reply::error(3, error.clone())), "{error}");
    }
    for disconnect in [
        Disconnect::CONNECTION_CLOSED,
        Disconnect::SHUTDOWN,
        Disconnect::SERVER_ERROR,
        Disconnect::EXPIRED,
        Disconnect::SUBSCRIPTION_EXPIRED,
        Disconnect::SLOW,
        Disconnect::WRITE_ERROR,
        Disconnect::INSUFFICIENT_STATE,
        Disconnect::FORCE_RECONNECT,
        Disconnect::NO_PONG,
        Disconnect::TOO_MANY_REQUESTS,
        Disconnect::STATE_INVALIDATED,
        Disconnect::INVALID_TOKEN,
        Disconnect::BAD_REQUEST,
        Disconnect::STALE,
        Disconnect::FORCE_DISCONNECT,
        Disconnect::CONNECTION_LIMIT,
        Disconnect::CHANNEL_LIMIT,
        Disconnect::INAPPROPRIATE_PROTOCOL,
        Disconnect::PERMISSION_DENIED,
        Disconnect::NOT_AVAILABLE,
        Disconnect::TOO_MANY_ERRORS,
    ] {
        assert!(replies.contains(&Reply::push("", PushEvent::Disconnect(disconnect.clone()))), "{disconnect}");
    }
    for unsubscribe in
        [Unsubscribe::SERVER, Unsubscribe::INSUFFICIENT_STATE, Unsubscribe::EXPIRED, Unsubscribe::STATE_INVALIDATED]
    {
        assert!(replies.contains(&Reply::push("a", PushEvent::Unsubscribe(unsubscribe.clone()))), "{unsubscribe:?}");
    }
}

#[test]
fn the_golden_connect_reply_is_what_we_write() {
    let result = ConnectResult {
        client: "95af0b85-d054-431f-84a9-da278befd136".into(),
        version: "0.0.0 test".into(),
        ping: 25,
        pong: true,
        ..ConnectResult::default()
    };
    let reply = Reply::ok(1, Response::Connect(Box::new(result)));
    assert_eq!(json::encode_reply(&reply).unwrap(), REPLIES.lines().nth(1).unwrap());
    assert_eq!(hex(&protobuf::encode_reply(&reply)), REPLIES_HEX.lines().nth(1).unwrap());
}

#[test]
fn an_empty_message_is_a_ping_a_pong_and_one_byte() {
    assert_eq!(protobuf::encode_commands(&[Command::PONG]), &[0][..]);
    assert_eq!(protobuf::encode_reply(&Reply::Ping), &[0][..]);
    assert_eq!(protobuf::decode_commands(&[0, 0]).unwrap(), [Command::PONG, Command::PONG]);
    assert_eq!(protobuf::decode_replies(&[0]).unwrap(), [Reply::Ping]);
}

#[test]
fn pushes_are_written_alike_from_parts_and_as_a_whole() {
    for line in REPLIES.lines() {
        let Reply::Push(push) = &json::decode_replies(line.as_bytes()).unwrap()[0] else { continue };
        for encoding in [Encoding::Json, Encoding::JsonPushes, Encoding::Protobuf] {
            let whole = encoding.encode_reply(&Reply::Push(push.clone())).unwrap();
            assert_eq!(encoding.encode_push(push.label(), &push.event).unwrap(), whole);
            if let PushEvent::Pub(publication) = &push.event {
                assert_eq!(encoding.encode_publication(push.label(), publication).unwrap(), whole);
            }
        }
    }
}

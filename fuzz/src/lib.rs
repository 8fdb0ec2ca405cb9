//! What is fuzzed, as functions of bytes that panic when a promise is broken. `fuzz_targets` hands them to libFuzzer, and
//! `tests/bounded.rs` feeds them mutations of the corpus on stable Rust.

#[path = "../../crates/websocket/tests/it/feed.rs"]
mod feed;
// The chat's reading of Markdown without the chat, which would have its databases built for it.
#[path = "../../crates/chat/src/limits.rs"]
pub mod limits;
#[path = "../../crates/chat/src/markup/mod.rs"]
pub mod markup;
#[path = "../../crates/chat/src/markup/promises.rs"]
mod promises;

use std::alloc::System;

use bytes::Bytes;
use cap::Cap;
use feed::{run, run_directly};
use tidings_protocol::{Command, Encoding, Push, PushEvent, Reply, fossil};
use tidings_websocket::{
    Agreement, ConnectOptions, DeflateOptions, Event, HEAD_BYTES_MAX, Head, Kind, Limits, Machine, Message,
    OriginPolicy, Outgoing, Role, connect_over, handshake::ServerRequest, parse_request,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

/// A length that a message declares of itself may not be believed: who makes room for one of gigabytes is aborted here.
#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, MEMORY_BYTES_MAX);

/// Of all targets together, which run side by side.
const MEMORY_BYTES_MAX: usize = 512 << 20;

/// Long enough that payloads are read straight into messages.
const MESSAGE_BYTES_MAX: usize = 16 * 1024;

/// A head gives the same verdict from any prefix that is long enough, and writes back as it was read.
pub fn frame(input: &[u8]) {
    let whole = Head::parse(input);
    for cut in 0..input.len().min(HEAD_BYTES_MAX) {
        let prefix = Head::parse(&input[..cut]);
        assert!(prefix == Ok(None) || prefix == whole, "{prefix:?} from {cut} bytes, {whole:?} from all");
    }
    if let Ok(Some((head, size))) = whole {
        let mut written = [0; HEAD_BYTES_MAX];
        assert_eq!(head.write(&mut written), size, "lengths are in their shortest form");
        assert_eq!(&written[..size], &input[..size]);
    }
}

/// Requests and answers of any form are judged without a panic, and what is accepted is answered in order.
pub fn handshake(input: &[u8]) {
    if let Ok(Some((head, size))) = parse_request(input) {
        assert!(size <= input.len());
        if let Ok(mut request) = ServerRequest::parse(&head, None) {
            request.protocols(["chat", "superchat"]);
            request.deflate(DeflateOptions::default());
            match request.accept() {
                Ok(accepted) => {
                    assert_eq!(accepted.response.status(), 101);
                    assert!(accepted.response.headers().contains_key("sec-websocket-accept"));
                }
                Err(refusal) => assert_eq!(refusal.status(), 403),
            }
        }
    }
    if let Ok(text) = std::str::from_utf8(input)
        && let Some((origin, host)) = text.split_once('\n')
        && OriginPolicy::SameHost.allows(origin, Some(host))
    {
        let after = origin.split_once("://").expect("an origin has a scheme").1.to_ascii_lowercase();
        let name = |text: &str| text.trim_end_matches(|c: char| c == ':' || c.is_ascii_digit()).to_owned();
        assert!(name(&after) == name(&host.to_ascii_lowercase()), "{origin:?} is allowed at {host:?}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let (ours, mut theirs) = duplex(64 * 1024);
        let answer = input.to_vec();
        let server = async move {
            let _ = theirs.write_all(&answer).await;
            let _ = theirs.shutdown().await;
            let _ = theirs.read_to_end(&mut Vec::new()).await;
        };
        let options = ConnectOptions::new().deflate(DeflateOptions::default());
        let (result, ()) = tokio::join!(connect_over(ours, "ws://a/", options), server);
        // Nobody guesses the answer to a random key.
        assert!(result.is_err());
    });
}

/// Anything compresses and inflates to itself, anything hostile is refused or bounded.
pub fn deflate(input: &[u8]) {
    let [choice, bits, rest @ ..] = input else { return };
    let agreed = Agreement {
        server_no_context_takeover: choice & 1 != 0,
        client_no_context_takeover: choice & 2 != 0,
        server_max_window_bits: 9 + (bits & 15) % 7,
        client_max_window_bits: 9 + (bits >> 4) % 7,
    };
    let level = u32::from(choice >> 4);
    let machine = |role| {
        let limits = Limits::server().message_bytes_max(MESSAGE_BYTES_MAX);
        Machine::new(role, &limits).with_deflate(agreed, level, 0)
    };
    let (mut client, mut server) = (machine(Role::Client), machine(Role::Server));
    for chunk in rest.chunks(2048).take(4) {
        let mut wire = client.send(Message::binary(chunk.to_vec()).into()).unwrap().to_bytes().to_vec();
        let step = server.receive(&mut wire);
        assert_eq!(step.event, Some(Ok(Event::Message(Message::binary(chunk.to_vec())))));
    }
    // The same bytes as if they were compressed data, whole and in parts.
    for in_parts in [false, true] {
        let mut wire = vec![0; HEAD_BYTES_MAX];
        let head = Head {
            last: choice & 4 != 0,
            compressed: true,
            opcode: tidings_websocket::OpCode::Binary,
            mask: Some([0; 4]),
            payload_len: rest.len() as u64,
        };
        let size = head.write(wire.as_mut_slice().try_into().expect("it has that many"));
        wire.truncate(size);
        wire.extend_from_slice(rest);
        let mut server = machine(Role::Server);
        server.receive_in_parts(in_parts);
        for event in run(&mut server, &wire, &[]).0 {
            match event {
                Ok(Event::Message(message)) => assert!(message.len() <= MESSAGE_BYTES_MAX),
                Ok(Event::Part(part)) => assert!(part.bytes.len() <= 2 << 20),
                _ => {}
            }
        }
    }
}

/// A connection gives the same events for any cut of its bytes, answers violations once, and says nothing after.
pub fn connection(input: &[u8]) {
    let [choice, cut, rest @ ..] = input else { return };
    let role = if choice & 1 == 0 { Role::Server } else { Role::Client };
    let machine = || {
        let machine = Machine::new(role, &Limits::server().message_bytes_max(MESSAGE_BYTES_MAX));
        let agreed = Agreement {
            server_no_context_takeover: choice & 2 != 0,
            client_no_context_takeover: choice & 4 != 0,
            server_max_window_bits: 15,
            client_max_window_bits: 15,
        };
        if choice & 8 == 0 { machine } else { machine.with_deflate(agreed, 1, 0) }
    };
    let (mut whole, mut cut_up) = (machine(), machine());
    let (seen, _) = run(&mut whole, rest, &[]);
    assert_eq!(seen, run(&mut cut_up, rest, &[usize::from(*cut) + 1]).0);
    assert_eq!(seen, run_directly(&mut machine(), rest, &[50 * (usize::from(*cut) + 1)]));
    let failures = seen.iter().filter(|event| event.is_err()).count();
    assert!(failures <= 1, "a connection fails once");
    if failures == 1 {
        assert!(seen.last().unwrap().is_err() && whole.is_done_receiving() && whole.close_sent());
        assert!(whole.send(Outgoing::Ping(Bytes::new())).is_err());
        assert!(whole.send_fragment(Kind::Text, Bytes::new(), true, false).is_err());
    }
    for event in seen {
        if let Ok(Event::Message(message)) = event {
            assert!(message.len() <= MESSAGE_BYTES_MAX);
            if let Message::Text(text) = message {
                assert!(std::str::from_utf8(text.as_bytes()).is_ok());
            }
        }
    }
}

/// Whatever is read from JSON is written so that it is read alike, and means the same in protobuf.
pub fn json(input: &[u8]) {
    messages(Encoding::Json, input);
    let _ = Encoding::JsonPushes.commands(input).count();
    if let Ok(request) = Encoding::Json.emulation_request(input) {
        let _ = request.frame();
    }
}

/// The same of protobuf, but that its data need not be JSON.
pub fn protobuf(input: &[u8]) {
    messages(Encoding::Protobuf, input);
    if let Ok(request) = Encoding::Protobuf.emulation_request(input) {
        assert!(request.frame().expect("bytes are the frame").len() <= input.len());
    }
}

fn messages(encoding: Encoding, input: &[u8]) {
    let commands: Vec<Command> = encoding.commands(input).filter_map(Result::ok).collect();
    assert!(commands.len() <= input.len(), "a message has a byte");
    let write = |encoding: Encoding, commands: &[Command]| encoding.encode_commands(commands);
    let read =
        |encoding: Encoding, frame: &[u8]| encoding.commands(frame).collect::<Result<Vec<_>, _>>().expect("ours");
    means_the_same(encoding, &commands, write, read);

    let replies = encoding.replies(input).unwrap_or_default();
    assert!(replies.len() <= input.len());
    // What we do not know we do not write.
    let is_known = |reply: &Reply| !matches!(reply, Reply::Push(Push { event: PushEvent::Unknown, .. }));
    let replies: Vec<Reply> = replies.into_iter().filter(is_known).collect();
    let write = |encoding: Encoding, replies: &[Reply]| {
        let written: Result<Vec<_>, _> = replies.iter().map(|reply| encoding.encode_reply(reply)).collect();
        written.map(|written| encoding.join(written))
    };
    let read = |encoding: Encoding, frame: &[u8]| encoding.replies(frame).expect("ours");
    means_the_same(encoding, &replies, write, read);
}

fn means_the_same<T, E: std::fmt::Debug>(
    encoding: Encoding,
    messages: &[T],
    write: impl Fn(Encoding, &[T]) -> Result<Bytes, E>,
    read: impl Fn(Encoding, &[u8]) -> Vec<T>,
) {
    if messages.is_empty() {
        return;
    }
    let written = write(encoding, messages).expect("what was read can be written");
    let again = read(encoding, &written);
    assert_eq!(again.len(), messages.len());
    assert_eq!(write(encoding, &again).unwrap(), written);
    // In protobuf data may be anything, and then it is not written in JSON.
    if let Ok(json) = write(Encoding::Json, messages) {
        let protobuf = write(Encoding::Protobuf, messages).unwrap();
        assert_eq!(write(Encoding::Json, &read(Encoding::Protobuf, &protobuf)).unwrap(), json);
    }
}

/// A delta makes what it was made for, also of text and then in whole characters; any other is refused or bounded.
pub fn delta(input: &[u8]) {
    let [high, low, rest @ ..] = input else { return };
    let (from, to) = rest.split_at(usize::from(u16::from_be_bytes([*high, *low])).min(rest.len()));
    assert_eq!(fossil::apply(from, &fossil::create(from, to)).unwrap(), to);
    if let (Ok(from), Ok(to)) = (std::str::from_utf8(from), std::str::from_utf8(to)) {
        assert_eq!(fossil::apply(from.as_bytes(), fossil::create_text(from, to).as_bytes()).unwrap(), to.as_bytes());
    }
    if let Ok(target) = fossil::apply(from, to) {
        assert!(target.len() <= fossil::TARGET_BYTES_MAX);
    }
}

/// Of any text nothing is lost but marks, links lead to addresses of three schemes, and the tree is bounded.
pub fn message(input: &[u8]) {
    promises::assert_promises(&String::from_utf8_lossy(input));
}

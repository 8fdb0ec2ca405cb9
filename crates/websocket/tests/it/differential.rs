//! The same bytes to this engine and to tungstenite must give the same messages and the same verdict.

use proptest::prelude::*;
use std::io::{Cursor, Read, Write};
use tidings_websocket::{CloseCode, Event, HEAD_BYTES_MAX, Head, Limits, Machine, OpCode, ProtocolError, Role};
use tokio_tungstenite::tungstenite::{self, Message as Theirs, protocol::Role as TheirRole};

/// A stream that gives some bytes and then blocks, as a socket does.
struct Input(Cursor<Vec<u8>>);

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(std::io::ErrorKind::WouldBlock.into()),
            bytes => Ok(bytes),
        }
    }
}

impl Write for Input {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[derive(Debug, PartialEq)]
enum Seen {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
    Failed,
}

fn ours(role: Role, bytes: &[u8]) -> (Vec<Seen>, Option<ProtocolError>) {
    let mut machine = Machine::new(role, &Limits::client().empty_fragments_max(u32::MAX));
    let mut bytes = bytes.to_vec();
    let (mut seen, mut at, mut error) = (Vec::new(), 0, None);
    while at < bytes.len() {
        let step = machine.receive(&mut bytes[at..]);
        at += step.consumed;
        seen.extend(step.event.map(|event| match event {
            Ok(Event::Message(message)) => match message.as_text() {
                Some(text) => Seen::Text(text.to_owned()),
                None => Seen::Binary(message.as_bytes().to_vec()),
            },
            Ok(Event::Ping(payload)) => Seen::Ping(payload.to_vec()),
            Ok(Event::Pong(payload)) => Seen::Pong(payload.to_vec()),
            Ok(Event::Close(frame)) => {
                Seen::Close((frame.code != CloseCode::NO_STATUS).then(|| frame.code.get()), frame.reason.to_string())
            }
            Ok(Event::Part(_)) => unreachable!("nobody asked for parts"),
            Err(failed) => {
                error = Some(failed);
                Seen::Failed
            }
        }));
    }
    (seen, error)
}

fn theirs(role: Role, bytes: &[u8]) -> Vec<Seen> {
    let role = if role == Role::Server { TheirRole::Server } else { TheirRole::Client };
    let mut socket = tungstenite::WebSocket::from_raw_socket(Input(Cursor::new(bytes.to_vec())), role, None);
    let mut seen = Vec::new();
    loop {
        seen.push(match socket.read() {
            Ok(Theirs::Text(text)) => Seen::Text(text.to_string()),
            Ok(Theirs::Binary(bytes)) => Seen::Binary(bytes.to_vec()),
            Ok(Theirs::Ping(payload)) => Seen::Ping(payload.to_vec()),
            Ok(Theirs::Pong(payload)) => Seen::Pong(payload.to_vec()),
            Ok(Theirs::Close(frame)) => {
                seen.push(match frame {
                    Some(frame) => Seen::Close(Some(frame.code.into()), frame.reason.to_string()),
                    None => Seen::Close(None, String::new()),
                });
                return seen;
            }
            Ok(Theirs::Frame(_)) => unreachable!("only when asked for"),
            Err(tungstenite::Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => return seen,
            Err(_) => {
                seen.push(Seen::Failed);
                return seen;
            }
        });
    }
}

fn frame(last: bool, opcode: OpCode, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let mut head = [0; HEAD_BYTES_MAX];
    let size = Head { last, compressed: false, opcode, mask, payload_len: payload.len() as u64 }.write(&mut head);
    let mut bytes = head[..size].to_vec();
    bytes.extend(payload.iter().zip(mask.unwrap_or_default().iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

/// Conversations with few violations, and now and then a damaged byte. Masked with zeros, so that damage to a payload is
/// damage to its text.
fn streams(mask: Option<[u8; 4]>) -> impl Strategy<Value = Vec<u8>> {
    use OpCode::{Binary, Close, Continuation, Ping, Pong, Text};
    let opcode = prop::sample::select(vec![Continuation, Continuation, Text, Text, Binary, Ping, Pong, Close]);
    let payload = prop_oneof![
        6 => ".{0,20}".prop_map(String::into_bytes),
        2 => prop::collection::vec(any::<u8>(), 0..200),
        1 => (0u16..6000, ".{0,10}").prop_map(|(code, reason)| [&code.to_be_bytes()[..], reason.as_bytes()].concat()),
        1 => (65_530usize..65_540, any::<u8>()).prop_map(|(size, byte)| vec![byte; size]),
    ];
    let frames = (prop::bool::weighted(0.7), opcode, payload)
        .prop_map(move |(last, opcode, payload)| frame(last, opcode, mask, &payload));
    let damage = prop::option::weighted(0.3, (any::<prop::sample::Index>(), any::<u8>()));
    (prop::collection::vec(frames, 1..6), damage).prop_map(|(frames, damage)| {
        let mut bytes = frames.concat();
        if let Some((at, byte)) = damage {
            let at = at.index(bytes.len().min(40));
            bytes[at] = byte;
        }
        bytes
    })
}

fn compare(role: Role, bytes: &[u8]) -> Result<(), TestCaseError> {
    let (ours, error) = ours(role, bytes);
    let theirs = theirs(role, bytes);
    let Some(error) = error else {
        // Registered by IANA as "Bad Gateway"; tungstenite does not know it and answers as if it were a violation.
        let bad_gateway = matches!(ours.last(), Some(Seen::Close(Some(1014), _)));
        let compared = ours.len() - usize::from(bad_gateway);
        prop_assert_eq!(&ours[..compared], &theirs[..compared.min(theirs.len())]);
        prop_assert_eq!(ours.len(), theirs.len());
        return Ok(());
    };
    let before = ours.len() - 1;
    prop_assert_eq!(&ours[..before], &theirs[..before.min(theirs.len())]);
    match error {
        // Tungstenite takes any form of a length; RFC 6455 §5.2: "the minimal number of bytes MUST be used".
        ProtocolError::LengthNotMinimal | ProtocolError::LengthTooLarge | ProtocolError::ControlTooLong => {}
        // It shows a violation of its own making.
        ProtocolError::CloseCodeInvalid(_) if matches!(theirs[before..], [Seen::Close(Some(1002), _)]) => {}
        // It judges a frame when it is whole, so it may still be waiting.
        _ => prop_assert!(
            theirs.len() == before || theirs[before..] == [Seen::Failed],
            "{error}, but tungstenite sees {:?}",
            &theirs[before..]
        ),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn a_server_sees_what_tungstenite_sees(bytes in streams(Some([0; 4]))) {
        compare(Role::Server, &bytes)?;
    }

    #[test]
    fn a_client_sees_what_tungstenite_sees(bytes in streams(None)) {
        compare(Role::Client, &bytes)?;
    }
}

/// Any 16 bits in a close frame (RFC 6455 §7.4): random streams seldom meet the few that matter.
#[test]
fn every_close_code_is_judged_as_tungstenite_judges_it() -> Result<(), TestCaseError> {
    for code in 0..=u16::MAX {
        compare(Role::Server, &frame(true, OpCode::Close, Some([0; 4]), &code.to_be_bytes()))?;
    }
    Ok(())
}

//! The connection as a state machine: bytes and messages go in, messages and frames come out.
//!
//! No async, no clock and no socket, so it runs in any event loop. It refuses to know how bytes travel, how long anything
//! takes, and what a message means.

#[cfg(feature = "deflate")]
use crate::deflate::{Agreement, Deflate};
#[cfg(not(feature = "deflate"))]
use crate::no_deflate::Deflate;
use crate::{
    CloseCode, CloseFrame, Frame, Kind, Limits, Message, Outgoing, ProtocolError, Role, SendRefused, Statistics,
    Utf8Bytes,
    frame::{HEAD_BYTES_MAX, Head, OpCode},
    limits::{CLOSE_REASON_BYTES_MAX, CONTROL_BYTES_MAX},
    mask,
    utf8::Utf8,
};
use bytes::{BufMut, Bytes, buf::Limit};

/// Compressed bytes that one [`Part`] takes, so that a part inflates to about a MiB at most.
const COMPRESSED_PART_BYTES: usize = 1024;

/// What must be missing of a payload before it is worth reading straight into the message, in bytes: less is cheaper to
/// copy than to read on its own.
const DIRECT_BYTES_MIN: usize = 4 * 1024;

/// Bytes that are unmasked and validated at once, so that the second finds them in the processor's nearest cache.
const PASS_BYTES: usize = 8 * 1024;

/// One end of a WebSocket connection after its handshake. At most 128 bytes, and no buffer between messages.
///
/// ```
/// use tidings_websocket::{Event, Limits, Machine, Message, Role};
///
/// let mut client = Machine::new(Role::Client, &Limits::client());
/// let mut server = Machine::new(Role::Server, &Limits::server());
/// let frame = client.send(Message::text("hello").into())?;
///
/// let mut wire = frame.to_bytes().to_vec();
/// let step = server.receive(&mut wire);
/// assert_eq!(step.consumed, wire.len());
/// assert_eq!(step.event, Some(Ok(Event::Message(Message::text("hello")))));
/// # Ok::<(), tidings_websocket::SendRefused>(())
/// ```
#[derive(Debug)]
pub struct Machine {
    stage: Stage,
    /// The message that is arriving, without its latest bytes.
    message: Vec<u8>,
    /// A control frame's payload that has arrived in part.
    control: Option<Box<Control>>,
    deflate: Option<Box<Deflate>>,
    statistics: Statistics,
    message_bytes_max: usize,
    empty_fragments_max: u32,
    empty_fragments: u32,
    /// Size of the last message if it came uncompressed and whole, in bytes: the next is probably like it.
    last_message_bytes: u32,
    utf8: Utf8,
    role: Role,
    /// The kind of the message that is arriving, and whether it is compressed.
    receiving: Option<(Kind, bool)>,
    /// The message that is being sent in fragments, and whether it is compressed.
    sending: Option<bool>,
    in_parts: bool,
    close_sent: bool,
    /// Nothing that arrives matters any more.
    deaf: bool,
}

#[derive(Debug)]
enum Stage {
    Head { bytes: [u8; HEAD_BYTES_MAX], len: u8 },
    Payload { remaining: u64, key: [u8; 4], last: bool, opcode: OpCode },
}

const NEXT_HEAD: Stage = Stage::Head { bytes: [0; HEAD_BYTES_MAX], len: 0 };

#[derive(Debug)]
struct Control {
    bytes: [u8; CONTROL_BYTES_MAX],
    len: u8,
}

/// What happened to some input.
#[derive(Debug)]
#[must_use]
pub struct Step {
    /// Bytes of the input that are done with; call again with the rest.
    pub consumed: usize,
    /// What they meant, if they completed anything. After an error the connection has failed: write the reply, close
    /// the transport.
    pub event: Option<Result<Event, ProtocolError>>,
    /// A frame to be written: a pong, our half of the closing handshake, or the close frame that says what was wrong.
    pub reply: Option<Frame>,
}

/// Something that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A whole message.
    Message(Message),
    /// A part of a message; only while [`Machine::receive_in_parts`] says so.
    Part(Part),
    /// A ping, which the step's reply answers.
    Ping(Bytes),
    /// A pong, asked for or not.
    Pong(Bytes),
    /// The peer closes. The step's reply is our half, unless we closed first; a server then closes the transport.
    Close(CloseFrame),
}

/// A part of a message: as much as arrived at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The message's kind. Text is validated as it arrives, but a part may end inside a character.
    pub kind: Kind,
    /// The bytes; the last part may have none.
    pub bytes: Bytes,
    /// Whether the message ends here.
    pub last: bool,
}

impl Machine {
    /// A connection whose handshake agreed on no extension.
    #[must_use]
    pub fn new(role: Role, limits: &Limits) -> Self {
        Machine {
            stage: NEXT_HEAD,
            message: Vec::new(),
            control: None,
            deflate: None,
            statistics: Statistics::default(),
            message_bytes_max: limits.message_bytes_max,
            empty_fragments_max: limits.empty_fragments_max,
            empty_fragments: 0,
            last_message_bytes: 0,
            utf8: Utf8::default(),
            role,
            receiving: None,
            sending: None,
            in_parts: false,
            close_sent: false,
            deaf: false,
        }
    }

    /// The same with permessage-deflate as agreed in the handshake. `level` is 1 (fast) to 9 (small); messages shorter
    /// than `threshold` bytes are sent as they are.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn with_deflate(mut self, agreed: Agreement, level: u32, threshold: usize) -> Self {
        self.deflate = Some(Box::new(Deflate::new(self.role, agreed, level, threshold)));
        self
    }

    /// From the next message on, compresses at another level: 1 (fast) to 9 (small).
    #[cfg(feature = "deflate")]
    pub fn set_compression_level(&mut self, level: u32) {
        if let Some(deflate) = &mut self.deflate {
            deflate.set_level(level);
        }
    }

    /// Takes other limits for what begins from now on: a server may trust more once it knows who is there.
    pub fn set_limits(&mut self, limits: &Limits) {
        self.message_bytes_max = limits.message_bytes_max;
        self.empty_fragments_max = limits.empty_fragments_max;
    }

    /// Which end this is.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// Messages and bytes so far.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.statistics
    }

    /// Whether messages are compressed.
    #[must_use]
    pub fn is_compressed(&self) -> bool {
        self.deflate.is_some()
    }

    /// Whether it sends frames that were [compressed](crate::Prepared::deflated) when they were made: a server whose
    /// messages each begin with an empty window, of 2^15 bytes.
    #[must_use]
    pub fn takes_deflated(&self) -> bool {
        self.role == Role::Server && self.deflate.as_ref().is_some_and(|deflate| deflate.takes_deflated())
    }

    /// Whether our close frame has gone out, after which nothing else may.
    #[must_use]
    pub fn close_sent(&self) -> bool {
        self.close_sent
    }

    /// Whether a message is being sent in fragments and has not ended.
    #[must_use]
    pub fn is_sending_fragments(&self) -> bool {
        self.sending.is_some()
    }

    /// Whether nothing that arrives matters any more: the peer closed, or broke the protocol.
    #[must_use]
    pub fn is_done_receiving(&self) -> bool {
        self.deaf
    }

    /// From the next message on, yields [`Event::Part`] as bytes arrive instead of whole messages, or the other way
    /// round. Parts are not bounded by `message_bytes_max`. A message that has begun goes on as it began.
    pub fn receive_in_parts(&mut self, in_parts: bool) {
        if self.receiving.is_none() {
            self.in_parts = in_parts;
        }
    }

    /// Takes bytes that have arrived, unmasking them in place, up to the first that completes something.
    ///
    /// However the bytes are cut into calls, the same messages and the same verdict come out. Call again with the rest
    /// until all are consumed.
    pub fn receive(&mut self, input: &mut [u8]) -> Step {
        let mut at = 0;
        let event = loop {
            if self.deaf {
                at = input.len();
                break None;
            }
            match self.advance(input, &mut at) {
                Ok(Progress::Event(event)) => break Some(Ok(event)),
                Ok(Progress::More) => {}
                Ok(Progress::Starved) => break None,
                Err(error) => break Some(Err(error)),
            }
        };
        self.step(at, input.len(), event)
    }

    /// Lets `read` append the rest of a long payload straight to the message, where it stays, instead of bringing it
    /// through a buffer. `None`, with nothing read, when what comes next is better read into a buffer and given to
    /// [`receive`](Self::receive), whose input must all be consumed before.
    ///
    /// The room is never more than what has arrived of the message, or than the message before, if that was longer. At the
    /// end it has a few bytes more than the payload, so that one call can bring the next head too: bytes beyond the payload
    /// are appended to `beyond`, which goes to [`receive`](Self::receive) first.
    pub fn receive_directly<R>(
        &mut self,
        read: impl FnOnce(&mut Limit<&mut Vec<u8>>) -> R,
        beyond: &mut Vec<u8>,
    ) -> Option<(R, Step)> {
        let Stage::Payload { remaining, key, last, opcode } = &mut self.stage else { return None };
        let compressed = matches!(self.receiving, Some((_, true)));
        if *remaining < DIRECT_BYTES_MIN as u64 || opcode.is_control() || compressed || self.in_parts || self.deaf {
            return None;
        }
        make_room(&mut self.message, 0, *remaining, self.last_message_bytes);
        let before = self.message.len();
        let to_end = usize::try_from(*remaining).unwrap_or(usize::MAX);
        let room = to_end.saturating_add(HEAD_BYTES_MAX).min(self.message.capacity() - before);
        if room < DIRECT_BYTES_MIN {
            return None;
        }
        let result = read(&mut (&mut self.message).limit(room));
        let bytes = (self.message.len() - before).min(to_end);
        beyond.extend_from_slice(&self.message[before + bytes..]);
        self.message.truncate(before + bytes);
        *remaining -= bytes as u64;
        let end = *last && *remaining == 0;
        let is_text = matches!(self.receiving, Some((Kind::Text, _)));
        let mut valid = Ok(());
        for piece in self.message[before..].chunks_mut(PASS_BYTES) {
            if self.role == Role::Server {
                mask::apply(piece, key);
            }
            if is_text {
                valid = valid.and_then(|()| self.utf8.push(piece));
            }
        }
        if *remaining == 0 {
            self.stage = NEXT_HEAD;
        }
        let event = match valid.and_then(|()| self.go_on(end)) {
            Ok(Progress::Event(event)) => Some(Ok(event)),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        };
        Some((result, self.step(bytes, bytes, event)))
    }

    /// Whether a message comes next that is probably so long that it is best to read a little, which tells the length, and
    /// the rest with [`receive_directly`](Self::receive_directly).
    #[must_use]
    pub fn expects_long(&self) -> bool {
        let comes_next = self.receiving.is_none() && matches!(self.stage, Stage::Head { .. });
        comes_next && !self.in_parts && self.last_message_bytes as usize >= 2 * DIRECT_BYTES_MIN
    }

    /// What `event` means for the connection, and what is answered.
    #[inline]
    fn step(&mut self, mut consumed: usize, all: usize, event: Option<Result<Event, ProtocolError>>) -> Step {
        let reply = match &event {
            None | Some(Ok(Event::Message(_))) => None,
            Some(Ok(Event::Ping(payload))) if !self.close_sent => Some(self.frame(OpCode::Pong, payload.clone())),
            Some(Ok(Event::Close(frame))) => {
                self.deaf = true;
                (!self.close_sent).then(|| self.close(&CloseFrame::from(frame.code)))
            }
            Some(Err(error)) => {
                self.deaf = true;
                consumed = all;
                (!self.close_sent).then(|| self.close(&CloseFrame::from(error.close_code())))
            }
            _ => None,
        };
        Step { consumed, event, reply }
    }

    /// Frames something to be sent.
    ///
    /// # Errors
    /// [`SendRefused`] says why nothing of the kind may be sent now.
    pub fn send(&mut self, outgoing: Outgoing) -> Result<Frame, SendRefused> {
        if self.close_sent {
            return Err(SendRefused::Closed);
        }
        match outgoing {
            Outgoing::Message(message) => {
                let compress = self.deflate.as_ref().is_some_and(|deflate| deflate.gains(message.len()));
                self.message(message, compress)
            }
            Outgoing::Uncompressed(message) => self.message(message, false),
            Outgoing::Prepared(prepared) => self.prepared(prepared),
            Outgoing::Ping(payload) => self.control(OpCode::Ping, payload),
            Outgoing::Pong(payload) => self.control(OpCode::Pong, payload),
            Outgoing::Close(frame) => Ok(self.close(&frame)),
        }
    }

    /// Frames a fragment of a message: the first call begins the message, the one with `last` ends it. Control frames
    /// may go in between, other messages may not. The caller sees to it that text is UTF-8. Where compression was agreed
    /// on, the first call's `compress` decides about the whole message (RFC 7692 §6.1).
    ///
    /// # Errors
    /// [`SendRefused::Closed`] after our close frame.
    pub fn send_fragment(
        &mut self,
        kind: Kind,
        payload: Bytes,
        last: bool,
        compress: bool,
    ) -> Result<Frame, SendRefused> {
        if self.close_sent {
            return Err(SendRefused::Closed);
        }
        let opcode = if self.sending.is_some() { OpCode::Continuation } else { kind.opcode() };
        let compress = compress && self.deflate.as_ref().is_some_and(|deflate| deflate.gains(usize::MAX));
        let compressed = self.sending.unwrap_or(compress);
        self.statistics.bytes_sent += payload.len() as u64;
        self.statistics.messages_sent += u64::from(last);
        let payload = match &mut self.deflate {
            Some(deflate) if compressed => deflate.compress(&payload, last).into(),
            _ => payload,
        };
        self.sending = (!last).then_some(compressed);
        Ok(self.data(last, compressed && opcode != OpCode::Continuation, opcode, payload))
    }

    fn message(&mut self, message: Message, compress: bool) -> Result<Frame, SendRefused> {
        if self.sending.is_some() {
            return Err(SendRefused::Unfinished);
        }
        self.statistics.messages_sent += 1;
        self.statistics.bytes_sent += message.len() as u64;
        let opcode = message.kind().opcode();
        let payload = match &mut self.deflate {
            Some(deflate) if compress => deflate.compress(message.as_bytes(), true).into(),
            _ => message.into_bytes(),
        };
        Ok(self.data(true, compress, opcode, payload))
    }

    fn prepared(&mut self, prepared: crate::Prepared) -> Result<Frame, SendRefused> {
        if prepared.is_deflated() && !self.takes_deflated() {
            return Err(SendRefused::NotAgreed);
        }
        let gains = |deflate: &&Deflate| prepared.is_compressible() && deflate.gains(prepared.payload_len());
        let deflate = self.deflate.as_deref().filter(gains);
        // Nobody shares a mask, or a window.
        if self.role == Role::Client || deflate.is_some_and(Deflate::keeps_window) {
            let compress = deflate.is_some();
            let (opcode, payload) = prepared.unframed();
            let kind = if opcode == OpCode::Text { Kind::Text } else { Kind::Binary };
            return self.message(Message::from_validated(kind, payload), compress);
        }
        if self.sending.is_some() {
            return Err(SendRefused::Unfinished);
        }
        self.statistics.messages_sent += 1;
        self.statistics.bytes_sent += prepared.payload_len() as u64;
        let shared = self.deflate.as_ref().and_then(|deflate| deflate.prepared(&prepared));
        Ok(Frame::framed(shared.unwrap_or_else(|| prepared.into_bytes())))
    }

    fn control(&self, opcode: OpCode, payload: Bytes) -> Result<Frame, SendRefused> {
        if payload.len() > CONTROL_BYTES_MAX {
            return Err(SendRefused::ControlTooLong);
        }
        Ok(self.frame(opcode, payload))
    }

    fn close(&mut self, frame: &CloseFrame) -> Frame {
        self.close_sent = true;
        let mut payload = Vec::new();
        if frame.code.may_be_sent() {
            let reason = frame.reason.as_str();
            let cut = reason.floor_char_boundary(CLOSE_REASON_BYTES_MAX);
            payload.extend_from_slice(&frame.code.get().to_be_bytes());
            payload.extend_from_slice(&reason.as_bytes()[..cut]);
        }
        self.frame(OpCode::Close, payload.into())
    }

    fn frame(&self, opcode: OpCode, payload: Bytes) -> Frame {
        self.data(true, false, opcode, payload)
    }

    fn data(&self, last: bool, compressed: bool, opcode: OpCode, payload: Bytes) -> Frame {
        let mut head = Head { last, compressed, opcode, mask: None, payload_len: payload.len() as u64 };
        if self.role == Role::Server {
            return Frame::new(&head, payload);
        }
        let mut key = mask::random_key();
        head.mask = Some(key);
        // In place when nobody else holds the bytes.
        let mut payload = payload.try_into_mut().unwrap_or_else(|shared| shared.as_ref().into());
        mask::apply(&mut payload, &mut key);
        Frame::new(&head, payload.freeze())
    }

    /// Takes bytes from `input` at `at` through the next head or the next piece of payload.
    fn advance(&mut self, input: &mut [u8], at: &mut usize) -> Result<Progress, ProtocolError> {
        match &mut self.stage {
            Stage::Head { bytes, len } => {
                let fresh = &input[*at..];
                let before = usize::from(*len);
                let parsed = if before == 0 {
                    Head::parse(fresh)?
                } else {
                    let taken = fresh.len().min(HEAD_BYTES_MAX - before);
                    bytes[before..before + taken].copy_from_slice(&fresh[..taken]);
                    Head::parse(&bytes[..before + taken])?
                };
                let Some((head, size)) = parsed else {
                    // An incomplete head has fewer bytes than the longest, so all of them fit.
                    bytes[before..before + fresh.len()].copy_from_slice(fresh);
                    *len += u8::try_from(fresh.len()).expect("fewer than the longest head");
                    *at = input.len();
                    return Ok(Progress::Starved);
                };
                *at += size - before;
                let key = self.check(&head)?;
                self.begin(&head, key, input, at)
            }
            Stage::Payload { remaining, key, last, opcode } => {
                let (last, opcode) = (*last, *opcode);
                let compressed_part = self.in_parts && matches!(self.receiving, Some((_, true)));
                let most = if compressed_part { COMPRESSED_PART_BYTES } else { usize::MAX };
                let available = (input.len() - *at).min(most);
                let taken = usize::try_from(*remaining).map_or(available, |remaining| remaining.min(available));
                if taken == 0 && *remaining > 0 {
                    return Ok(Progress::Starved);
                }
                let piece = &mut input[*at..*at + taken];
                if self.role == Role::Server {
                    mask::apply(piece, key);
                }
                *remaining -= taken as u64;
                *at += taken;
                let end_of_frame = *remaining == 0;
                let remaining = *remaining;
                if end_of_frame {
                    self.stage = NEXT_HEAD;
                }
                if opcode.is_control() {
                    self.control_piece(opcode, piece, end_of_frame)
                } else {
                    self.data_piece(piece, remaining, last && end_of_frame)
                }
            }
        }
    }

    /// The rules that a head can break in the light of what came before. Returns the masking key, if any.
    fn check(&mut self, head: &Head) -> Result<[u8; 4], ProtocolError> {
        let key = match (self.role, head.mask) {
            (Role::Server, Some(key)) => key,
            (Role::Client, None) => [0; 4],
            (Role::Server, None) => return Err(ProtocolError::NotMasked),
            (Role::Client, Some(_)) => return Err(ProtocolError::Masked),
        };
        if head.opcode.is_control() {
            return Ok(key);
        }
        let begins = head.opcode != OpCode::Continuation;
        if head.compressed && (self.deflate.is_none() || !begins) {
            return Err(ProtocolError::ReservedBits);
        }
        match (begins, self.receiving) {
            (true, Some(_)) => return Err(ProtocolError::ExpectedContinuation),
            (false, None) => return Err(ProtocolError::UnexpectedContinuation),
            (true, None) => {
                let kind = if head.opcode == OpCode::Text { Kind::Text } else { Kind::Binary };
                self.receiving = Some((kind, head.compressed));
                self.empty_fragments = 0;
            }
            (false, Some(_)) => {}
        }
        if head.payload_len == 0 && !head.last {
            self.empty_fragments += 1;
            if self.empty_fragments > self.empty_fragments_max {
                return Err(ProtocolError::TooManyEmptyFragments);
            }
        }
        let compressed = matches!(self.receiving, Some((_, true)));
        let total = (self.message.len() as u64).saturating_add(head.payload_len);
        if !self.in_parts && !compressed && total > self.message_bytes_max as u64 {
            return Err(ProtocolError::MessageTooBig { max: self.message_bytes_max });
        }
        Ok(key)
    }

    /// The way of most frames: a whole one at once. Others are taken piece by piece.
    fn begin(
        &mut self,
        head: &Head,
        mut key: [u8; 4],
        input: &mut [u8],
        at: &mut usize,
    ) -> Result<Progress, ProtocolError> {
        let len = usize::try_from(head.payload_len).unwrap_or(usize::MAX);
        let whole = len <= input.len() - *at;
        let alone = head.opcode != OpCode::Continuation && head.last && !self.in_parts;
        if let Some((kind, false)) = self.receiving
            && alone
            && whole
            && !head.opcode.is_control()
        {
            let payload = &mut input[*at..*at + len];
            if self.role == Role::Server {
                mask::apply(payload, &mut key);
            }
            if kind == Kind::Text && simdutf8::basic::from_utf8(payload).is_err() {
                return Err(ProtocolError::InvalidUtf8);
            }
            let payload = Bytes::copy_from_slice(payload);
            *at += len;
            self.stage = NEXT_HEAD;
            return Ok(self.complete(kind, payload));
        }
        self.stage = Stage::Payload { remaining: head.payload_len, key, last: head.last, opcode: head.opcode };
        Ok(Progress::More)
    }

    fn control_piece(&mut self, opcode: OpCode, piece: &[u8], end: bool) -> Result<Progress, ProtocolError> {
        if end && self.control.is_none() {
            return control_event(opcode, Bytes::copy_from_slice(piece));
        }
        let control = self.control.get_or_insert_with(|| Box::new(Control { bytes: [0; CONTROL_BYTES_MAX], len: 0 }));
        let before = usize::from(control.len);
        control.bytes[before..before + piece.len()].copy_from_slice(piece);
        control.len += u8::try_from(piece.len()).expect("at most 125");
        if !end {
            return Ok(Progress::More);
        }
        let payload = Bytes::copy_from_slice(&control.bytes[..usize::from(control.len)]);
        self.control = None;
        control_event(opcode, payload)
    }

    fn data_piece(&mut self, piece: &[u8], remaining: u64, end: bool) -> Result<Progress, ProtocolError> {
        let before = self.message.len();
        // Parts are bounded by the bytes that they are made of.
        let max = if self.in_parts { usize::MAX } else { self.message_bytes_max };
        let inflated = match &mut self.deflate {
            Some(deflate) if matches!(self.receiving, Some((_, true))) => {
                match deflate.inflate(piece, &mut self.message, max) {
                    Ok(()) if end => deflate.finish_inflating(&mut self.message, max),
                    result => result,
                }
            }
            _ => {
                // A part is as long as what has arrived, and nobody waits for more of it.
                let (remaining, as_before) = if self.in_parts { (0, 0) } else { (remaining, self.last_message_bytes) };
                make_room(&mut self.message, piece.len(), remaining, as_before);
                self.message.extend_from_slice(piece);
                Ok(())
            }
        };
        if matches!(self.receiving, Some((Kind::Text, _))) {
            // What was inflated before an error comes first.
            self.utf8.push(self.message.get(before..self.message.len().min(max)).unwrap_or_default())?;
        }
        inflated?;
        self.go_on(end)
    }

    /// What it means that valid data has been appended to the message.
    fn go_on(&mut self, end: bool) -> Result<Progress, ProtocolError> {
        let (kind, _) = self.receiving.expect("the head of a data frame began a message");
        if kind == Kind::Text && end {
            self.utf8.finish()?;
        }
        if self.in_parts {
            return Ok(self.part(kind, end));
        }
        if !end {
            return Ok(Progress::More);
        }
        let mut message = std::mem::take(&mut self.message);
        message.shrink_to_fit();
        Ok(self.complete(kind, message.into()))
    }

    fn complete(&mut self, kind: Kind, payload: Bytes) -> Progress {
        let compressed = matches!(self.receiving.take(), Some((_, true)));
        self.last_message_bytes = if compressed { 0 } else { u32::try_from(payload.len()).unwrap_or(u32::MAX) };
        self.statistics.messages_received += 1;
        self.statistics.bytes_received += payload.len() as u64;
        Progress::Event(Event::Message(Message::from_validated(kind, payload)))
    }

    fn part(&mut self, kind: Kind, last: bool) -> Progress {
        let bytes = Bytes::from(std::mem::take(&mut self.message));
        self.statistics.bytes_received += bytes.len() as u64;
        if last {
            self.receiving = None;
            self.statistics.messages_received += 1;
        } else if bytes.is_empty() {
            return Progress::More;
        }
        Progress::Event(Event::Part(Part { kind, bytes, last }))
    }
}

enum Progress {
    Event(Event),
    More,
    Starved,
}

/// Room for a piece, or for more when there is none: twice what has arrived, or as much as the message before, but never
/// beyond the end of the frame and the head after it. So a claimed length allocates nothing that its sender has not sent
/// already, in this message or in the one before.
fn make_room(message: &mut Vec<u8>, piece: usize, remaining: u64, last_message_bytes: u32) {
    if message.capacity() - message.len() < piece.max(1) {
        // With room for the head after the payload, which may come with it.
        let beyond = if remaining < DIRECT_BYTES_MIN as u64 { 0 } else { HEAD_BYTES_MAX };
        let to_end = usize::try_from(remaining).unwrap_or(usize::MAX).saturating_add(piece).saturating_add(beyond);
        let twice = message.len().saturating_add(piece.saturating_mul(2));
        let as_before = (last_message_bytes as usize + beyond).saturating_sub(message.len());
        message.reserve_exact(twice.max(as_before).min(to_end));
    }
}

fn control_event(opcode: OpCode, payload: Bytes) -> Result<Progress, ProtocolError> {
    Ok(Progress::Event(match opcode {
        OpCode::Ping => Event::Ping(payload),
        OpCode::Pong => Event::Pong(payload),
        _ => Event::Close(close_frame(&payload)?),
    }))
}

/// Reads the body of a close frame (RFC 6455 §5.5.1).
fn close_frame(payload: &Bytes) -> Result<CloseFrame, ProtocolError> {
    let Some((code, _)) = payload.split_first_chunk::<2>() else {
        return if payload.is_empty() { Ok(CloseFrame::empty()) } else { Err(ProtocolError::CloseTooShort) };
    };
    let code = u16::from_be_bytes(*code);
    let code = CloseCode::new(code).ok_or(ProtocolError::CloseCodeInvalid(code))?;
    let reason = Utf8Bytes::try_from(payload.slice(2..)).map_err(|_| ProtocolError::InvalidUtf8)?;
    Ok(CloseFrame { code, reason })
}

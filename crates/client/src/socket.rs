//! The WebSocket as the driver wants it: text in, text out, and why it ended.

use std::time::Duration;

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderMap, Uri};
use tidings_websocket::{
    ClientStream, CloseCode, ConnectError, ConnectOptions, Limits, Message, ProtocolError, ReceiveError, SendError,
    Utf8Bytes, WebSocket, connect,
};

use crate::event::AddressError;
use crate::limits;
use crate::machine::DialFailure;

/// Where and how to dial.
#[derive(Debug)]
pub(crate) struct Target {
    uri: Uri,
    options: ConnectOptions,
}

impl Target {
    pub(crate) fn parse(url: &str, headers: HeaderMap) -> Result<Target, AddressError> {
        let not_websocket = || AddressError::NotWebSocket(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| not_websocket())?;
        if !matches!(uri.scheme_str(), Some("ws" | "wss")) || uri.host().is_none_or(str::is_empty) {
            return Err(not_websocket());
        }
        let bounds = Limits::client()
            .message_bytes_max(limits::MESSAGE_BYTES_MAX)
            .queue_bytes_max(limits::QUEUE_BYTES_MAX)
            .write_timeout(limits::REPLY_TIME)
            .close_timeout(limits::CLOSE_TIME);
        let mut options = ConnectOptions::new().limits(bounds).timeout(limits::DIAL_TIME);
        let mut last = None;
        for (name, value) in headers {
            last = name.or(last);
            if let Some(name) = &last {
                options = options.header(name.clone(), value);
            }
        }
        Ok(Target { uri, options })
    }
}

/// What a socket yields.
pub(crate) enum Heard {
    Message(Bytes),
    Closed { code: Option<u16>, reason: String },
}

pub(crate) struct Socket(WebSocket<ClientStream>);

impl Socket {
    pub(crate) async fn dial(target: &Target) -> Result<Socket, DialFailure> {
        match connect(target.uri.clone(), target.options.clone()).await {
            Ok((socket, _)) => Ok(Socket(socket)),
            Err(error) => Err(failure(&error)),
        }
    }

    /// May be cancelled without loss.
    pub(crate) async fn receive(&mut self) -> Heard {
        match self.0.receive().await {
            Some(Ok(message)) => Heard::Message(message.into_bytes()),
            Some(Err(ReceiveError::Protocol(error @ ProtocolError::MessageTooBig { .. }))) => {
                Heard::Closed { code: Some(error.close_code().get()), reason: error.to_string() }
            }
            Some(Err(error)) => Heard::Closed { code: None, reason: error.to_string() },
            None => {
                let frame = self.0.close_frame();
                let reason = frame.map(|frame| frame.reason.as_str().to_owned()).unwrap_or_default();
                Heard::Closed { code: frame.map(|frame| frame.code.get()), reason }
            }
        }
    }

    /// Queues a frame, which is written while somebody waits in [`receive`](Self::receive): neither direction of a slow
    /// line holds up the other.
    pub(crate) fn feed(&mut self, frame: Bytes) -> Result<(), SendError> {
        let text = Utf8Bytes::try_from(frame).expect("commands are written as JSON, which is UTF-8");
        self.0.feed(Message::Text(text))
    }

    /// Whether so much waits to be written that nothing more should be made.
    pub(crate) fn is_backed_up(&self) -> bool {
        self.0.queued_bytes() > 2 * limits::BATCH_BYTES_MAX
    }

    /// Bytes that have arrived, those of unfinished messages included.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.0.bytes_read()
    }

    /// Closes in order, within the limits of the socket.
    pub(crate) async fn hang_up(mut self) {
        self.0.close(CloseCode::NORMAL, "").await;
    }
}

fn failure(error: &ConnectError) -> DialFailure {
    let message = error.to_string();
    let ConnectError::Refused(response) = error else { return DialFailure { message, ..DialFailure::default() } };
    // A date instead of seconds is allowed and rare; then the backoff decides alone.
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    DialFailure { status: Some(response.status().as_u16()), retry_after: retry_after.map(Duration::from_secs), message }
}

//! The WebSocket transport: `/connection/websocket`.

use super::admission::{Handshake, NotAdmitted, TransportLimits};
use super::driver::{Transport, Written, drive};
use crate::app::App;
use crate::limits::COMPRESSED_BYTES_MIN;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::Poll;
use tidings_hub::{ConnectionOptions, Framing, Heartbeat, Taken, Writer};
use tidings_protocol::{Disconnect, Encoding};
use tidings_websocket::{
    CloseCode, DeflateOptions, DirectWrite, DirectWriter, Limits, Message, OriginPolicy, Prepared, ReceiveError,
    SendError, Upgrade, UpgradeRefusal, Upgraded, Utf8Bytes, WebSocket,
};

/// How the messages of a connection become frames, each made once for all who receive it.
#[derive(Clone, Copy)]
pub(super) struct Framings {
    plain: Framing,
    /// Where compression was agreed on: what is published in a channel, each message by itself. Not the answers, of which
    /// several go in one frame: what an attacker chose would tell by its length what else is in there (S11).
    deflated: Framing,
}

pub(super) const TEXT: Framings = Framings {
    plain: Framing::new("websocket text", |message| text(message).into_bytes()),
    deflated: Framing::new("websocket text, deflated", |message| text(message).into_bytes())
        .shared(|message| deflated(text(message))),
};
const BINARY: Framings = Framings {
    plain: Framing::new("websocket binary", |message| Prepared::binary(message).into_bytes()),
    deflated: Framing::new("websocket binary, deflated", |message| Prepared::binary(message).into_bytes())
        .shared(|message| deflated(Prepared::binary(message))),
};

impl Framings {
    pub(super) fn of(self, socket: &WebSocket<Upgraded>) -> Framing {
        if socket.takes_deflated() { self.deflated } else { self.plain }
    }
}

fn text(message: Bytes) -> Prepared {
    match Utf8Bytes::try_from(message) {
        Ok(text) => Prepared::text(text),
        // The hub writes JSON, which is UTF-8; were it otherwise, nobody should receive it.
        Err(_) => Prepared::text("{}"),
    }
}

fn deflated(frame: Prepared) -> Bytes {
    let gains = frame.as_bytes().len() >= COMPRESSED_BYTES_MIN;
    if gains { frame.deflated().into_bytes() } else { frame.into_bytes() }
}

/// The subprotocols; whoever offers both gets the first.
const JSON: &str = "centrifuge-json";
const PROTOBUF: &str = "centrifuge-protobuf";

/// A parameter of the address: the client wants pings of the WebSocket, and none of the protocol.
pub(super) const FRAME_PINGS: &str = "cf_ws_frame_ping_pong=true";

/// Admitted, then 101.
pub(crate) async fn upgrade(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    handshake: Handshake,
    upgrade: Upgrade,
) -> Response {
    let admitted = match handshake.admit(&app, "websocket").await {
        Ok(admitted) => admitted,
        Err(refusal) => return refused(refusal),
    };
    let query = query.unwrap_or_default();
    let asks = |parameter: &str| query.split('&').any(|pair| pair == parameter);
    let offers = |protocol: &str| upgrade.offered_protocols().iter().any(|offered| offered == protocol);
    // What the client sends is read so whether its frames are text or binary: SDKs differ, and the content says what it is.
    let asks_for_protobuf = asks("cf_protocol=protobuf") || asks("format=protobuf");
    let (encoding, protocol, framings) = if asks_for_protobuf || (offers(PROTOBUF) && !offers(JSON)) {
        (Encoding::Protobuf, PROTOBUF, BINARY)
    } else {
        (Encoding::Json, JSON, TEXT)
    };
    let mut upgrade = within(&app, &admitted.limits, upgrade).protocols([protocol]);
    let heartbeat = if asks(FRAME_PINGS) {
        upgrade = upgrade.heartbeat(app.config.ping_interval).heartbeat_timeout(app.config.pong_timeout);
        Heartbeat::Transport
    } else {
        Heartbeat::Protocol
    };
    let options = ConnectionOptions {
        identity: admitted.identity,
        remote: admitted.remote,
        encoding,
        heartbeat,
        ..ConnectionOptions::default()
    };
    upgrade.on_upgrade(move |mut socket| {
        // A heartbeat of frames goes by what the socket has written itself.
        let writer = if heartbeat == Heartbeat::Protocol { socket.direct_writer() } else { None };
        let writer = writer.map(|writer| Arc::new(Direct(writer)) as Arc<dyn Writer>);
        let framing = framings.of(&socket);
        drive(Box::new(app.hub.connect(ConnectionOptions { framing, writer, ..options })), socket)
    })
}

pub(super) fn refused(refusal: NotAdmitted) -> Response {
    match refusal {
        NotAdmitted::Origin => UpgradeRefusal::Origin.into_response(),
        NotAdmitted::Problem(problem) => problem.into_response(),
    }
}

/// What goes for every WebSocket of the hub.
pub(super) fn within(app: &App, limits: &TransportLimits, upgrade: Upgrade) -> Upgrade {
    let compresses = app.config.settings.websocket_compression;
    let upgrade = if compresses { upgrade.deflate(DeflateOptions::default()) } else { upgrade };
    let limits = Limits::server()
        .message_bytes_max(limits.message_bytes_max)
        .queue_bytes_max(limits.queue_bytes_max)
        .write_timeout(limits.write_timeout);
    upgrade
        .origin(OriginPolicy::Any) // looked at by the admission, together with the other allowed ones
        .limits(limits)
        .shutdown_close(None) // the hub closes with the protocol's own code
}

/// A plain TCP connection, to which the hub's loops write.
#[derive(Debug)]
struct Direct(DirectWriter);

impl Writer for Direct {
    fn write(&self, slices: &[IoSlice<'_>], rest: &dyn Fn(usize) -> Bytes) -> io::Result<Taken> {
        let DirectWrite { bytes, is_full } = self.0.write(slices, rest)?;
        Ok(Taken { bytes, is_blocked: is_full })
    }

    fn bytes_taken(&self) -> usize {
        self.0.bytes_taken()
    }
}

impl Transport for WebSocket<Upgraded> {
    type Message = Message;
    type Error = ReceiveError;

    // Not `async fn`, whose futures are twice as large: every idle connection waits in one.
    fn receive(&mut self) -> impl Future<Output = Option<Result<Message, ReceiveError>>> + Send {
        poll_fn(|cx| self.poll_receive(cx))
    }

    fn feed(&mut self, frame: Bytes) -> Result<(), Disconnect> {
        let prepared = Prepared::from_bytes(frame).map_err(|_| Disconnect::SERVER_ERROR)?;
        WebSocket::feed(self, prepared).map_err(|_| Disconnect::SLOW)
    }

    fn write(&mut self, reading: bool) -> impl Future<Output = Written<Message>> + Send + Unpin {
        poll_fn(move |cx| {
            match self.poll_flush(cx) {
                Poll::Ready(Ok(())) => return Poll::Ready(Written::All),
                Poll::Ready(Err(SendError::TimedOut)) => return Poll::Ready(Written::Failed(Disconnect::SLOW)),
                Poll::Ready(Err(_)) => return Poll::Ready(Written::Failed(Disconnect::WRITE_ERROR)),
                Poll::Pending if !reading => return Poll::Pending,
                Poll::Pending => {}
            }
            self.poll_receive(cx).map(|received| match received {
                Some(Ok(message)) => Written::Received(message),
                Some(Err(ReceiveError::WriteTimedOut)) => Written::Failed(Disconnect::SLOW),
                Some(Err(ReceiveError::Silent)) => Written::Failed(Disconnect::NO_PONG),
                Some(Err(error)) => Written::Gone(error.to_string()),
                None => Written::Gone("closed by the client".to_owned()),
            })
        })
    }

    fn wants_flush(&mut self) {
        WebSocket::wants_flush(self);
    }

    fn closed_with(&self, error: &ReceiveError) -> Option<u16> {
        Some(error.close_code().get()).filter(|code| *code != CloseCode::ABNORMAL.get())
    }

    async fn close(&mut self, why: &Disconnect, _: Option<Bytes>) {
        if let Some(code) = CloseCode::new(why.code) {
            WebSocket::close(self, code, &why.reason).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With what the engine and tokio put around it (24 and 96 bytes) a task takes 256 bytes, and from one byte more on 384.
    #[test]
    fn what_drives_an_idle_connection_fits_into_the_smallest_task() {
        fn size_of_result<A, B, R>(_: fn(A, B) -> R) -> usize {
            size_of::<R>()
        }
        let driver = size_of_result(drive::<WebSocket<Upgraded>>);
        println!("driver of a connection: {driver} bytes");
        assert!(driver <= 136, "{driver} bytes: nothing large may live across an await, or it goes into a box");
    }
}

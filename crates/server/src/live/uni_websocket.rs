//! The WebSocket transport in one direction: `/connection/uni_websocket`, for programs that only listen. Their first frame, or
//! the address, is their connect request; then come pushes, each a frame by itself.

use super::admission::Handshake;
use super::driver::{Transport, Written, drive};
use super::http_stream::ConnectQuery;
use super::websocket::{FRAME_PINGS, TEXT, refused, within};
use crate::app::App;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use bytes::Bytes;
use tidings_hub::{ConnectionOptions, Heartbeat};
use tidings_protocol::{Disconnect, Encoding};
use tidings_websocket::{Message, ReceiveError, Upgrade, Upgraded, WebSocket};

/// Admitted, then 101.
pub(crate) async fn uni_upgrade(State(app): State<App>, uri: Uri, handshake: Handshake, upgrade: Upgrade) -> Response {
    let admitted = match handshake.admit(&app, "uni_websocket").await {
        Ok(admitted) => admitted,
        Err(refusal) => return refused(refusal),
    };
    let only_frames = uri.query().unwrap_or_default().split('&').any(|pair| pair == FRAME_PINGS);
    let options = ConnectionOptions {
        identity: admitted.identity,
        remote: admitted.remote,
        encoding: Encoding::JsonPushes,
        heartbeat: if only_frames { Heartbeat::Transport } else { Heartbeat::Protocol },
        ..ConnectionOptions::default()
    };
    // Who answers no ping of the protocol is found out by those of the WebSocket.
    let upgrade = within(&app, &admitted.limits, upgrade)
        .heartbeat(app.config.ping_interval)
        .heartbeat_timeout(app.config.pong_timeout);
    let first = ConnectQuery::of(&uri);
    upgrade.on_upgrade(move |socket| {
        let options = ConnectionOptions { framing: TEXT.of(&socket), ..options };
        let mut connection = Box::new(app.hub.connect(options));
        if let Some(first) = first {
            connection.receive(&first);
        }
        drive(connection, OneWay(socket))
    })
}

/// A WebSocket that says in its last message, too, why it closes.
struct OneWay(WebSocket<Upgraded>);

impl Transport for OneWay {
    type Message = Message;
    type Error = ReceiveError;

    fn receive(&mut self) -> impl Future<Output = Option<Result<Message, ReceiveError>>> + Send {
        Transport::receive(&mut self.0)
    }

    fn feed(&mut self, frame: Bytes) -> Result<(), Disconnect> {
        Transport::feed(&mut self.0, frame)
    }

    fn write(&mut self, reading: bool) -> impl Future<Output = Written<Message>> + Send + Unpin {
        Transport::write(&mut self.0, reading)
    }

    fn closed_with(&self, error: &ReceiveError) -> Option<u16> {
        Transport::closed_with(&self.0, error)
    }

    async fn close(&mut self, why: &Disconnect, farewell: Option<Bytes>) {
        // No room for it is no reason to leave the close frame out.
        let _ = farewell.map(|farewell| self.feed(farewell));
        Transport::close(&mut self.0, why, None).await;
    }
}

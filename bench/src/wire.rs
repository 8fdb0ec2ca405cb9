//! One live connection of the load generator: text in, text out, and every end is an error.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::Uri;
use tidings_websocket::{ClientStream, ConnectOptions, Message, Utf8Bytes, WebSocket, connect};

use crate::stream_wire::StreamWire;

pub(crate) enum Wire {
    Socket(WebSocket<ClientStream>),
    Stream(Box<StreamWire>),
}

impl Wire {
    pub(crate) async fn dial(url: &Uri, options: ConnectOptions) -> Result<Wire> {
        let (socket, _) = connect(url.clone(), options).await.context("dialling")?;
        Ok(Wire::Socket(socket))
    }

    /// The next message. May be cancelled without loss.
    pub(crate) async fn receive(&mut self) -> Result<Utf8Bytes> {
        let socket = match self {
            Wire::Socket(socket) => socket,
            Wire::Stream(stream) => return stream.receive().await,
        };
        match socket.receive().await {
            Some(Ok(Message::Text(text))) => Ok(text),
            Some(Ok(Message::Binary(_))) => bail!("the server sent a binary message"),
            Some(Err(error)) => Err(error).context("receiving"),
            None => match socket.close_frame() {
                Some(frame) => bail!("the server closed the connection: {} {}", frame.code, frame.reason),
                None => bail!("the connection is closed"),
            },
        }
    }

    pub(crate) async fn send(&mut self, command: Bytes) -> Result<()> {
        match self {
            Wire::Socket(socket) => socket.send(text(command)?).await.context("sending"),
            Wire::Stream(stream) => stream.send(&command).await,
        }
    }

    /// Sends several commands, each in a message of its own, with one write.
    pub(crate) async fn send_all(&mut self, commands: Vec<Bytes>) -> Result<()> {
        let Wire::Socket(socket) = self else {
            for command in commands {
                self.send(command).await?;
            }
            return Ok(());
        };
        for command in commands {
            socket.feed(text(command)?).context("sending")?;
        }
        socket.flush().await.context("sending")
    }
}

fn text(command: Bytes) -> Result<Message> {
    Ok(Message::Text(Utf8Bytes::try_from(command)?))
}

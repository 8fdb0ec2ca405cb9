//! One WebSocket of the load generator: text in, text out, and every end is an error.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::Uri;
use tidings_websocket::{ClientStream, ConnectOptions, Message, Utf8Bytes, WebSocket, connect};

pub(crate) struct Wire(WebSocket<ClientStream>);

impl Wire {
    pub(crate) async fn dial(url: &Uri, options: ConnectOptions) -> Result<Wire> {
        let (socket, _) = connect(url.clone(), options).await.context("dialling")?;
        Ok(Wire(socket))
    }

    /// The next message. May be cancelled without loss.
    pub(crate) async fn receive(&mut self) -> Result<Utf8Bytes> {
        match self.0.receive().await {
            Some(Ok(Message::Text(text))) => Ok(text),
            Some(Ok(Message::Binary(_))) => bail!("the server sent a binary message"),
            Some(Err(error)) => Err(error).context("receiving"),
            None => match self.0.close_frame() {
                Some(frame) => bail!("the server closed the connection: {} {}", frame.code, frame.reason),
                None => bail!("the connection is closed"),
            },
        }
    }

    pub(crate) async fn send(&mut self, command: Bytes) -> Result<()> {
        self.0.send(text(command)?).await.context("sending")
    }

    /// Sends several commands, each in a message of its own, with one write.
    pub(crate) async fn send_all(&mut self, commands: Vec<Bytes>) -> Result<()> {
        for command in commands {
            self.0.feed(text(command)?).context("sending")?;
        }
        self.0.flush().await.context("sending")
    }
}

fn text(command: Bytes) -> Result<Message> {
    Ok(Message::Text(Utf8Bytes::try_from(command)?))
}

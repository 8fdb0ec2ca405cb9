//! Carries messages between one client and the hub, whatever the transport.
//!
//! The loop in [`drive`] is all there is between a transport and a [`Connection`]; it knows no channel and no person. A
//! transport is how messages get there and back.

use bytes::Bytes;
use std::fmt::Display;
use tidings_hub::{Connection, Step};
use tidings_protocol::Disconnect;

/// A way to carry messages between one client and the hub.
pub(crate) trait Transport: Send {
    /// What comes in at once: one message, or several that the hub takes apart.
    type Message: AsRef<[u8]> + Send;
    type Error: Display;

    /// The next message of the client; `None` when it is gone. Cancel-safe. A transport in one direction waits here
    /// until the client is gone.
    fn receive(&mut self) -> impl Future<Output = Option<Result<Self::Message, Self::Error>>> + Send;

    /// Takes a message that is wrapped in the transport's framing; it need not be written before the next flush.
    fn feed(&mut self, frame: Bytes) -> Result<(), Disconnect>;

    /// Writes what was fed, with as few writes as possible. While it does, and where `reading`, a message of the client
    /// ends it early; what is left goes on in the next call. Cancel-safe.
    fn write(&mut self, reading: bool) -> impl Future<Output = Written<Self::Message>> + Send + Unpin;

    /// The code that it has closed the connection with by itself, as the error says.
    fn closed_with(&self, error: &Self::Error) -> Option<u16> {
        let _ = error;
        None
    }

    /// The hub has written past [`feed`](Self::feed) until the socket was full: the next write waits until it is not.
    fn wants_flush(&mut self) {}

    /// Ends it: by a close code, or, where there is none, with `farewell` as the last message.
    fn close(&mut self, why: &Disconnect, farewell: Option<Bytes>) -> impl Future<Output = ()> + Send;
}

/// How far a write got.
pub(crate) enum Written<M> {
    All,
    /// A message of the client came meanwhile.
    Received(M),
    /// The client is gone.
    Gone(String),
    /// The transport gives up on the client.
    Failed(Disconnect),
}

/// Carries messages until either side ends.
///
/// Most connections wait in here most of the time, so nothing large lives across an `await`; a test beside the WebSocket
/// transport says how much.
pub(crate) async fn drive<T: Transport>(mut connection: Box<Connection>, mut transport: T) {
    let why = 'open: loop {
        let step = tokio::select! {
            message = transport.receive(), if connection.wants_input() => match message {
                Some(Ok(message)) => {
                    connection.receive(message.as_ref());
                    continue;
                }
                // Gone, or closed by the transport with the code that says why; dropping the connection leaves its
                // channels.
                Some(Err(error)) => {
                    if let Some(code) = transport.closed_with(&error) {
                        connection.was_closed(code);
                    }
                    return tracing::debug!(client = connection.id(), %error, "a connection ended");
                }
                None => return,
            },
            step = connection.next() => step,
        };
        let fed = match step {
            Step::Send(frames) => frames.into_iter().try_for_each(|frame| transport.feed(frame)),
            Step::Flush => {
                transport.wants_flush();
                Ok(())
            }
            Step::Read => continue,
            Step::Close(why) => Err(why),
        };
        if let Err(why) = fed {
            break why;
        }
        // Meanwhile the connection keeps its deadlines and the client is heard: on a slow line a batch takes minutes, and
        // its answers to pings must not lie unread.
        loop {
            let reading = connection.wants_input_while_writing();
            match connection.during(transport.write(reading)).await {
                Ok(Written::All) => break,
                Ok(Written::Received(message)) => connection.receive(message.as_ref()),
                Ok(Written::Gone(error)) => {
                    return tracing::debug!(client = connection.id(), %error, "a connection ended");
                }
                Ok(Written::Failed(why)) | Err(why) => break 'open why,
            }
        }
    };
    Box::pin(close(connection, transport, why)).await;
}

async fn close<T: Transport>(connection: Box<Connection>, mut transport: T, why: Disconnect) {
    tracing::debug!(client = connection.id(), code = why.code, reason = %why.reason, "closing a connection");
    let farewell = connection.end(&why); // leaves its channels before the peer answers the close
    transport.close(&why, farewell).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::sync::Arc;
    use tidings_hub::{
        Accepted, ChannelName, ChannelOptions, ConnectionOptions, Grant, Hub, Identity, NewPublication, Order, Peer,
        Policy, PublishGrant, Refusal, Remote, Target,
    };
    use tidings_protocol::{ConnectRequest, Payload, SubscribeRequest};
    use tokio::sync::mpsc;

    use futures_util::future::{BoxFuture, FutureExt, ready};

    /// Everybody may do everything.
    struct Everybody;

    impl Policy for Everybody {
        fn connect<'a>(&'a self, _: &'a Peer, _: &'a ConnectRequest) -> BoxFuture<'a, Result<Accepted, Refusal>> {
            let identity = Identity { user: "ana".into(), ..Identity::default() };
            ready(Ok(Accepted { identity, ..Accepted::default() })).boxed()
        }
        fn subscribe<'a>(
            &'a self,
            _: &'a Peer,
            _: &'a ChannelName,
            _: &'a SubscribeRequest,
        ) -> BoxFuture<'a, Result<Grant, Refusal>> {
            ready(Ok(Grant::default())).boxed()
        }
        fn publish<'a>(
            &'a self,
            _: &'a Peer,
            _: &'a ChannelName,
            _: &'a Payload,
        ) -> BoxFuture<'a, Result<PublishGrant, Refusal>> {
            ready(Ok(PublishGrant::default())).boxed()
        }
        fn presence<'a>(&'a self, _: &'a Peer, _: &'a ChannelName) -> BoxFuture<'a, Result<(), Refusal>> {
            ready(Ok(())).boxed()
        }
        fn history<'a>(&'a self, _: &'a Peer, _: &'a ChannelName) -> BoxFuture<'a, Result<(), Refusal>> {
            ready(Ok(())).boxed()
        }
        fn options(&self, _: &ChannelName) -> Arc<ChannelOptions> {
            Arc::default()
        }
    }

    /// A transport without close codes, whose two directions are separate: what HTTP streaming is.
    struct Streams {
        up: mpsc::Receiver<&'static str>,
        down: mpsc::UnboundedSender<String>,
        fed: String,
    }

    impl Transport for Streams {
        type Message = &'static str;
        type Error = Infallible;

        async fn receive(&mut self) -> Option<Result<&'static str, Infallible>> {
            self.up.recv().await.map(Ok)
        }

        fn feed(&mut self, frame: Bytes) -> Result<(), Disconnect> {
            self.fed += std::str::from_utf8(&frame).map_err(|_| Disconnect::INAPPROPRIATE_PROTOCOL)?;
            self.fed += "\n";
            Ok(())
        }

        fn write(&mut self, _: bool) -> impl Future<Output = Written<&'static str>> + Send + Unpin {
            ready(match self.down.send(std::mem::take(&mut self.fed)) {
                Ok(()) => Written::All,
                Err(_) => Written::Failed(Disconnect::WRITE_ERROR),
            })
        }

        async fn close(&mut self, _: &Disconnect, farewell: Option<Bytes>) {
            if let Some(farewell) = farewell {
                self.feed(farewell).unwrap();
                assert!(matches!(self.write(false).await, Written::All));
            }
        }
    }

    #[tokio::test]
    async fn a_transport_without_close_codes_says_why_in_its_last_message() {
        let hub = Hub::builder(Arc::new(Everybody)).node("here").build();
        let (commands, up) = mpsc::channel(9);
        let (down, mut messages) = mpsc::unbounded_channel();
        let remote = Remote { transport: "streams", ..Remote::default() };
        let options = ConnectionOptions { emulated: true, remote, ..ConnectionOptions::default() };
        let connection = hub.connect(options);
        let session = connection.emulation_session().unwrap().to_owned();
        let driven = tokio::spawn(drive(Box::new(connection), Streams { up, down, fed: String::new() }));

        commands.send("{\"id\":1,\"connect\":{}}\n{\"id\":2,\"subscribe\":{\"channel\":\"news\"}}").await.unwrap();
        let welcome = messages.recv().await.unwrap();
        assert!(welcome.contains(&format!(r#""session":"{session}","node":"here""#)), "{welcome}");
        if !welcome.contains("subscribe") {
            messages.recv().await.unwrap();
        }
        let news = ChannelName::parse("news").unwrap();
        hub.publish(&news, NewPublication::new(Payload::parse(b"1").unwrap())).await.unwrap();
        assert_eq!(messages.recv().await.unwrap(), "{\"push\":{\"channel\":\"news\",\"pub\":{\"data\":1}}}\n");
        hub.order(Order::disconnect(Target::All, Disconnect::FORCE_RECONNECT)).await;
        driven.await.unwrap();
        let farewell = "{\"push\":{\"disconnect\":{\"code\":3011,\"reason\":\"force reconnect\"}}}\n";
        assert_eq!(messages.recv().await.as_deref(), Some(farewell));
        assert_eq!((messages.recv().await, hub.metrics().connections), (None, 0));
    }

    #[tokio::test]
    async fn a_client_that_goes_leaves_its_channels() {
        let hub = Hub::builder(Arc::new(Everybody)).build();
        let (commands, up) = mpsc::channel(9);
        let (down, mut messages) = mpsc::unbounded_channel();
        let connection = hub.connect(ConnectionOptions::default());
        let driven = tokio::spawn(drive(Box::new(connection), Streams { up, down, fed: String::new() }));
        commands.send("{\"id\":1,\"connect\":{}}\n{\"id\":2,\"subscribe\":{\"channel\":\"news\"}}").await.unwrap();
        while hub.channels().is_empty() {
            messages.recv().await.unwrap();
        }
        drop(commands);
        driven.await.unwrap();
        assert_eq!((hub.channels().len(), hub.metrics().connections), (0, 0));
    }
}

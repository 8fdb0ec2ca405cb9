//! What the application does for clients, beside saying who may do what.

use futures_util::future::BoxFuture;
use tidings_protocol::{Disconnect, Error, Payload, Unsubscribe};

use crate::{ChannelName, Peer, Refusal};

/// The application above the hub: what clients call and tell it, and what it is told about them.
///
/// Calls have [`Limits::operation_timeout`](crate::Limits::operation_timeout) as a policy's questions have. Whether the
/// client may is part of the answer: an operation of the application's own is nobody else's to allow. The notices come in
/// the connection's own task, in order, and hold it up: hand over what takes time.
pub trait Application: Send + Sync + 'static {
    /// A client calls the application.
    fn rpc<'a>(
        &'a self,
        client: &'a Peer,
        method: &'a str,
        data: Option<&'a Payload>,
    ) -> BoxFuture<'a, Result<Option<Payload>, Refusal>> {
        let _ = (client, method, data);
        Box::pin(async { Err(Error::METHOD_NOT_FOUND.into()) })
    }

    /// A client tells the application something; an error is not answered, a disconnect is carried out.
    fn send<'a>(&'a self, client: &'a Peer, data: Option<&'a Payload>) -> BoxFuture<'a, Result<(), Refusal>> {
        let _ = (client, data);
        Box::pin(async { Err(Disconnect::NOT_AVAILABLE.into()) })
    }

    /// A client is connected, and is being told so. Each is followed by one [`disconnected`](Self::disconnected).
    fn connected(&self, client: &Peer) {
        let _ = client;
    }

    /// A client that was [connected](Self::connected) is gone.
    fn disconnected(&self, client: &Peer, why: &Disconnect) {
        let _ = (client, why);
    }

    /// A client's live subscription has ended: by itself (code 0), with its connection (1), or by the server (others).
    fn unsubscribed(&self, client: &Peer, channel: &ChannelName, why: &Unsubscribe) {
        let _ = (client, channel, why);
    }
}

/// No application: nothing can be called.
impl Application for () {}

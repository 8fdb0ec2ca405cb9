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

    /// Methods of [`rpc`](Self::rpc) of which several calls of one client may run at once, up to
    /// [`CALLS_AT_ONCE_MAX`](crate::limits::CALLS_AT_ONCE_MAX); before and behind any other command everything is in turn.
    ///
    /// The calls are first polled in the order of the commands, and answered in it. So a call that overlaps must have its
    /// place in whatever order counts before it waits for anything. One that refuses with a disconnect cannot take back
    /// those that were begun behind it.
    fn overlapping(&self) -> &'static [&'static str] {
        &[]
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

//! The numbers by which a client knows what went wrong and whether to try again.

use std::borrow::Cow;
use std::fmt;

use crate::wire::messages;

messages! {
    /// Why one command failed; the connection goes on. Codes below 400 belong to the protocol, applications use 400 to 1999.
    #[derive(Eq)]
    pub struct Error {
        /// What went wrong, for programs.
        pub code: u32 = 1,
        /// What went wrong, for people.
        pub message: Cow<'static, str> = 2,
        /// The same command may succeed later: SDKs retry by themselves.
        pub temporary: bool = 3,
    }

    /// Why a connection was closed. On a WebSocket this is the close frame; elsewhere it is a push.
    #[derive(Eq)]
    pub struct Disconnect {
        /// The close code; [`reconnects`](Self::reconnects) says what SDKs make of it.
        pub code: u16 = 1,
        /// For people; at most 123 bytes, and never text that parses as JSON, because some SDKs would parse it.
        pub reason: Cow<'static, str> = 2,
    }

    /// Push: the server ended a subscription. Codes from 2500 on make SDKs subscribe again, lower ones are final.
    pub struct Unsubscribe {
        /// Why, for programs.
        pub code: u32 = 2,
        /// Why, for people.
        pub reason: Cow<'static, str> = 3,
    }
}

impl Error {
    /// Something failed on our side.
    pub const INTERNAL: Self = Self::passing(100, "internal server error");
    /// The command needs an identity that the connection does not have.
    pub const UNAUTHORIZED: Self = Self::constant(101, "unauthorized");
    /// No such channel, or its name is not allowed.
    pub const UNKNOWN_CHANNEL: Self = Self::constant(102, "unknown channel");
    /// This user may not do that.
    pub const PERMISSION_DENIED: Self = Self::constant(103, "permission denied");
    /// No such method.
    pub const METHOD_NOT_FOUND: Self = Self::constant(104, "method not found");
    /// The connection already has this subscription.
    pub const ALREADY_SUBSCRIBED: Self = Self::constant(105, "already subscribed");
    /// A limit of the connection is reached, such as its number of subscriptions.
    pub const LIMIT_EXCEEDED: Self = Self::constant(106, "limit exceeded");
    /// The command makes no sense.
    pub const BAD_REQUEST: Self = Self::constant(107, "bad request");
    /// The feature is not switched on for this channel.
    pub const NOT_AVAILABLE: Self = Self::constant(108, "not available");
    /// The token has expired: get a new one and try again.
    pub const TOKEN_EXPIRED: Self = Self::constant(109, "token expired");
    /// The connection or subscription has expired.
    pub const EXPIRED: Self = Self::constant(110, "expired");
    /// Slow down.
    pub const TOO_MANY_REQUESTS: Self = Self::passing(111, "too many requests");
    /// The position lies in another epoch or before what is kept.
    pub const UNRECOVERABLE_POSITION: Self = Self::constant(112, "unrecoverable position");
    /// Two paginations of one channel at once.
    pub const CONCURRENT_PAGINATION: Self = Self::passing(113, "concurrent pagination");

    /// An error of the application; its codes are 400 to 1999.
    #[must_use]
    pub fn application(code: u32, message: impl Into<Cow<'static, str>>) -> Self {
        debug_assert!((400..2000).contains(&code), "codes below 400 belong to the protocol");
        Self { code, message: message.into(), temporary: false }
    }

    const fn constant(code: u32, message: &'static str) -> Self {
        Self { code, message: Cow::Borrowed(message), temporary: false }
    }

    const fn passing(code: u32, message: &'static str) -> Self {
        Self { code, message: Cow::Borrowed(message), temporary: true }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl std::error::Error for Error {}

impl Disconnect {
    /// The connection ended without anybody's fault.
    pub const CONNECTION_CLOSED: Self = Self::constant(3000, "connection closed");
    /// The server goes down: come back, perhaps elsewhere.
    pub const SHUTDOWN: Self = Self::constant(3001, "shutdown");
    /// Something failed on our side.
    pub const SERVER_ERROR: Self = Self::constant(3004, "internal server error");
    /// The connection was not refreshed in time.
    pub const EXPIRED: Self = Self::constant(3005, "connection expired");
    /// A server-side subscription was not refreshed in time.
    pub const SUBSCRIPTION_EXPIRED: Self = Self::constant(3006, "subscription expired");
    /// The reader did not keep up; on reconnect it recovers what it missed.
    pub const SLOW: Self = Self::constant(3008, "slow");
    /// Writing to the connection failed.
    pub const WRITE_ERROR: Self = Self::constant(3009, "write error");
    /// The position in a channel was lost: reconnect and recover.
    pub const INSUFFICIENT_STATE: Self = Self::constant(3010, "insufficient state");
    /// The operator wants a new connection.
    pub const FORCE_RECONNECT: Self = Self::constant(3011, "force reconnect");
    /// The client did not answer a ping in time.
    pub const NO_PONG: Self = Self::constant(3012, "no pong");
    /// The client kept sending far above the allowed rate.
    pub const TOO_MANY_REQUESTS: Self = Self::constant(3013, "too many requests");
    /// Token and all subscription state of the client are out of date.
    pub const STATE_INVALIDATED: Self = Self::constant(3014, "state invalidated");

    /// The token is wrong, or belongs to something else.
    pub const INVALID_TOKEN: Self = Self::constant(3500, "invalid token");
    /// The client broke the protocol.
    pub const BAD_REQUEST: Self = Self::constant(3501, "bad request");
    /// The connection did not authenticate in time.
    pub const STALE: Self = Self::constant(3502, "stale");
    /// The operator does not want this connection.
    pub const FORCE_DISCONNECT: Self = Self::constant(3503, "force disconnect");
    /// The user has too many connections.
    pub const CONNECTION_LIMIT: Self = Self::constant(3504, "connection limit");
    /// Server-side subscriptions exceed the number that a connection may hold.
    pub const CHANNEL_LIMIT: Self = Self::constant(3505, "channel limit");
    /// The data cannot be written in this connection's encoding.
    pub const INAPPROPRIATE_PROTOCOL: Self = Self::constant(3506, "inappropriate protocol");
    /// This user may not connect.
    pub const PERMISSION_DENIED: Self = Self::constant(3507, "permission denied");
    /// The server has no handler for what was asked.
    pub const NOT_AVAILABLE: Self = Self::constant(3508, "not available");
    /// Too many failing commands.
    pub const TOO_MANY_ERRORS: Self = Self::constant(3509, "too many errors");

    /// A reason of the application's own: codes 4000 to 4499 let SDKs reconnect, 4500 to 4999 do not.
    ///
    /// A reason that would parse as JSON or is longer than 123 bytes is replaced by an empty one.
    #[must_use]
    pub fn application(code: u16, reason: impl Into<Cow<'static, str>>) -> Self {
        let reason = reason.into();
        let harmful = reason.len() > 123 || serde_json::from_str::<serde::de::IgnoredAny>(&reason).is_ok();
        Self { code, reason: if harmful { Cow::Borrowed("") } else { reason } }
    }

    /// Whether SDKs connect again by themselves after this code.
    #[must_use]
    pub const fn reconnects(&self) -> bool {
        !matches!(self.code, 3500..=3999 | 4500..=4999)
    }

    const fn constant(code: u16, reason: &'static str) -> Self {
        Self { code, reason: Cow::Borrowed(reason) }
    }
}

impl fmt::Display for Disconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.reason, self.code)
    }
}

impl Unsubscribe {
    /// The client ended the subscription by itself; never sent, but told to applications.
    pub const CLIENT: Self = Self::constant(0, "client unsubscribed");
    /// The subscription ended with its connection; never sent, but told to applications.
    pub const DISCONNECTED: Self = Self::constant(1, "client disconnected");
    /// The server ended the subscription for good.
    pub const SERVER: Self = Self::constant(2000, "server unsubscribe");
    /// The position was lost: subscribe again and recover.
    pub const INSUFFICIENT_STATE: Self = Self::constant(2500, "insufficient state");
    /// The subscription was not refreshed in time.
    pub const EXPIRED: Self = Self::constant(2501, "subscription expired");
    /// Token and cached state of the subscription are out of date.
    pub const STATE_INVALIDATED: Self = Self::constant(2502, "state invalidated");

    /// Whether SDKs subscribe again by themselves after this code.
    #[must_use]
    pub const fn resubscribes(&self) -> bool {
        self.code >= 2500
    }

    const fn constant(code: u32, reason: &'static str) -> Self {
        Self { code, reason: Cow::Borrowed(reason) }
    }
}

//! The real-time rules without any socket: channels, subscriptions, presence, history, recovery.
//!
//! ```text
//! transport --frames--> Connection --commands--> session::Session      who may do what: Policy
//!     ^                     |                                           what was published: History
//!     '------ batches ---- Outbox <---- shared frames ---- Hub <---- publish, announce
//! ```
//!
//! A transport gives a [`Connection`] the frames that it receives and writes the batches that it gets back; the
//! [`Hub`] carries publications from one to all; [`session::Session`] is the protocol, a state machine without clock
//! or socket. What the application allows is its [`Policy`]; what it stores itself it lends through [`History`].

#![warn(missing_docs)]
#![cfg_attr(not(test), warn(unused_crate_dependencies))]

mod channel;
mod connection;
mod history;
mod hub;
mod item;
pub mod limits;
mod metrics;
mod operations;
mod outbox;
mod policy;
pub mod recovery;
mod registry;
pub mod session;
mod stream;
mod subscribers;

pub use channel::{Channel, ChannelError};
pub use connection::{Connection, Step};
pub use history::{History, HistoryError, Page, Query};
pub use hub::{ChannelOverview, Hub, HubBuilder, PublishError, PublishOptions, ReadError};
pub use item::Framing;
pub use limits::Limits;
pub use metrics::{Metrics, Snapshot};
pub use policy::{
    Accepted, ChannelOptions, Client, Expiry, Grant, Identity, JoinLeave, Policy, PublishGrant, Refusal, Source,
};
pub use registry::{ConnectionOptions, ConnectionOverview, Heartbeat, Target};

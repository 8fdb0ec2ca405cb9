//! The real-time rules without any socket: channels, subscriptions, presence, history, recovery.
//!
//! ```text
//! transport --frames--> Connection --commands--> session::Session      who may do what: Policy
//!     ^                     |                                          what it does for them: Application
//!     '-- one write -- loop: logs, cursors <-- notes ------ core <---- Hub: publish, announce, order
//!                                                            ^
//!                                                            '------- Broker: numbers, keeps, distributes
//! ```
//!
//! A transport gives a [`Connection`] the frames that it receives and writes the batches that it gets back; the
//! [`Hub`] carries publications from one to all; [`session::Session`] is the protocol, a state machine without clock
//! or socket. What clients may do is for a [`Policy`] to say; what the application does for them is its
//! [`Application`]; what it stores itself it lends through [`History`]; and a [`Broker`] keeps the rest.

#![warn(missing_docs)]
#![cfg_attr(not(test), warn(unused_crate_dependencies))]

mod account;
mod answers;
mod application;
mod broker;
mod channel;
mod channels;
mod connection;
mod core;
mod delivery;
mod filter;
#[cfg(test)]
mod footprint;
mod format;
mod gaps;
mod handle;
mod history;
mod hub;
pub mod limits;
mod metrics;
mod name;
mod operations;
mod options;
mod order;
mod outbox;
mod peer;
mod policy;
mod publish;
mod push;
mod read;
pub mod recovery;
mod registry;
pub mod session;
mod sharded;
mod sync;

pub use account::Account;
pub use application::Application;
pub use broker::{Answer, Broker, BrokerError, Node, Terms, at_once};
pub use connection::{Connection, Step};
pub use delivery::{Taken, Writer};
pub use filter::{Filter, FilterError};
pub use format::Framing;
pub use handle::{ConnectionOptions, ConnectionOverview, Heartbeat};
pub use history::{History, HistoryError, HistoryPage, HistoryQuery};
pub use hub::{ChannelOverview, Hub, HubBuilder};
pub use limits::{Allowance, Limits, Rate};
pub use metrics::Snapshot;
pub use name::{ChannelName, ChannelNameError};
pub use options::{ChannelOptions, Keep, Offered, RecoveryMode, Source};
pub use order::{Act, Order, ServerSubscription, SomeOf, Target};
pub use peer::{Identity, Peer, Remote, network_of};
pub use policy::{Accepted, Expiry, Grant, Overrides, Policy, PublishGrant, Refusal};
pub use publish::{NewPublication, PublishError, Version};
pub use read::{PresenceError, ReadError};

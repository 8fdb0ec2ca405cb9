//! Live connections: the transports of the hub, and the policy that decides who may do what.
//!
//! A transport lets the [`admission`] say who may come in, and the [`driver`] carry messages.

mod admission;
mod bearers;
mod driver;
mod policy;
mod token_policy;
mod websocket;

pub(crate) use policy::LivePolicy;
pub(crate) use token_policy::{Doors, TokenPolicy};
pub(crate) use websocket::upgrade;

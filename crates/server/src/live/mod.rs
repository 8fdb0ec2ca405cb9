//! Live connections: the transports of the hub, and the policy that decides who may do what.
//!
//! A transport lets the [`admission`] say who may come in, and the [`driver`] carry messages.

mod admission;
mod bearers;
mod driver;
mod emulation;
mod http_stream;
#[cfg(test)]
mod matrix;
mod policy;
mod streamed;
mod token_policy;
mod uni_websocket;
mod websocket;

pub(crate) use admission::{preflight, share_with_listed_sites};
pub(crate) use emulation::{Uplinks, emulation};
pub(crate) use http_stream::{http_stream, sse, uni_http_stream, uni_sse};
pub(crate) use policy::LivePolicy;
pub(crate) use token_policy::{Doors, TokenPolicy};
pub(crate) use uni_websocket::uni_upgrade;
pub(crate) use websocket::upgrade;

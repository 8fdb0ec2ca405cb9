//! The crate as its users see it: real applications on real servers, and clients that look at the wire.

mod caller;
mod examples;
mod faults;
mod files;
mod handlers;
mod limits;
mod panics;
mod shutdown;
mod start;
mod support;
mod tls;

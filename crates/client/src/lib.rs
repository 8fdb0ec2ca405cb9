//! The Rust client.

#![warn(missing_docs)]

pub mod backoff;
mod event;
pub mod limits;
mod machine;
mod options;
mod server_api;
pub use event::*;
pub use options::*;
pub use server_api::*;

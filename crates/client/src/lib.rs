//! The Rust client of Tidings: it connects, subscribes, publishes and, above all, comes back.
//!
//! A [`Client`] is one WebSocket shared by any number of [`Subscription`]s. When the connection breaks it dials again
//! with exponential backoff and full jitter, subscribes anew and resumes every recoverable subscription after the last
//! publication that its reader was given: nothing twice, nothing missing, or [`Subscribed::recovered`] says so.
//! [`ServerApi`] is the HTTP side, for an application's backend.
//!
//! ```no_run
//! use tidings_client::{Client, Event, Options, SubscribeOptions};
//!
//! # async fn run(token: String) -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect("ws://127.0.0.1:8000/connection/websocket", Options::new().token(token))?;
//! let mut news = client.subscribe("news", SubscribeOptions::new().recoverable()).await?;
//! while let Some(event) = news.next().await {
//!     match event {
//!         Event::Publication(publication) => println!("{:?}", publication.data),
//!         Event::Unsubscribed { reason, .. } => println!("over: {reason}"),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Inside, the decisions are a state machine without socket or clock, and one task carries them out. A reader who does
//! not keep up holds up nobody: its subscription pauses, and resumes by recovery when there is room again.

#![warn(missing_docs)]
#![cfg_attr(not(test), warn(unused_crate_dependencies))]

pub mod backoff;
mod client;
mod driver;
mod event;
pub mod limits;
mod machine;
mod options;
mod server_api;
mod socket;

pub use client::{Client, ServerEvents, Statistics, Subscription};
pub use event::{
    AddressError, Event, RequestError, ServerEvent, ServerEventKind, State, SubscribeError, Subscribed, local,
};
pub use options::{Options, SubscribeOptions, TokenError};
pub use server_api::{ApiError, HistoryQuery, PublishOptions, ServerApi};

//! The wire as others write it, and what holds for any of it.

mod deltas;
mod golden;
mod json;
mod properties;
mod protobuf;

//! The wire as others write it, and what holds for any of it.

mod json;
mod properties;

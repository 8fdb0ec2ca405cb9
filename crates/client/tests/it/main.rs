//! The client over real sockets, against servers that answer what a test tells them to.

mod connection;
mod server_api;
mod support;

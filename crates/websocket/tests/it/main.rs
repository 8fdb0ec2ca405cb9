//! The engine as its users see it: the machine by itself, sockets over pipes, servers and clients over real ones.

mod dial;
mod differential;
mod examples;
mod feed;
mod handshake;
mod http2;
mod machine;
mod server_and_client;
mod socket;
mod tls;

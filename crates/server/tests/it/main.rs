//! The program as a client over HTTP sees it, held against recorded answers: a change of the API is seen in review as a
//! change of `snapshots/`.
//!
//! A difference fails and nothing is written (`.config/insta.yaml`). Where it is meant, record it and read the diff:
//! `INSTA_UPDATE=always cargo test -p tidings --test it`.

mod answers;
mod bounds;
mod commands;
mod configuration;
mod documentation;
mod exchange;
mod grpc;
mod keys;
mod repeats;
mod server;
mod server_api;
mod story;
mod threads;
mod tokens;

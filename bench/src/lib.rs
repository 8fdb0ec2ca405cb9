//! The load generator behind `tidings bench`.
//!
//! Measures a server on this machine over the loopback interface, bounded in connections and time. A load connection
//! is a bare WebSocket that looks for a number and a time in each payload, so that the figures show the server and as
//! little as possible of the generator.

#![warn(missing_docs)]
#![cfg_attr(not(test), warn(unused_crate_dependencies))]

pub mod cli;
mod fanout;
mod idle;
pub mod limits;
mod load;
mod payload;
mod process;
mod report;
mod target;
mod wire;

/// What the load connections speak.
const ENCODING: tidings_protocol::Encoding = tidings_protocol::Encoding::Json;

/// Runs one measurement and prints its result on standard output; progress goes to standard error.
///
/// Wants a multi-threaded tokio runtime with everything enabled. Without `--server` it starts this very program with
/// `serve`.
///
/// # Errors
/// When the arguments do not fit the machine, the server cannot be started or reached, or it lost or reordered a
/// publication.
pub async fn run(args: cli::BenchArgs) -> anyhow::Result<()> {
    match args.command {
        cli::BenchCommand::Fanout(args) => fanout::run(args).await,
        cli::BenchCommand::Idle(args) => idle::run(args).await,
    }
}

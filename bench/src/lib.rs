//! The load generator behind `tidings bench`.
//!
//! Measures a server on this machine over the loopback interface, bounded in connections and time. A load connection
//! is a bare WebSocket (or stream, where that is measured) that looks for a number and a time in each payload, so that the figures show the server and as
//! little as possible of the generator.
//!
//! ```text
//! cli                     what may be asked for
//!   fanout, channels, publish, connect, idle, chat      one command each: what it varies, how it measures
//!     rounds              who is measured when, each with its cores; from all rounds the report
//!       lanes, people, pace      publishers in a closed loop; accounts of the chat; the clock of an open loop
//!         load, http_wire, wire, stream_wire, payload      connections, and what they carry
//!           target, cores, meter, process, report      the server; what the kernel says; what is printed
//! ```

#![warn(missing_docs)]
#![cfg_attr(not(test), warn(unused_crate_dependencies))]

mod channels;
mod chat;
pub mod cli;
mod connect;
mod cores;
mod fanout;
mod http_wire;
mod idle;
mod lanes;
pub mod limits;
mod load;
mod meter;
mod pace;
mod payload;
mod people;
mod process;
mod publish;
mod report;
mod rounds;
mod stream_wire;
mod target;
mod wire;

/// What the load connections speak.
const ENCODING: tidings_protocol::Encoding = tidings_protocol::Encoding::Json;

/// Runs one measurement and prints its result on standard output; progress goes to standard error. See [`measure`].
///
/// # Errors
/// As [`measure`].
pub async fn run(args: cli::BenchArgs) -> anyhow::Result<()> {
    print!("{}", measure(args).await?);
    Ok(())
}

/// Runs one measurement and returns its result, a table or JSON.
///
/// Wants a multi-threaded tokio runtime with everything enabled. Without `--server` and `--server-binary` it starts this
/// very program with `serve`. While it runs, this process is held to the cores that the server leaves it.
///
/// # Errors
/// When the arguments do not fit the machine, the server cannot be started or reached, or it lost or reordered a
/// publication.
pub async fn measure(args: cli::BenchArgs) -> anyhow::Result<String> {
    match &args.command {
        cli::BenchCommand::Fanout(args) => rounds::run(args, &args.target).await,
        cli::BenchCommand::Channels(args) => rounds::run(args, &args.target).await,
        cli::BenchCommand::Publish(args) => rounds::run(args, &args.target).await,
        cli::BenchCommand::Connect(args) => rounds::run(args, &args.target).await,
        cli::BenchCommand::Idle(args) => rounds::run(args, &args.target).await,
        cli::BenchCommand::Chat(args) => rounds::run(args, &args.target).await,
    }
}

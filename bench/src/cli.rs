//! The arguments of `tidings bench`.

use std::time::Duration;

use crate::limits;

/// Measure a Tidings server on this machine.
#[derive(Debug, clap::Args)]
pub struct BenchArgs {
    /// What to measure.
    #[command(subcommand)]
    pub command: BenchCommand,
}

/// The measurements there are.
#[derive(Debug, clap::Subcommand)]
pub enum BenchCommand {
    /// One publisher, many subscribers of one channel: deliveries per second, latency, server CPU per delivery
    Fanout(FanoutArgs),
    /// Many connections that do nothing: server memory per connection, CPU per connect and per ping
    Idle(IdleArgs),
}

/// Which server is measured and how the result is printed.
#[derive(Debug, Clone, clap::Args)]
pub struct TargetArgs {
    /// Measure a running server at this WebSocket address, loopback only, such as
    /// ws://127.0.0.1:8000/connection/websocket; without it a server is started for the run, on scratch data
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,

    /// Process id of the running server, to read its CPU time and memory
    #[arg(long, value_name = "PID", requires = "server")]
    pub server_pid: Option<u32>,

    /// Secret that the running server checks client tokens with
    #[arg(long, value_name = "SECRET", env = "TIDINGS_TOKEN_SECRET", hide_env_values = true)]
    pub token_secret: Option<String>,

    /// Print the result as JSON and nothing else
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `tidings bench fanout`.
#[derive(Debug, Clone, clap::Args)]
pub struct FanoutArgs {
    /// The server and the form of the result.
    #[command(flatten)]
    pub target: TargetArgs,

    /// Subscribers; several numbers, separated by commas, make several runs
    #[arg(long, short = 'n', value_name = "N", default_value = "1000", value_delimiter = ',',
          value_parser = clap::value_parser!(u32).range(1..=i64::from(limits::CONNECTIONS_MAX)))]
    pub subscribers: Vec<u32>,

    /// Publications in flight: 1 publishes when everyone has received the last one; several numbers make several runs
    #[arg(long, short, value_name = "W", default_value = "1,16", value_delimiter = ',',
          value_parser = clap::value_parser!(u32).range(1..=i64::from(limits::WINDOW_MAX)))]
    pub window: Vec<u32>,

    /// Connections that publish, taking turns: one alone would reach the server's limit of commands per client
    #[arg(long, value_name = "N", default_value_t = 64,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(limits::PUBLISHERS_MAX)))]
    pub publishers: u32,

    /// Size of the published data
    #[arg(long, value_name = "BYTES", default_value_t = 128, value_parser = payload_bytes)]
    pub payload: usize,

    /// Measured time of each run
    #[arg(long, short, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub duration: Duration,

    /// End each run after this many publications, if that comes before the duration
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=limits::MESSAGES_MAX))]
    pub messages: Option<u64>,
}

/// Arguments of `tidings bench idle`.
#[derive(Debug, Clone, clap::Args)]
pub struct IdleArgs {
    /// The server and the form of the result.
    #[command(flatten)]
    pub target: TargetArgs,

    /// Connections to hold; several numbers, separated by commas, make several runs
    #[arg(long, short = 'n', value_name = "N", default_value = "5000", value_delimiter = ',',
          value_parser = clap::value_parser!(u32).range(1..=i64::from(limits::CONNECTIONS_MAX)))]
    pub connections: Vec<u32>,

    /// How long to hold them: 30 sees every connection pinged at least once at the usual interval of 25 s
    #[arg(long, short, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub duration: Duration,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let max = limits::DURATION_MAX.as_secs();
    match text.parse() {
        Ok(seconds) if (1..=max).contains(&seconds) => Ok(Duration::from_secs(seconds)),
        _ => Err(format!("expected whole seconds from 1 to {max}")),
    }
}

fn payload_bytes(text: &str) -> Result<usize, String> {
    let (min, max) = (limits::PAYLOAD_BYTES_MIN, limits::PAYLOAD_BYTES_MAX);
    match text.parse() {
        Ok(bytes) if (min..=max).contains(&bytes) => Ok(bytes),
        _ => Err(format!("expected {min} to {max} bytes")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        bench: BenchArgs,
    }

    fn parse(words: &str) -> Result<BenchCommand, String> {
        let words = std::iter::once("bench").chain(words.split_whitespace());
        Program::try_parse_from(words).map(|program| program.bench.command).map_err(|error| error.to_string())
    }

    #[test]
    fn one_command_can_ask_for_several_runs() {
        let Ok(BenchCommand::Fanout(args)) = parse("fanout -n 1000,8000 -w 1,16 --payload 128 -d 5") else { panic!() };
        assert_eq!((args.subscribers, args.window), (vec![1000, 8000], vec![1, 16]));
        assert_eq!((args.payload, args.duration), (128, Duration::from_secs(5)));
    }

    #[test]
    fn counts_and_times_beyond_the_limits_are_refused_with_the_limit() {
        for (words, said) in [
            ("fanout -n 18001", "18000"),
            ("fanout -n 0", "18000"),
            ("fanout -w 1025", "1024"),
            ("fanout --payload 10", "72 to 60000"),
            ("fanout -d 601", "1 to 600"),
            ("idle -n 18001", "18000"),
        ] {
            let error = parse(words).unwrap_err();
            assert!(error.contains(said), "{words}: {error}");
        }
    }

    #[test]
    fn a_process_id_without_a_server_makes_no_sense() {
        assert!(parse("fanout --server-pid 12").is_err());
    }
}

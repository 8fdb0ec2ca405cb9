//! The arguments of `tidings bench`.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::RangedI64ValueParser;

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
    /// Many channels with one subscriber each: server CPU per publication and per delivery
    Channels(ChannelsArgs),
    /// Many publishers into many channels, and nobody reading: publications per second, server CPU for each
    Publish(PublishArgs),
    /// Connections opened with a token: connects per second, server CPU for each
    Connect(ConnectArgs),
    /// Many connections that do nothing: server memory per connection, CPU per connect and per ping
    Idle(IdleArgs),
    /// People who post into a room of the chat, on a disk: posts per second, latency, server CPU per post
    Chat(ChatArgs),
}

/// Which servers are measured and how the result is printed.
#[derive(Debug, Clone, clap::Args)]
pub struct TargetArgs {
    /// Measure a running server at this WebSocket address, loopback only, such as
    /// ws://127.0.0.1:8000/connection/websocket; without it a server is started for each run, on scratch data
    #[arg(long, value_name = "URL",
          conflicts_with_all = ["server_binary", "server_cores", "limits", "scratch"])]
    pub server: Option<String>,

    /// Process id of the running server, to read its CPU time and memory
    #[arg(long, value_name = "PID", requires = "server")]
    pub server_pid: Option<u32>,

    /// Secret that the running server checks client tokens with
    #[arg(long, value_name = "SECRET", env = "TIDINGS_TOKEN_SECRET", hide_env_values = true)]
    pub token_secret: Option<String>,

    /// Key of the running server's API
    #[arg(long, value_name = "KEY", env = "TIDINGS_API_KEY", hide_env_values = true)]
    pub api_key: Option<String>,

    /// Start the server from this program instead of this one; given several times, they are measured in turn, and each
    /// is compared with the first
    #[arg(long, value_name = "PATH")]
    pub server_binary: Vec<PathBuf>,

    /// Cores for the server; the generator gets the others, or shares all where none are left. Several numbers, separated
    /// by commas, are measured in turn
    #[arg(long, value_name = "N", default_value = "1", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..))]
    pub server_cores: Vec<u16>,

    /// Leave it to the kernel which core runs what
    #[arg(long, conflicts_with = "server_cores")]
    pub unpinned: bool,

    /// Whether the limits that a measurement cannot do within are raised, by their keys; both, separated by a comma, are
    /// measured in turn
    #[arg(long, value_name = "WHICH", default_value = "raised", value_delimiter = ',')]
    pub limits: Vec<LimitsArg>,

    /// Measure everything so often; shown are the median and the spread
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = count(1, limits::ROUNDS_MAX))]
    pub rounds: u32,

    /// Rest before each measurement, so that what was needed only for connecting is over and freed
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = rest)]
    pub settle: Duration,

    /// Folder for the server's scratch data, on the disk that is to be measured [default: the system's]
    #[arg(long, value_name = "DIR")]
    pub scratch: Option<PathBuf>,

    /// Print the result as JSON and nothing else
    #[arg(long)]
    pub json: bool,
}

/// With which limits a server is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LimitsArg {
    /// As they are
    Default,
    /// Those raised that stand in the way
    Raised,
}

impl Default for TargetArgs {
    fn default() -> Self {
        Self {
            server: None,
            server_pid: None,
            token_secret: None,
            api_key: None,
            server_binary: Vec::new(),
            server_cores: vec![1],
            unpinned: false,
            limits: vec![LimitsArg::Raised],
            rounds: 1,
            settle: limits::SETTLE_TIME,
            scratch: None,
            json: true,
        }
    }
}

/// Arguments of `tidings bench fanout`.
#[derive(Debug, Clone, clap::Args)]
pub struct FanoutArgs {
    /// The servers and the form of the result.
    #[command(flatten)]
    pub target: TargetArgs,

    /// Subscribers; several numbers, separated by commas, make several runs
    #[arg(long, short = 'n', value_name = "N", default_value = "1000", value_delimiter = ',',
          value_parser = count(1, limits::CONNECTIONS_MAX))]
    pub subscribers: Vec<u32>,

    /// Publications in flight: 1 publishes when everyone has received the last one; several numbers make several runs
    #[arg(long, short, value_name = "W", default_value = "1,16", value_delimiter = ',',
          value_parser = count(1, limits::WINDOW_MAX))]
    pub window: Vec<u32>,

    /// Publish so many a second instead, whatever has been received; latency counts from when each was due. Several
    /// numbers make several runs
    #[arg(long, short, value_name = "PER SECOND", value_delimiter = ',', conflicts_with = "window",
          value_parser = count(1, limits::RATE_MAX))]
    pub rate: Vec<u32>,

    /// Channels that every subscriber is subscribed to, published into in turn; several numbers make several runs
    #[arg(long, value_name = "N", default_value = "1", value_delimiter = ',',
          value_parser = count(1, limits::CHANNELS_PER_CONNECTION_MAX))]
    pub channels_per_connection: Vec<u32>,

    /// Connections that publish, taking turns: one alone would reach the server's limit of commands per client
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = count(1, limits::PUBLISHERS_MAX))]
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

/// By which way publications come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum PublishVia {
    /// `POST /api/publish`, as a backend does
    Api,
    /// The protocol's `publish`, as a client does
    Client,
}

/// Arguments of `tidings bench channels`.
#[derive(Debug, Clone, clap::Args)]
pub struct ChannelsArgs {
    /// The servers and the form of the result.
    #[command(flatten)]
    pub target: TargetArgs,

    /// Channels; several numbers, separated by commas, make several runs
    #[arg(long, short = 'n', value_name = "N", default_value = "1,100,10000", value_delimiter = ',',
          value_parser = count(1, limits::CHANNELS_MAX))]
    pub channels: Vec<u32>,

    /// Connections that the channels' subscribers are spread over: at most so many, and no more than channels
    #[arg(long, value_name = "N", default_value_t = 8_000, value_parser = count(1, limits::CONNECTIONS_MAX))]
    pub connections: u32,

    /// Ways to publish; both, separated by a comma, make several runs
    #[arg(long, value_name = "WAY", default_value = "api", value_delimiter = ',')]
    pub via: Vec<PublishVia>,

    /// Publishers, each with one publication in flight
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = count(1, limits::PUBLISHERS_MAX))]
    pub publishers: u32,

    /// Publications of each part of a run
    #[arg(long, value_name = "COUNT", default_value_t = 20_000,
          value_parser = clap::value_parser!(u64).range(1..=limits::MESSAGES_MAX))]
    pub messages: u64,

    /// Size of the published data: small, so that the histories of many channels stay within their budget
    #[arg(long, value_name = "BYTES", default_value_t = limits::PAYLOAD_BYTES_MIN, value_parser = payload_bytes)]
    pub payload: usize,
}

/// Arguments of `tidings bench publish`.
#[derive(Debug, Clone, clap::Args)]
pub struct PublishArgs {
    /// The servers and the form of the result.
    #[command(flatten)]
    pub target: TargetArgs,

    /// Ways to publish; both, separated by a comma, make several runs
    #[arg(long, value_name = "WAY", default_value = "api,client", value_delimiter = ',')]
    pub via: Vec<PublishVia>,

    /// Publishers, each with one publication in flight; several numbers make several runs
    #[arg(long, short, value_name = "N", default_value = "16", value_delimiter = ',',
          value_parser = count(1, limits::PUBLISHERS_MAX))]
    pub publishers: Vec<u32>,

    /// Channels that they publish into, in turn; several numbers make several runs
    #[arg(long, value_name = "N", default_value = "1,1000", value_delimiter = ',',
          value_parser = count(1, limits::CHANNELS_BY_DEFAULT))]
    pub channels: Vec<u32>,

    /// Size of the published data
    #[arg(long, value_name = "BYTES", default_value_t = 128, value_parser = payload_bytes)]
    pub payload: usize,

    /// Measured time of each run
    #[arg(long, short, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub duration: Duration,
}

/// What a connection is subscribed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Subscription {
    /// Nothing
    None,
    /// One channel, the same for all
    Shared,
    /// One channel that nobody else is in
    Own,
}

/// By which transport connections come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Transport {
    /// `/connection/websocket`
    Websocket,
    /// `/connection/http_stream`
    HttpStream,
    /// `/connection/sse`
    Sse,
}

/// Arguments of `tidings bench connect`.
#[derive(Debug, Clone, clap::Args)]
pub struct ConnectArgs {
    /// The servers and the form of the result.
    #[command(flatten)]
    pub target: TargetArgs,

    /// Connections to open; several numbers, separated by commas, make several runs
    #[arg(long, short = 'n', value_name = "N", default_value = "5000", value_delimiter = ',',
          value_parser = count(1, limits::CONNECTIONS_MAX))]
    pub connections: Vec<u32>,

    /// What each subscribes to; several, separated by commas, make several runs
    #[arg(long, value_name = "WHAT", default_value = "none,shared", value_delimiter = ',')]
    pub subscribe: Vec<Subscription>,

    /// Over TLS, with a certificate made for the run
    #[arg(long, conflicts_with = "server")]
    pub tls: bool,
}

/// Arguments of `tidings bench idle`.
#[derive(Debug, Clone, clap::Args)]
pub struct IdleArgs {
    /// The servers and the form of the result.
    #[command(flatten)]
    pub target: TargetArgs,

    /// Connections to hold; several numbers, separated by commas, make several runs
    #[arg(long, short = 'n', value_name = "N", default_value = "5000", value_delimiter = ',',
          value_parser = count(1, limits::CONNECTIONS_MAX))]
    pub connections: Vec<u32>,

    /// What each is subscribed to; several, separated by commas, make several runs
    #[arg(long, value_name = "WHAT", default_value = "none,shared", value_delimiter = ',')]
    pub subscribe: Vec<Subscription>,

    /// Transports of the connections; several, separated by commas, make several runs
    #[arg(long, value_name = "WHICH", default_value = "websocket", value_delimiter = ',')]
    pub transport: Vec<Transport>,

    /// Over TLS, with a certificate made for the run
    #[arg(long, conflicts_with_all = ["server", "transport"])]
    pub tls: bool,

    /// How long to hold them: 30 sees every connection pinged at least once at the usual interval of 25 s
    #[arg(long, short, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub duration: Duration,
}

/// By which way posts come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum PostVia {
    /// The protocol's `rpc`, as our own page does
    Rpc,
    /// `POST /v1/rooms/{id}/messages`
    Rest,
}

/// Arguments of `tidings bench chat`.
#[derive(Debug, Clone, clap::Args)]
pub struct ChatArgs {
    /// The servers and the form of the result.
    #[command(flatten)]
    pub target: TargetArgs,

    /// People who post, and whose devices read
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = count(1, limits::PEOPLE_MAX))]
    pub people: u32,

    /// Posts in flight, each on a connection of its own unless `--connections` says otherwise: the next is sent when one
    /// is acknowledged. Several numbers, separated by commas, make several runs
    #[arg(long, value_name = "N", default_value = "200", value_delimiter = ',',
          value_parser = count(1, limits::IN_FLIGHT_MAX))]
    pub in_flight: Vec<u32>,

    /// Connections over which the posts in flight by rpc are spread, if not one each
    #[arg(long, value_name = "N", conflicts_with = "rate", value_parser = count(1, limits::IN_FLIGHT_MAX))]
    pub connections: Option<u32>,

    /// Post so many a second instead, whatever has been acknowledged; latency counts from when each was due. Several
    /// numbers make several runs
    #[arg(long, short, value_name = "PER SECOND", value_delimiter = ',', conflicts_with = "in_flight",
          value_parser = count(1, limits::RATE_MAX))]
    pub rate: Vec<u32>,

    /// Connections over which the posts of a fixed rate are spread
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = count(1, limits::IN_FLIGHT_MAX))]
    pub posters: u32,

    /// Readers in the room; several numbers make several runs
    #[arg(long, value_name = "N", default_value = "0", value_delimiter = ',',
          value_parser = count(0, limits::CONNECTIONS_MAX))]
    pub readers: Vec<u32>,

    /// Ways to post; both, separated by a comma, make several runs
    #[arg(long, value_name = "WAY", default_value = "rpc", value_delimiter = ',')]
    pub via: Vec<PostVia>,

    /// Size of each message
    #[arg(long, value_name = "BYTES", default_value_t = 128, value_parser = body_bytes)]
    pub payload: usize,

    /// Measured time of each run
    #[arg(long, short, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub duration: Duration,
}

fn count(min: u32, max: u32) -> RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(i64::from(min)..=i64::from(max))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let max = limits::DURATION_MAX.as_secs();
    match text.parse() {
        Ok(seconds) if (1..=max).contains(&seconds) => Ok(Duration::from_secs(seconds)),
        _ => Err(format!("expected whole seconds from 1 to {max}")),
    }
}

fn rest(text: &str) -> Result<Duration, String> {
    if text == "0" { Ok(Duration::ZERO) } else { seconds(text) }
}

fn payload_bytes(text: &str) -> Result<usize, String> {
    bytes(text, limits::PAYLOAD_BYTES_MIN, limits::PAYLOAD_BYTES_MAX)
}

fn body_bytes(text: &str) -> Result<usize, String> {
    bytes(text, limits::PAYLOAD_BYTES_MIN, limits::BODY_BYTES_MAX)
}

fn bytes(text: &str, min: usize, max: usize) -> Result<usize, String> {
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
    fn several_servers_can_be_measured_in_turn() {
        let Ok(BenchCommand::Idle(args)) =
            parse("idle --server-binary a --server-binary b --server-cores 1,2 --rounds 5")
        else {
            panic!()
        };
        let TargetArgs { server_binary, server_cores, rounds, .. } = args.target;
        assert_eq!((server_binary.len(), server_cores, rounds), (2, vec![1, 2], 5));
        assert!(parse("idle --server ws://127.0.0.1:1/ --server-binary a").is_err());
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
            ("channels -n 1000001", "1000000"),
            ("chat --people 101", "100"),
        ] {
            let error = parse(words).unwrap_err();
            assert!(error.contains(said), "{words}: {error}");
        }
    }

    #[test]
    fn a_closed_and_an_open_loop_exclude_each_other() {
        assert!(parse("fanout --rate 100").is_ok() && parse("fanout --rate 100 --window 1").is_err());
        assert!(parse("chat --rate 100").is_ok() && parse("chat --rate 100 --in-flight 1").is_err());
    }

    #[test]
    fn a_process_id_without_a_server_makes_no_sense() {
        assert!(parse("fanout --server-pid 12").is_err());
    }
}

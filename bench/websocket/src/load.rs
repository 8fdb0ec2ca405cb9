//! The client: one thread, raw sockets, frames built beforehand.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    path::PathBuf,
    process::{Child, Command, Stdio},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::Builder,
};

/// Echo clients at the same time.
const CLIENTS: usize = 32;

/// Where the program in Go is, if it was built.
pub fn gorilla() -> PathBuf {
    std::env::current_exe().expect("this program has a path").with_file_name("websocket-bench-gorilla")
}

struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start(engine: &str) -> Self {
        Self::start_by(
            match engine {
                "gorilla" => Command::new(gorilla()),
                _ => Command::new(std::env::current_exe().expect("this program has a path")),
            },
            engine,
        )
    }

    fn start_by(mut command: Command, engine: &str) -> Self {
        command.args(["serve", engine]).env("GOMAXPROCS", "1").stdout(Stdio::piped());
        let mut process = command.spawn().expect("it starts");
        let mut address = String::new();
        BufReader::new(process.stdout.take().expect("piped")).read_line(&mut address).expect("it says where");
        Server { process, address: address.trim().to_owned() }
    }

    /// CPU time so far, in microseconds.
    fn cpu(&self) -> f64 {
        let threads = fs::read_dir(format!("/proc/{}/task", self.process.id())).expect("Linux");
        // Nanoseconds on the CPU. One thread does the work, but in Go not always the same one.
        let nanoseconds = threads.map(|thread| {
            let path = thread.expect("a thread").path().join("schedstat");
            let text = fs::read_to_string(path).expect("Linux with scheduler statistics");
            text.split(' ').next().and_then(|number| number.parse::<f64>().ok()).expect("a number")
        });
        nanoseconds.sum::<f64>() / 1000.0
    }

    /// Resident memory in bytes.
    fn memory(&self) -> f64 {
        let text = fs::read_to_string(format!("/proc/{}/statm", self.process.id())).expect("Linux");
        text.split(' ').nth(1).and_then(|number| number.parse::<f64>().ok()).expect("a number") * 4096.0
    }

    async fn connect(&self, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).await.expect("it listens");
        stream.set_nodelay(true).expect("a TCP socket");
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await.expect("it answers"));
        }
        stream
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A client's frame of `size` bytes of text, and how many bytes the server's frame of it has.
fn frame(size: usize) -> (Vec<u8>, usize) {
    let mut frame = vec![0x81];
    match size {
        0..=125 => frame.push(0x80 | size as u8),
        126..=65535 => {
            frame.push(0xfe);
            frame.extend((size as u16).to_be_bytes());
        }
        _ => {
            frame.push(0xff);
            frame.extend((size as u64).to_be_bytes());
        }
    }
    let answer = frame.len() + size;
    let key = [1, 2, 3, 4];
    frame.extend(key);
    frame.extend((0..size).map(|at| b'x' ^ key[at % 4]));
    (frame, answer)
}

async fn read_bytes(stream: &mut (impl AsyncRead + Unpin), buffer: &mut [u8], mut bytes: usize) {
    while bytes > 0 {
        let most = bytes.min(buffer.len());
        let read = stream.read(&mut buffer[..most]).await.expect("it answers");
        assert!(read > 0, "the server hung up");
        bytes -= read;
    }
}

/// Whether instructions can be counted here.
pub fn can_count() -> bool {
    Command::new("valgrind").arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Instructions in user space that the server takes for one message echoed, which is the same in every run.
pub fn echo_instructions(engine: &str, size: usize, window: usize) -> f64 {
    let (frame, answer) = frame(size);
    let batch = frame.repeat(window);
    let rounds = 1600 / window / (1 + size / 8192);
    let count = |rounds: usize| {
        counted(engine, async |server: &Server| {
            let mut stream = server.connect("/echo").await;
            let mut buffer = vec![0; 64 * 1024];
            for _ in 0..rounds {
                there_and_back(&mut stream, &batch, &mut buffer, answer * window).await;
            }
        })
    };
    // The first messages, and the start, are not counted.
    (count(3 * rounds) - count(rounds)) / (2 * rounds * window) as f64
}

/// The same for one message delivered to one of many.
pub fn fan_out_instructions(engine: &str, subscribers: usize, size: usize, window: usize) -> f64 {
    let rounds = 10;
    let count = |rounds: usize| {
        counted(engine, async |server: &Server| {
            let mut room = FanOut::begin(server, subscribers, size, window).await;
            for _ in 0..rounds {
                room.round().await;
            }
        })
    };
    (count(3 * rounds) - count(rounds)) / (2 * rounds * window * subscribers) as f64
}

/// Sends a batch and reads so many bytes of answers, both at once: large batches do not fit the kernel's buffers.
async fn there_and_back(stream: &mut TcpStream, batch: &[u8], buffer: &mut [u8], answers: usize) {
    let (mut reader, mut writer) = stream.split();
    tokio::join!(writer.write_all(batch), read_bytes(&mut reader, buffer, answers)).0.expect("it reads");
}

/// A publisher and its subscribers.
struct FanOut {
    publisher: TcpStream,
    subscribers: Vec<TcpStream>,
    batch: Vec<u8>,
    /// Bytes that each subscriber gets of a batch.
    answers: usize,
    buffer: Vec<u8>,
}

impl FanOut {
    async fn begin(server: &Server, count: usize, size: usize, window: usize) -> Self {
        let (frame, answer) = frame(size);
        let mut subscribers = Vec::new();
        for _ in 0..count {
            subscribers.push(server.connect("/subscribe").await);
        }
        let publisher = server.connect("/publish").await;
        let (batch, answers) = (frame.repeat(window), answer * window);
        FanOut { publisher, subscribers, batch, answers, buffer: vec![0; 64 * 1024] }
    }

    /// Publishes a batch and waits until everybody has it.
    async fn round(&mut self) {
        self.publisher.write_all(&self.batch).await.expect("it reads");
        for subscriber in &mut self.subscribers {
            read_bytes(subscriber, &mut self.buffer, self.answers).await;
        }
    }
}

/// Instructions in user space of a server from its start to its end.
fn counted(engine: &str, load: impl AsyncFnOnce(&Server)) -> f64 {
    let counts = std::env::temp_dir().join(format!("websocket-bench-{}.callgrind", std::process::id()));
    let mut command = Command::new("valgrind");
    command.args(["-q", "--tool=callgrind"]).arg(format!("--callgrind-out-file={}", counts.display()));
    command.arg(std::env::current_exe().expect("this program has a path")).stderr(Stdio::null());
    let mut server = Server::start_by(command, engine);
    Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(load(&server));
    let ended = Command::new("kill").arg(server.process.id().to_string()).status().expect("a POSIX system");
    assert!(ended.success());
    server.process.wait().expect("it ends");
    let text = fs::read_to_string(&counts).expect("valgrind writes what it counted");
    let _ = fs::remove_file(&counts);
    let total = text.lines().find_map(|line| line.strip_prefix("totals: ")).expect("callgrind's format");
    total.trim().parse().expect("a number")
}

/// Microseconds of the server's CPU for one message echoed.
pub fn echo(engine: &str, size: usize, window: usize, messages: usize) -> f64 {
    let server = Server::start(engine);
    let (frame, answer) = frame(size);
    let rounds = (messages / CLIENTS / window).max(2);
    Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(async {
        let mut streams = Vec::new();
        for _ in 0..CLIENTS {
            streams.push(server.connect("/echo").await);
        }
        let batch = frame.repeat(window);
        let mut before = 0.0;
        // The first part warms up and is not counted.
        for part in [rounds / 10 + 1, rounds] {
            before = server.cpu();
            let tasks: Vec<_> = streams
                .drain(..)
                .map(|mut stream| {
                    let batch = batch.clone();
                    tokio::spawn(async move {
                        let mut buffer = vec![0; 64 * 1024];
                        for _ in 0..part {
                            there_and_back(&mut stream, &batch, &mut buffer, answer * window).await;
                        }
                        stream
                    })
                })
                .collect();
            for task in tasks {
                streams.push(task.await.expect("no panic"));
            }
        }
        for stream in &streams {
            assert!(stream.try_read(&mut [0]).is_err(), "{engine} answered with more bytes than a server's frame has");
        }
        (server.cpu() - before) / (rounds * CLIENTS * window) as f64
    })
}

/// Microseconds of the server's CPU for one message delivered to one of many.
pub fn fan_out(engine: &str, subscribers: usize, size: usize, window: usize, messages: usize) -> f64 {
    let server = Server::start(engine);
    Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(async {
        let mut room = FanOut::begin(&server, subscribers, size, window).await;
        let rounds = messages / window;
        let mut before = 0.0;
        for round in 0..rounds + 2 {
            if round == 2 {
                before = server.cpu();
            }
            room.round().await;
        }
        (server.cpu() - before) / (rounds * window * subscribers) as f64
    })
}

/// Bytes of the server's memory for one idle connection that has echoed one message.
pub fn idle(engine: &str, connections: usize) -> f64 {
    let server = Server::start(engine);
    let (frame, answer) = frame(128);
    Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(async {
        let mut streams = Vec::new();
        let mut buffer = vec![0; 1024];
        let mut before = 0.0;
        // The first hundred pay for what all share.
        for number in 0..connections + 100 {
            if number == 100 {
                before = server.memory();
            }
            let mut stream = server.connect("/echo").await;
            stream.write_all(&frame).await.expect("it reads");
            read_bytes(&mut stream, &mut buffer, answer).await;
            streams.push(stream);
        }
        (server.memory() - before) / connections as f64
    })
}

/// Reads the request of a handshake from a blocking stream and answers it.
pub fn blocking_handshake(stream: &mut (impl Read + Write)) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        request.push(byte[0]);
    }
    stream.write_all(&crate::engines::answer(&request))
}

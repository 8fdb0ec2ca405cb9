//! What the machine itself costs: a server of one thread that speaks just enough of the protocol for `tidings bench fanout`,
//! and knows no rights, no history, no rates and no slow readers.
//!
//! One log of frames, a cursor for each connection, epoll: whoever is behind gets everything up to the head with one write,
//! a few connections at a time, and what has come meanwhile is read in between.
//!
//! ```sh
//! cargo build --release -p tidings-bench --example bare
//! target/release/tidings bench fanout --server-binary target/release/examples/bare --server-binary target/release/tidings
//! ```

use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use sha1::{Digest, Sha1};

/// Connections that are written to before the sockets are looked at again: what `tidings` does.
const CONNECTIONS_IN_A_ROW: usize = 128;

const LISTENER: Token = Token(usize::MAX);

struct Connection {
    stream: TcpStream,
    /// What has been read of a request or a frame that is not whole yet.
    input: Vec<u8>,
    is_open: bool,
    is_subscribed: bool,
    /// How much of the log it has had.
    cursor: usize,
}

#[derive(Default)]
struct Hub {
    connections: Vec<Option<Connection>>,
    log: Vec<u8>,
    published: u64,
    /// The next connection to be written to, and how many have not been offered what is new.
    next: usize,
    left: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    println!("listening on http://{}", listener.local_addr()?);
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut hub = Hub::default();
    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let patience = if hub.left > 0 { Some(Duration::ZERO) } else { None };
        poll.poll(&mut events, patience)?;
        for event in &events {
            if event.token() != LISTENER {
                hub.read(event.token().0, &mut buffer);
                continue;
            }
            while let Ok((mut stream, _)) = listener.accept() {
                stream.set_nodelay(true)?;
                let token = Token(hub.connections.len());
                poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
                let (input, cursor) = (Vec::new(), 0);
                hub.connections.push(Some(Connection { stream, input, is_open: false, is_subscribed: false, cursor }));
            }
        }
        hub.sweep();
    }
}

impl Hub {
    fn read(&mut self, at: usize, buffer: &mut [u8]) {
        while let Some(Some(connection)) = self.connections.get_mut(at) {
            match connection.stream.read(buffer) {
                Ok(0) => self.connections[at] = None,
                Ok(read) => {
                    connection.input.extend_from_slice(&buffer[..read]);
                    let mut input = std::mem::take(&mut connection.input);
                    self.take(at, &mut input);
                    if let Some(Some(connection)) = self.connections.get_mut(at) {
                        connection.input = input;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.connections[at] = None,
            }
        }
    }

    /// Takes whole requests and frames from the front of what was read.
    fn take(&mut self, at: usize, input: &mut Vec<u8>) {
        let Some(Some(connection)) = self.connections.get_mut(at) else { return };
        if !connection.is_open {
            if input.ends_with(b"\r\n\r\n") {
                connection.is_open = connection.stream.write_all(&answer(input)).is_ok();
                input.clear();
            }
            return;
        }
        while let Some((payload, rest)) = frame(input) {
            let text = input[payload..rest].to_vec();
            input.drain(..rest);
            for line in text.split(|byte| *byte == b'\n') {
                self.obey(at, &String::from_utf8_lossy(line));
            }
        }
    }

    fn obey(&mut self, at: usize, command: &str) {
        let all = self.connections.len();
        let Some(Some(connection)) = self.connections.get_mut(at) else { return };
        let Some((id, what)) = command.strip_prefix("{\"id\":").and_then(|rest| rest.split_once(',')) else { return };
        let reply = if what.starts_with("\"connect\"") {
            format!(r#"{{"id":{id},"connect":{{"client":"bare","version":"0"}}}}"#)
        } else if what.starts_with("\"subscribe\"") {
            (connection.is_subscribed, connection.cursor) = (true, self.log.len());
            format!(r#"{{"id":{id},"subscribe":{{}}}}"#)
        } else {
            let data = what.split_once("\"data\":").map_or("", |(_, data)| data.trim_end_matches("}}"));
            self.published += 1;
            let number = self.published;
            let push = format!(
                r#"{{"push":{{"channel":"bench-0","pub":{{"data":{data}}},"info":{{"user":"bench-publisher-0","client":"bare"}},"offset":{number}}}}}}}"#
            );
            append_frame(&mut self.log, push.as_bytes());
            self.left = all;
            format!(r#"{{"id":{id},"publish":{{}}}}"#)
        };
        let mut bytes = Vec::new();
        append_frame(&mut bytes, reply.as_bytes());
        if connection.stream.write_all(&bytes).is_err() {
            self.connections[at] = None;
        }
    }

    /// Everything up to the head, for the next few connections that are behind.
    fn sweep(&mut self) {
        let mut written = 0;
        while self.left > 0 && written < CONNECTIONS_IN_A_ROW {
            self.left -= 1;
            self.next = if self.next + 1 < self.connections.len() { self.next + 1 } else { 0 };
            let Some(Some(connection)) = self.connections.get_mut(self.next) else { continue };
            if !connection.is_subscribed || connection.cursor == self.log.len() {
                continue;
            }
            written += 1;
            // What does not fit now goes with what comes next: nobody is slow here for long.
            if let Ok(bytes) = connection.stream.write(&self.log[connection.cursor..]) {
                connection.cursor += bytes;
            }
            if connection.cursor < self.log.len() {
                self.left += 1;
            }
        }
        if self.left == 0 {
            self.log.clear();
            self.connections.iter_mut().flatten().for_each(|connection| connection.cursor = 0);
        }
    }
}

/// Unmasks the first frame, if it is whole: where its payload begins and ends.
fn frame(input: &mut [u8]) -> Option<(usize, usize)> {
    let second = *input.get(1)?;
    let (head, len) = match second & 0x7f {
        126 => (4, usize::from(u16::from_be_bytes([*input.get(2)?, *input.get(3)?]))),
        127 => return None,
        short => (2, usize::from(short)),
    };
    let (payload, end) = (head + 4, head + 4 + len);
    if input.len() < end {
        return None;
    }
    let key = [input[head], input[head + 1], input[head + 2], input[head + 3]];
    input[payload..end].iter_mut().zip(key.into_iter().cycle()).for_each(|(byte, key)| *byte ^= key);
    Some((payload, end))
}

fn append_frame(to: &mut Vec<u8>, text: &[u8]) {
    to.push(0x81);
    match (u8::try_from(text.len()), u16::try_from(text.len())) {
        (Ok(len), _) if len < 126 => to.push(len),
        (_, Ok(len)) => {
            to.push(126);
            to.extend_from_slice(&len.to_be_bytes());
        }
        _ => unreachable!("the load generator publishes less"),
    }
    to.extend_from_slice(text);
}

/// 101 for a handshake.
fn answer(request: &[u8]) -> Vec<u8> {
    let request = String::from_utf8_lossy(request).into_owned();
    let is_key = |line: &&str| line.to_ascii_lowercase().starts_with("sec-websocket-key:");
    let key = request.lines().find(is_key).and_then(|line| line.split(':').nth(1)).unwrap_or_default().trim();
    let accept = STANDARD.encode(Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11")));
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
    .into_bytes()
}

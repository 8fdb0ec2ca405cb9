//! What the machine itself costs: one thread, epoll, frames parsed by hand, the same bytes written with one call. Echo only,
//! and no more of the protocol than the client uses.

use crate::load::blocking_handshake;
use mio::{Events, Interest, Poll, Token, net::TcpStream};
use std::{
    io::{ErrorKind, Read, Write},
    net::TcpListener,
    sync::mpsc,
};

struct Connection {
    stream: TcpStream,
    input: Vec<u8>,
    output: Vec<u8>,
}

pub fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    println!("{}", listener.local_addr().expect("it is bound"));
    let mut poll = Poll::new().expect("epoll");
    let waker = mio::Waker::new(poll.registry(), Token(usize::MAX)).expect("epoll");
    let (accepted, arriving) = mpsc::channel();
    // Handshakes happen on a thread of their own, whose CPU time is not counted.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("it accepts");
            blocking_handshake(&mut stream).expect("an honest client");
            stream.set_nodelay(true).expect("a TCP socket");
            stream.set_nonblocking(true).expect("a TCP socket");
            let _ = accepted.send(TcpStream::from_std(stream));
            let _ = waker.wake();
        }
    });
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        poll.poll(&mut events, None).expect("epoll");
        for event in &events {
            let Token(at) = event.token();
            if at == usize::MAX {
                while let Ok(mut stream) = arriving.try_recv() {
                    let interest = Interest::READABLE | Interest::WRITABLE;
                    poll.registry().register(&mut stream, Token(connections.len()), interest).expect("epoll");
                    connections.push(Some(Connection { stream, input: Vec::new(), output: Vec::new() }));
                }
            } else if let Some(connection) = &mut connections[at]
                && !turn(connection, &mut buffer)
            {
                connections[at] = None;
            }
        }
    }
}

/// Reads, answers and writes until neither goes on. False at the end of the connection.
fn turn(connection: &mut Connection, buffer: &mut [u8]) -> bool {
    loop {
        if !connection.output.is_empty() {
            match connection.stream.write(&connection.output) {
                Ok(written) => drop(connection.output.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(_) => return false,
            }
            continue;
        }
        match connection.stream.read(buffer) {
            Ok(0) => return false,
            Ok(read) => {
                if connection.input.is_empty() {
                    let rest = echo(&mut buffer[..read], &mut connection.output);
                    connection.input.extend_from_slice(&buffer[rest..read]);
                } else {
                    connection.input.extend_from_slice(&buffer[..read]);
                    let rest = echo(&mut connection.input, &mut connection.output);
                    connection.input.drain(..rest);
                }
                if read < buffer.len() && connection.output.is_empty() {
                    return true;
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
            Err(_) => return false,
        }
    }
}

/// Turns whole frames from the front of `input` into frames of a server, and returns how many bytes they had.
fn echo(input: &mut [u8], output: &mut Vec<u8>) -> usize {
    let mut at = 0;
    while let [_, second, ..] = input[at..] {
        let head = match second & 0x7f {
            126 => 4,
            127 => 10,
            _ => 2,
        };
        if input.len() < at + head + 4 {
            break;
        }
        let len = match head {
            4 => usize::from(u16::from_be_bytes([input[at + 2], input[at + 3]])),
            10 => u64::from_be_bytes(input[at + 2..at + 10].try_into().expect("eight")) as usize,
            _ => usize::from(second & 0x7f),
        };
        let payload = at + head + 4;
        if input.len() < payload + len {
            break;
        }
        let key: [u8; 4] = input[payload - 4..payload].try_into().expect("four");
        let wide = u64::from_ne_bytes([key, key].concat().try_into().expect("eight"));
        let (chunks, rest) = input[payload..payload + len].as_chunks_mut::<8>();
        chunks.iter_mut().for_each(|chunk| *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes());
        rest.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        output.extend_from_slice(&input[at..at + head]);
        let start = output.len() - head;
        output[start + 1] &= 0x7f;
        output.extend_from_slice(&input[payload..payload + len]);
        at = payload + len;
    }
    at
}

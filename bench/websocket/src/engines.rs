//! The same two servers, echo and fan-out, once with each engine: tokio on one thread, a task for each connection, TCP_NODELAY,
//! and each engine's buffers at the size that serves it best in memory and time.

use bytes::Bytes;
use futures_util::{FutureExt, SinkExt, StreamExt};
use tidings_websocket::{Limits, Prepared, Role, WebSocket, handshake::accept_key};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::broadcast::{Receiver, Sender, channel},
};
use tokio_tungstenite::{WebSocketStream, tungstenite};

/// Frames a subscriber may lag behind.
const BACKLOG: usize = 1024;
/// What the larger engines may buffer, in bytes.
const BUFFER_BYTES: usize = 4096;

pub fn serve(engine: &str) {
    let connection: fn(TcpStream, Path) = match engine {
        "tidings" => |stream, path| drop(tokio::spawn(tidings(stream, path))),
        "tungstenite" => |stream, path| drop(tokio::spawn(tungstenite(stream, path))),
        "tokio-websockets" => |stream, path| drop(tokio::spawn(tokio_websockets(stream, path))),
        "fastwebsockets" => |stream, path| drop(tokio::spawn(fastwebsockets(stream, path))),
        "yawc" => |stream, path| drop(tokio::spawn(yawc(stream, path))),
        "sockudo-ws" => |stream, path| drop(tokio::spawn(sockudo_ws(stream, path))),
        _ => panic!("no engine {engine}"),
    };
    if engine == "sockudo-ws" {
        // Its documentation: before the runtime, because the first look at its clock takes up to 200 ms.
        sockudo_ws::init_clock();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        println!("{}", listener.local_addr().expect("it is bound"));
        let (room, _) = channel(BACKLOG);
        loop {
            let (mut stream, _) = listener.accept().await.expect("it accepts");
            let room = room.clone();
            tokio::spawn(async move {
                if let Ok(path) = handshake(&mut stream, room).await {
                    connection(stream, path);
                }
            });
        }
    });
}

/// What a connection asked for.
enum Path {
    Echo,
    Subscribe(Receiver<Bytes>),
    Publish(Sender<Bytes>),
}

async fn handshake(stream: &mut TcpStream, room: Sender<Bytes>) -> std::io::Result<Path> {
    stream.set_nodelay(true)?;
    let mut request = Vec::with_capacity(512);
    while !request.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut request).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    stream.write_all(&answer(&request)).await?;
    Ok(match &request[..6] {
        b"GET /s" => Path::Subscribe(room.subscribe()),
        b"GET /p" => Path::Publish(room),
        _ => Path::Echo,
    })
}

/// The answer to a request.
pub fn answer(request: &[u8]) -> Vec<u8> {
    let request = String::from_utf8_lossy(request);
    let key =
        request.split("Sec-WebSocket-Key: ").nth(1).and_then(|rest| rest.split("\r\n").next()).unwrap_or_default();
    let accept = accept_key(key.as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
    .into_bytes()
}

async fn tidings(stream: TcpStream, path: Path) {
    let limits = Limits::server().message_bytes_max(1 << 20).queue_bytes_max(4 << 20);
    let mut socket = WebSocket::new(stream, Role::Server, limits);
    match path {
        Path::Echo => {
            while let Some(Ok(message)) = socket.receive().await {
                socket.feed(message).expect("there is room");
                if !socket.has_input() {
                    socket.flush().await.expect("it reads");
                }
            }
        }
        Path::Publish(room) => {
            while let Some(Ok(message)) = socket.receive().await {
                let _ = room.send(Prepared::from(message).into_bytes());
            }
        }
        Path::Subscribe(mut room) => {
            while let Ok(frame) = room.recv().await {
                socket.feed(Prepared::from_bytes(frame).expect("a frame")).expect("there is room");
                if room.is_empty() {
                    socket.flush().await.expect("it reads");
                }
            }
        }
    }
}

async fn tungstenite(stream: TcpStream, path: Path) {
    let config = tungstenite::protocol::WebSocketConfig::default()
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES);
    let mut socket = WebSocketStream::from_raw_socket(stream, tungstenite::protocol::Role::Server, Some(config)).await;
    match path {
        Path::Echo => {
            while let Some(Ok(message)) = socket.next().await {
                if message.is_close() || socket.send(message).await.is_err() {
                    return;
                }
            }
        }
        Path::Publish(room) => {
            while let Some(Ok(message)) = socket.next().await {
                let _ = room.send(message.into_data());
            }
        }
        Path::Subscribe(mut room) => {
            while let Ok(text) = room.recv().await {
                let text = tungstenite::Utf8Bytes::try_from(text).expect("it was text");
                socket.feed(tungstenite::Message::Text(text)).await.expect("it reads");
                if room.is_empty() {
                    socket.flush().await.expect("it reads");
                }
            }
        }
    }
}

async fn tokio_websockets(stream: TcpStream, path: Path) {
    use tokio_websockets::{Config, Limits, Message, ServerBuilder};
    let config = Config::default().flush_threshold(BUFFER_BYTES).frame_size(usize::MAX);
    let limits = Limits::unlimited();
    let mut socket = ServerBuilder::new().config(config).limits(limits).serve(stream);
    match path {
        Path::Echo => {
            while let Some(Ok(message)) = socket.next().await {
                if message.is_close() || socket.send(message).await.is_err() {
                    return;
                }
            }
        }
        Path::Publish(room) => {
            while let Some(Ok(message)) = socket.next().await {
                let _ = room.send(message.into_payload().into());
            }
        }
        Path::Subscribe(mut room) => {
            while let Ok(text) = room.recv().await {
                socket.feed(Message::text(String::from_utf8_lossy(&text).into_owned())).await.expect("it reads");
                if room.is_empty() {
                    socket.flush().await.expect("it reads");
                }
            }
        }
    }
}

async fn fastwebsockets(stream: TcpStream, path: Path) {
    use fastwebsockets::{Frame, OpCode, Payload, Role, WebSocket};
    let mut socket = WebSocket::after_handshake(stream, Role::Server);
    socket.set_auto_close(true);
    match path {
        Path::Echo => {
            while let Ok(frame) = socket.read_frame().await {
                // A new frame: the one that was read would go back with the client's mask.
                let answer = Frame::new(true, frame.opcode, None, frame.payload);
                if answer.opcode == OpCode::Close || socket.write_frame(answer).await.is_err() {
                    return;
                }
            }
        }
        Path::Publish(room) => {
            while let Ok(frame) = socket.read_frame().await {
                let _ = room.send(Bytes::copy_from_slice(&frame.payload));
            }
        }
        Path::Subscribe(mut room) => {
            while let Ok(text) = room.recv().await {
                socket.write_frame(Frame::text(Payload::Borrowed(&text))).await.expect("it reads");
            }
        }
    }
}

/// With the buffers and the batches of its own benchmark: what is ready is answered together, 32 messages at most.
async fn yawc(stream: TcpStream, path: Path) {
    use yawc::{Frame, OpCode, Options, Role, WebSocket};
    let options = Options::default()
        .with_utf8()
        .without_compression()
        .with_read_buffer_capacity(128 * 1024)
        .with_backpressure_boundary(64 * 1024);
    let mut socket = WebSocket::from_stream(stream, Role::Server, options).expect("no extensions");
    match path {
        Path::Echo => {
            while let Ok(mut frame) = socket.next_frame().await {
                for number in 1.. {
                    if frame.opcode() == OpCode::Close || socket.feed(frame).await.is_err() {
                        return;
                    }
                    if number == 32 {
                        break;
                    }
                    frame = match socket.next_frame().now_or_never() {
                        Some(Ok(frame)) => frame,
                        Some(Err(_)) => return,
                        None => break,
                    };
                }
                if socket.flush().await.is_err() {
                    return;
                }
            }
        }
        Path::Publish(room) => {
            while let Ok(frame) = socket.next_frame().await {
                let _ = room.send(frame.into_payload());
            }
        }
        Path::Subscribe(mut room) => {
            while let Ok(text) = room.recv().await {
                socket.feed(Frame::text(text)).await.expect("it reads");
                if room.is_empty() {
                    socket.flush().await.expect("it reads");
                }
            }
        }
    }
}

/// Without the pings and deadlines that no other engine has here.
async fn sockudo_ws(stream: TcpStream, path: Path) {
    use sockudo_ws::{Config, Message, WebSocketStream};
    let config = Config::builder().auto_ping(false).idle_timeout(0).build();
    let mut socket = WebSocketStream::server(stream, config);
    match path {
        // As in its documentation: asking for the next message writes what was fed, once no more of the input is at hand.
        Path::Echo => {
            while let Some(Ok(message)) = socket.next().await {
                if message.is_close() || socket.feed(message).await.is_err() {
                    return;
                }
            }
        }
        Path::Publish(room) => {
            while let Some(Ok(message)) = socket.next().await {
                let _ = room.send(message.into_bytes());
            }
        }
        Path::Subscribe(mut room) => {
            while let Ok(text) = room.recv().await {
                socket.feed(Message::Text(text)).await.expect("it reads");
                if room.is_empty() {
                    socket.flush().await.expect("it reads");
                }
            }
        }
    }
}

//! The socket over pipes in memory, mostly in tokio's paused time.

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tidings_websocket::{
    CloseCode, CloseFrame, Event, Kind, Limits, Message, Outgoing, Prepared, ReceiveError, Role, SendError,
    TrySendError, WebSocket, limits::WRITE_PROGRESS_BYTES, pair,
};
use tokio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex},
    time::{Instant, timeout},
};

/// A server whose peer is the test itself, byte by byte.
fn server(pipe_bytes: usize, limits: Limits) -> (WebSocket<DuplexStream>, DuplexStream) {
    let (ours, peer) = duplex(pipe_bytes);
    (WebSocket::new(ours, Role::Server, limits), peer)
}

#[tokio::test(start_paused = true)]
async fn losing_a_race_loses_no_message() {
    let (mut server, mut peer) = server(1000, Limits::server());
    let frame = b"\x81\x85\0\0\0\0hello";
    for byte in frame {
        tokio::select! {
            biased;
            message = server.receive() => panic!("{message:?} before the frame is whole"),
            () = tokio::time::sleep(Duration::from_millis(1)) => {}
        }
        peer.write_all(&[*byte]).await.unwrap();
    }
    assert_eq!(server.receive().await.unwrap().unwrap(), Message::text("hello"));
}

#[tokio::test(start_paused = true)]
async fn a_flush_that_is_cancelled_goes_on_where_it_stopped() {
    let (mut server, mut peer) = server(10, Limits::server());
    server.feed("0123456789").unwrap();
    server.feed("abcdefghij").unwrap();
    assert!(timeout(Duration::from_millis(1), server.flush()).await.is_err());
    let mut first = [0; 10];
    peer.read_exact(&mut first).await.unwrap();
    let mut rest = [0; 14];
    let (flushed, read) = tokio::join!(server.flush(), peer.read_exact(&mut rest));
    flushed.unwrap();
    read.unwrap();
    assert_eq!([&first[..], &rest].concat(), b"\x81\x0a0123456789\x81\x0aabcdefghij");
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_prepared_frames_leaves_in_one_write() {
    let (mut server, mut peer) = server(1000, Limits::server());
    let prepared = Prepared::text("x");
    for _ in 0..20 {
        server.feed(&prepared).unwrap();
    }
    server.flush().await.unwrap();
    let mut bytes = [0; 1000];
    assert_eq!(peer.read(&mut bytes).await.unwrap(), 20 * 3);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_is_given_up_after_the_write_timeout_s14() {
    let (mut server, _peer) = server(10, Limits::server().write_timeout(Duration::from_secs(7)));
    let start = Instant::now();
    assert!(matches!(server.send("0123456789").await, Err(SendError::TimedOut)));
    assert_eq!(start.elapsed().as_secs(), 7);
    assert!(matches!(server.send("more").await, Err(SendError::Closed)));
    assert!(server.receive().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_slowly_is_not_given_up_but_one_that_barely_reads_is_s14() {
    for (bytes_at_once, survives) in [(WRITE_PROGRESS_BYTES, true), (1, false)] {
        let (mut server, mut peer) = server(10, Limits::server().write_timeout(Duration::from_secs(7)));
        let reading = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_secs(6)).await;
                peer.read_exact(&mut vec![0; bytes_at_once]).await.unwrap();
            }
        });
        let sent = server.send(vec![0; 10 * WRITE_PROGRESS_BYTES]).await;
        assert_eq!(sent.is_ok(), survives, "{bytes_at_once} bytes at once: {sent:?}");
        reading.abort();
    }
}

#[tokio::test]
async fn the_queue_is_bounded_in_bytes_s14() {
    let (mut server, _peer) = server(10, Limits::server().queue_bytes_max(100));
    server.feed(vec![0; 1000]).unwrap();
    assert!(matches!(server.feed("x"), Err(SendError::QueueFull)));
    server.feed(CloseCode::NORMAL).unwrap();
}

#[tokio::test(start_paused = true)]
async fn pings_are_answered_in_order_and_a_flood_of_them_stops_our_reading_s15() {
    let (mut server, mut peer) = server(4000, Limits::server());
    let reading = tokio::spawn(async move { server.receive().await });
    let flood = async {
        for _ in 0..100_000 {
            peer.write_all(b"\x89\x81\0\0\0\0x").await.unwrap();
        }
    };
    assert!(
        timeout(Duration::from_secs(5), flood).await.is_err(),
        "nobody reads the answers, so nobody reads the pings"
    );
    assert!(!reading.is_finished());
    let mut answers = [0; 3000];
    peer.read_exact(&mut answers).await.unwrap();
    assert!(answers.chunks(3).all(|answer| answer == b"\x8a\x01x"));
}

#[tokio::test(start_paused = true)]
async fn answers_leave_while_more_input_is_at_hand() {
    let (mut server, mut peer) = server(100_000, Limits::server());
    peer.write_all(&b"\x82\x80\0\0\0\0".repeat(10_000)).await.unwrap();
    for _ in 0..10_000 {
        let message = server.receive().await.unwrap().unwrap();
        server.feed(message).unwrap();
        assert!(server.queued_bytes() <= 300, "{} bytes of answers wait", server.queued_bytes());
    }
    let pings = b"\x89\x80\0\0\0\0".repeat(10_000);
    let mut stuck = WebSocket::new(tokio::io::join(&pings[..], Stuck), Role::Server, Limits::server());
    assert!(timeout(Duration::from_secs(1), stuck.receive()).await.is_err());
    assert!(stuck.queued_bytes() < 600, "{} bytes of pongs wait", stuck.queued_bytes());
}

/// Takes no bytes.
struct Stuck;

impl AsyncWrite for Stuck {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<std::io::Result<usize>> {
        Poll::Pending
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Pending
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Pending
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_peer_is_noticed_within_two_intervals_s16() {
    let (mut server, mut peer) = server(1000, Limits::server());
    server.set_heartbeat(Some(Duration::from_secs(10)));
    let start = Instant::now();
    let peer_lives_a_while = async {
        let mut ping = [0; 2];
        for _ in 0..3 {
            peer.read_exact(&mut ping).await.unwrap();
            assert_eq!(&ping, b"\x89\0");
            peer.write_all(b"\x8a\x80\0\0\0\0").await.unwrap();
        }
        Instant::now()
    };
    let (event, last_sign) = tokio::join!(
        async {
            loop {
                match server.receive_event().await {
                    Some(Ok(Event::Pong(_))) => {}
                    other => return other,
                }
            }
        },
        peer_lives_a_while
    );
    assert!(matches!(event, Some(Err(ReceiveError::Silent))), "{event:?}");
    assert_eq!(start.elapsed().as_secs(), 50);
    assert!(last_sign.elapsed() <= Duration::from_secs(20));
}

#[tokio::test(start_paused = true)]
async fn an_answer_may_be_wanted_sooner_than_the_next_ping_s16() {
    let (mut server, mut peer) = server(1000, Limits::server());
    server.set_heartbeat(Some(Duration::from_secs(25)));
    server.set_heartbeat_timeout(Duration::from_secs(8));
    let start = Instant::now();
    let answers_once = async {
        peer.read_exact(&mut [0; 2]).await.unwrap();
        peer.write_all(b"\x8a\x80\0\0\0\0").await.unwrap();
    };
    let (event, ()) = tokio::join!(server.receive(), answers_once);
    assert!(matches!(event, Some(Err(ReceiveError::Silent))), "{event:?}");
    assert_eq!(start.elapsed().as_secs(), 25 + 25 + 8);
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_has_time_for_what_was_written_before_a_ping_s16() {
    let (mut server, mut peer) = server(1000, Limits::server());
    server.set_heartbeat(Some(Duration::from_secs(5)));
    server.set_heartbeat_timeout(Duration::from_secs(5));
    server.feed(Message::binary(vec![0; 200_000])).unwrap();
    // It reads 2,000 bytes a second, and answers what it gets to.
    let reads_slowly = async {
        let mut unread = 200_010;
        while unread > 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let bytes = unread.min(2000);
            peer.read_exact(&mut vec![0; bytes]).await.unwrap();
            unread -= bytes;
        }
        let mut ping = [0; 2];
        peer.read_exact(&mut ping).await.unwrap();
        assert_eq!(&ping, b"\x89\0");
        peer.write_all(b"\x8a\x80\0\0\0\0\x81\x80\0\0\0\0").await.unwrap();
    };
    let start = Instant::now();
    let (event, ()) = tokio::join!(server.receive(), reads_slowly);
    assert_eq!(event.unwrap().unwrap(), Message::text(""));
    assert!(start.elapsed() >= Duration::from_secs(100), "{:?}", start.elapsed());
    // With the answer its credit is spent.
    let start = Instant::now();
    assert!(matches!(server.receive().await, Some(Err(ReceiveError::Silent))));
    assert!(start.elapsed() <= Duration::from_secs(10), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_a_slow_reader_says_takes_no_time_from_what_it_has_yet_to_read_s16() {
    const BYTES: usize = 200_000;
    let (mut server, mut peer) = server(1000, Limits::server());
    server.set_heartbeat(Some(Duration::from_secs(5)));
    server.set_heartbeat_timeout(Duration::from_secs(5));
    // It asks for much when it hears the first ping, then answers that, and reads 1,000 bytes a second.
    let reads_slowly = async {
        peer.read_exact(&mut [0; 2]).await.unwrap();
        peer.write_all(b"\x81\x80\0\0\0\0").await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        peer.write_all(b"\x8a\x80\0\0\0\0").await.unwrap();
        let mut read = 0;
        while read < BYTES {
            tokio::time::sleep(Duration::from_secs(1)).await;
            read += peer.read(&mut [0; 1000]).await.unwrap();
            // And now and then it says something else.
            if read % 20_000 == 0 {
                peer.write_all(b"\x81\x80\0\0\0\0").await.unwrap();
            }
        }
        peer.write_all(b"\x82\x80\0\0\0\0").await.unwrap();
    };
    let serves = async {
        assert_eq!(server.receive().await.unwrap().unwrap(), Message::text(""));
        server.feed(Message::binary(vec![0; BYTES])).unwrap();
        loop {
            let message = server.receive().await.unwrap().unwrap();
            if message == Message::binary(vec![]) {
                return;
            }
            assert_eq!(message, Message::text(""));
        }
    };
    let start = Instant::now();
    tokio::join!(serves, reads_slowly);
    assert!(start.elapsed() >= Duration::from_secs(100), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_was_busy_hears_what_came_meanwhile() {
    let (mut server, mut peer) = server(1000, Limits::server());
    server.set_heartbeat(Some(Duration::from_secs(10)));
    assert!(timeout(Duration::from_secs(11), server.receive()).await.is_err());
    peer.read_exact(&mut [0; 2]).await.unwrap();
    peer.write_all(b"\x8a\x80\0\0\0\0\x81\x80\0\0\0\0\x81\x80\0\0\0\0").await.unwrap();
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(server.receive().await.unwrap().unwrap(), Message::text(""));
    }
    let start = Instant::now();
    assert!(matches!(server.receive().await, Some(Err(ReceiveError::Silent))));
    assert!(start.elapsed() <= Duration::from_secs(20));
}

#[tokio::test(start_paused = true)]
async fn closing_waits_for_the_peer_but_not_for_ever() {
    let (mut server, mut peer) = server(1000, Limits::server().close_timeout(Duration::from_secs(3)));
    let start = Instant::now();
    assert_eq!(server.close(CloseCode::new(3001).unwrap(), "shutdown").await, None);
    assert_eq!(start.elapsed().as_secs(), 3);
    let mut frame = [0; 12];
    peer.read_exact(&mut frame).await.unwrap();
    assert_eq!(&frame, b"\x88\x0a\x0b\xb9shutdown");
    let (mut client, mut server) = pair(Limits::server());
    let (answer, ()) = tokio::join!(client.close(CloseCode::NORMAL, "bye"), async {
        assert!(server.receive().await.is_none());
    });
    assert_eq!(answer, Some(CloseCode::NORMAL.into()));
    assert_eq!(server.close_frame(), Some(&CloseFrame::new(CloseCode::NORMAL, "bye")));
    assert!(matches!(server.send("late").await, Err(SendError::Closed)));
}

#[tokio::test(start_paused = true)]
async fn a_violation_is_told_to_the_peer_before_the_transport_ends() {
    let (mut server, mut peer) = server(1000, Limits::server());
    peer.write_all(b"\x81\x81\0\0\0\0\xff and more that nobody reads").await.unwrap();
    let (received, frame) = tokio::join!(server.receive(), async {
        let mut frame = Vec::new();
        peer.read_to_end(&mut frame).await.unwrap();
        drop(peer);
        frame
    });
    assert!(matches!(received, Some(Err(ReceiveError::Protocol(_)))));
    assert_eq!(frame, b"\x88\x02\x03\xef");
    assert!(server.receive().await.is_none());
}

#[tokio::test]
async fn any_task_can_send_through_a_bounded_queue() {
    let (mut client, mut server) = pair(Limits::server());
    let sender = server.sender(1000);
    let tasks: Vec<_> = (0..10)
        .map(|task| {
            let sender = sender.clone();
            tokio::spawn(async move {
                for number in 0..100 {
                    sender.send(format!("{task} {number}")).await.unwrap();
                }
            })
        })
        .collect();
    let owner = tokio::spawn(async move { while let Some(Ok(_)) = server.receive().await {} });
    let mut next = [0; 10];
    for _ in 0..1000 {
        let message = client.receive().await.unwrap().unwrap();
        let (task, number) = message.as_text().unwrap().split_once(' ').unwrap();
        let next = &mut next[task.parse::<usize>().unwrap()];
        assert_eq!(number.parse(), Ok(*next), "one task's messages stay in order");
        *next += 1;
    }
    for task in tasks {
        task.await.unwrap();
    }
    client.close(CloseCode::NORMAL, "").await;
    owner.await.unwrap();
    assert!(matches!(sender.send("late").await, Err(TrySendError::Closed)));
    assert!(sender.is_closed());
}

#[tokio::test]
async fn a_full_senders_queue_gives_the_message_back() {
    let (_client, mut server) = pair(Limits::server());
    let sender = server.sender(10);
    sender.try_send("0123456789abcdef").unwrap();
    let Err(TrySendError::Full(back)) = sender.try_send("x") else { panic!("there is no room") };
    assert!(matches!(*back, Outgoing::Message(message) if message == Message::text("x")));
    let waiting = tokio::spawn({
        let sender = sender.clone();
        async move { sender.send("y").await }
    });
    drop(server);
    assert!(matches!(waiting.await.unwrap(), Err(TrySendError::Closed)));
}

#[tokio::test]
async fn a_senders_queue_takes_nothing_that_cannot_be_sent_and_bounds_empty_messages() {
    let (mut client, mut server) = pair(Limits::server());
    let sender = server.sender(1000);
    let long = Outgoing::Ping(vec![0; 126].into());
    assert!(matches!(sender.try_send(long), Err(TrySendError::ControlTooLong)));
    let taken = (0..1000).take_while(|_| sender.try_send("").is_ok()).count();
    assert!((1..100).contains(&taken), "{taken} empty messages");
    client.feed(CloseCode::NORMAL).unwrap();
    client.flush().await.unwrap();
    assert!(server.receive().await.is_none());
    assert!(server.sender(1000).is_closed(), "a sender of a socket that has ended");
}

#[tokio::test]
async fn both_directions_saturated_do_not_block_each_other_4_2() {
    let (client, server) = pair(Limits::server());
    let pump = |mut socket: WebSocket<DuplexStream>| {
        let sender = socket.sender(100_000);
        let sending = tokio::spawn(async move {
            for _ in 0..2000 {
                sender.send(vec![1; 10_000]).await.unwrap();
            }
        });
        tokio::spawn(async move {
            for _ in 0..2000 {
                assert_eq!(socket.receive().await.unwrap().unwrap().len(), 10_000);
            }
            while !sending.is_finished() || socket.queued_bytes() > 0 {
                let _ = timeout(Duration::from_millis(1), socket.receive()).await;
            }
            socket
        })
    };
    let (client, server) = (pump(client), pump(server));
    timeout(Duration::from_secs(60), async {
        client.await.unwrap();
        server.await.unwrap();
    })
    .await
    .expect("no deadlock");
}

#[tokio::test]
async fn a_long_message_is_written_and_read_in_parts_1_6() {
    let (mut client, mut server) = pair(Limits::server().message_bytes_max(1000));
    let writing = tokio::spawn(async move {
        let mut writer = client.writer(Kind::Text);
        for _ in 0..1000 {
            writer.write("0123456789ä".repeat(10)).await.unwrap();
        }
        writer.finish().await.unwrap();
        client.send("short").await.unwrap();
        client
    });
    let mut reader = server.receive_parts().await.unwrap().unwrap();
    assert_eq!(reader.kind(), Kind::Text);
    let mut bytes = 0;
    while let Some(part) = reader.part().await {
        bytes += part.unwrap().len();
    }
    assert_eq!(bytes, 120_000);
    drop(reader);
    assert_eq!(server.receive().await.unwrap().unwrap(), Message::text("short"));
    writing.await.unwrap();
}

#[tokio::test]
async fn what_is_left_of_a_dropped_reader_is_skipped() {
    let (mut client, mut server) = pair(Limits::server());
    for text in ["first", "second"] {
        let mut writer = client.writer(Kind::Text);
        writer.write(text).await.unwrap();
        writer.write("...").await.unwrap();
        writer.finish().await.unwrap();
    }
    client.send("third").await.unwrap();
    drop(server.receive_parts().await.unwrap().unwrap());
    let mut reader = server.receive_parts().await.unwrap().unwrap();
    assert_eq!(reader.part().await.unwrap().unwrap(), "second");
    drop(reader);
    assert_eq!(server.receive().await.unwrap().unwrap(), Message::text("third"));
}

#[tokio::test]
async fn a_writer_refuses_text_that_is_not_utf_8_and_others_until_it_ends() {
    let (mut client, _server) = pair(Limits::server());
    let mut writer = client.writer(Kind::Text);
    writer.write(Bytes::from_static(b"\xc3")).await.unwrap();
    assert!(matches!(writer.write("x").await, Err(SendError::InvalidUtf8)));
    writer.write(Bytes::from_static(b"\xa4")).await.unwrap();
    assert!(matches!(client.send("other").await, Err(SendError::Unfinished)));
}

#[tokio::test]
async fn a_long_message_is_copied_from_a_reader_and_to_a_writer_1_6() {
    let (mut client, mut server) = pair(Limits::server().message_bytes_max(1000));
    let text = "0123456789ä".repeat(20_000);
    let sending = async {
        let mut writer = client.writer(Kind::Text);
        tokio::io::copy(&mut text.as_bytes(), &mut writer).await.unwrap();
        writer.shutdown().await.unwrap();
        writer.finish().await.unwrap();
    };
    let receiving = async {
        let mut reader = server.receive_parts().await.unwrap().unwrap();
        let mut copy = String::new();
        (&mut reader).take(1 << 20).read_to_string(&mut copy).await.unwrap();
        copy
    };
    let ((), copy) = tokio::join!(sending, receiving);
    assert!(copy == text);
}

#[tokio::test]
async fn a_message_that_was_never_finished_is_never_seen_and_never_continued() {
    let (mut client, mut server) = pair(Limits::server());
    client.writer(Kind::Text).write("half").await.unwrap();
    assert!(matches!(client.send("other").await, Err(SendError::Unfinished)));
    assert!(matches!(client.writer(Kind::Binary).write("other").await, Err(SendError::Unfinished)));
    assert!(matches!(client.writer(Kind::Binary).finish().await, Err(SendError::Unfinished)));
    let (_, received) = tokio::join!(client.close(CloseCode::NORMAL, ""), server.receive());
    assert!(received.is_none());
}

#[tokio::test]
async fn limits_can_change_once_the_peer_is_known() {
    let (mut client, mut server) = pair(Limits::server().message_bytes_max(10));
    server.set_limits(Limits::server().message_bytes_max(100));
    client.send("x".repeat(100)).await.unwrap();
    assert_eq!(server.receive().await.unwrap().unwrap().len(), 100);
    client.send("x".repeat(101)).await.unwrap();
    let error = tokio::join!(server.receive(), client.receive()).0.unwrap().unwrap_err();
    assert_eq!(error.close_code(), CloseCode::MESSAGE_TOO_BIG);
    assert_eq!(ReceiveError::Silent.close_code(), CloseCode::ABNORMAL);
}

#[tokio::test]
async fn values_travel_as_json() {
    let (mut client, mut server) = pair(Limits::server());
    client.send_json(&("price", 42)).await.unwrap();
    assert_eq!(server.receive_json::<(String, u32)>().await.unwrap().unwrap(), ("price".to_owned(), 42));
    client.send("{").await.unwrap();
    assert!(server.receive_json::<u32>().await.unwrap().is_err());
}

#[tokio::test]
async fn a_socket_is_a_stream_and_a_sink() {
    let (client, server) = pair(Limits::server());
    let (mut write, _read) = client.split();
    let (_write, mut read) = server.split();
    SinkExt::send(&mut write, Message::text("x")).await.unwrap();
    assert_eq!(read.next().await.unwrap().unwrap(), Message::text("x"));
}

#[tokio::test]
async fn long_and_short_messages_arrive_as_they_were_sent() {
    let (mut client, mut server) = pair(Limits::server().message_bytes_max(1 << 20).queue_bytes_max(usize::MAX));
    let messages: Vec<_> = [3, 70_000, 500_000, 10_000, 10_000, 0, 20_000, 9000, 126, 65_536, 65_536]
        .map(|bytes| Message::text("Tide ".repeat(bytes / 5)))
        .into();
    for message in &messages {
        client.feed(message.clone()).unwrap();
        client.feed(Outgoing::Ping(Bytes::from_static(b"?"))).unwrap();
    }
    let sending = tokio::spawn(async move {
        client.flush().await.unwrap();
        client
    });
    for message in messages {
        assert!(server.receive().await.unwrap().unwrap() == message);
    }
    sending.await.unwrap();
}

#[tokio::test]
async fn an_idle_socket_holds_no_buffers() {
    let (mut client, mut server) = pair(Limits::server());
    println!("WebSocket: {} bytes", size_of_val(&client));
    client.send("x".repeat(60_000)).await.unwrap();
    server.receive().await.unwrap().unwrap();
    assert!(!server.has_input());
    assert_eq!(client.queued_bytes(), 0);
}

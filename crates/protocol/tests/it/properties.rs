//! What holds for any input: reading never panics (capability 4.20), and what one side writes the other side reads.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use tidings_protocol::{
    ClientInfo, Command, ConnectRequest, ConnectResult, Disconnect, Encoding, Error, FilterNode, HistoryRequest,
    HistoryResult, Join, Leave, Payload, PresenceResult, PresenceStatsResult, Publication, PublishRequest, Push,
    PushEvent, Refresh, RefreshRequest, Reply, Request, Response, RpcRequest, RpcResult, SendRequest, StreamPosition,
    SubRefreshRequest, SubscribeRequest, SubscribeResult, Unsubscribe, UnsubscribeRequest, UnsubscribeResult, json,
    protobuf,
};

fn json_text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("true".to_owned()),
        Just("{}".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        let space = prop_oneof![Just(""), Just(" "), Just("\n"), Just("\r\n\t")];
        (prop::collection::vec(inner, 0..4), space).prop_map(|(values, space)| {
            let fields = values.iter().enumerate().map(|(n, value)| format!("\"{n}\":{space}{value}{space}"));
            format!("{{{space}{}}}", fields.collect::<Vec<_>>().join(","))
        })
    })
}

fn payload() -> impl Strategy<Value = Payload> {
    json_text().prop_map(|text| Payload::parse(text.as_bytes()).unwrap())
}

fn position() -> impl Strategy<Value = StreamPosition> {
    (any::<u64>(), any::<String>()).prop_map(|(offset, epoch)| StreamPosition { offset, epoch })
}

fn info() -> impl Strategy<Value = ClientInfo> {
    (any::<String>(), any::<String>(), prop::option::of(payload()), prop::option::of(payload()))
        .prop_map(|(user, client, conn_info, chan_info)| ClientInfo { user, client, conn_info, chan_info })
}

fn publication() -> impl Strategy<Value = Publication> {
    let tags = prop::collection::btree_map(any::<String>(), any::<String>(), 0..3);
    let numbers = any::<(u64, i64, u64, bool)>();
    let texts = any::<(String, String)>();
    (prop::option::of(payload()), prop::option::of(info()), tags, numbers, texts).prop_map(
        |(data, info, tags, (offset, time, version, delta), (channel, epoch))| Publication {
            data,
            info,
            offset,
            tags,
            delta,
            time,
            channel,
            epoch,
            version,
        },
    )
}

fn filter() -> impl Strategy<Value = FilterNode> {
    let texts = prop::collection::vec(any::<String>(), 0..3);
    let leaf = (any::<[String; 4]>(), texts).prop_map(|([op, key, cmp, val], vals)| FilterNode {
        op,
        key,
        cmp,
        val,
        vals,
        ..FilterNode::default()
    });
    leaf.prop_recursive(3, 8, 3, |inner| {
        (any::<String>(), prop::collection::vec(inner, 0..3)).prop_map(|(op, nodes)| FilterNode {
            op,
            nodes,
            ..FilterNode::default()
        })
    })
}

fn subscribe() -> impl Strategy<Value = SubscribeRequest> {
    let numbers = any::<(i64, i32, [bool; 4])>();
    let texts = any::<(String, String, String)>();
    (texts, position(), prop::option::of(payload()), numbers, prop::option::of(filter())).prop_map(
        |((channel, token, delta), StreamPosition { offset, epoch }, data, (flag, kind, [a, b, c, d]), tf)| {
            SubscribeRequest {
                channel,
                token,
                recover: a,
                epoch,
                offset,
                data,
                positioned: b,
                recoverable: c,
                join_leave: d,
                delta,
                tf,
                flag,
                kind,
            }
        },
    )
}

fn request() -> impl Strategy<Value = Request> {
    let text = any::<String>;
    prop_oneof![
        (
            any::<(String, String, String, i64)>(),
            prop::option::of(payload()),
            prop::collection::btree_map(text(), subscribe(), 0..2),
            prop::collection::btree_map(text(), text(), 0..3)
        )
            .prop_map(|((token, name, version, flag), data, subs, headers)| Request::Connect(Box::new(
                ConnectRequest { token, data, subs, name, version, headers, flag }
            ))),
        subscribe().prop_map(|request| Request::Subscribe(Box::new(request))),
        text().prop_map(|channel| Request::Unsubscribe(UnsubscribeRequest { channel })),
        (text(), prop::option::of(payload()), any::<i32>())
            .prop_map(|(channel, data, kind)| Request::Publish(PublishRequest { channel, data, kind })),
        (text(), any::<i32>(), prop::option::of(position()), any::<bool>()).prop_map(
            |(channel, limit, since, reverse)| Request::History(HistoryRequest { channel, limit, since, reverse })
        ),
        (prop::option::of(payload()), text()).prop_map(|(data, method)| Request::Rpc(RpcRequest { data, method })),
        prop::option::of(payload()).prop_map(|data| Request::Send(SendRequest { data })),
        text().prop_map(|token| Request::Refresh(RefreshRequest { token })),
        any::<(String, String, i32)>().prop_map(|(channel, token, kind)| Request::SubRefresh(SubRefreshRequest {
            channel,
            token,
            kind
        })),
    ]
}

fn subscribe_result() -> impl Strategy<Value = SubscribeResult> {
    let flags = any::<([bool; 5], bool)>();
    (prop::collection::vec(publication(), 0..3), position(), flags, any::<(u32, i64)>(), prop::option::of(payload()))
        .prop_map(|(publications, StreamPosition { offset, epoch }, ([a, b, c, d, e], delta), (ttl, id), data)| {
            SubscribeResult {
                expires: a,
                ttl,
                recoverable: b,
                epoch,
                publications,
                recovered: c,
                offset,
                positioned: d,
                data,
                was_recovering: e,
                delta,
                id,
            }
        })
}

fn reply() -> impl Strategy<Value = Reply> {
    let presence = prop::collection::btree_map(any::<String>(), info(), 0..3);
    let response = prop_oneof![
        (any::<String>(), prop::collection::btree_map(any::<String>(), subscribe_result(), 0..2), any::<u32>())
            .prop_map(|(client, subs, ping)| Response::Connect(Box::new(ConnectResult {
                client,
                subs,
                ping,
                ..ConnectResult::default()
            }))),
        subscribe_result().prop_map(|result| Response::Subscribe(Box::new(result))),
        Just(Response::Unsubscribe(UnsubscribeResult {})),
        presence.prop_map(|presence: BTreeMap<_, _>| Response::Presence(PresenceResult { presence })),
        any::<(u32, u32)>().prop_map(|(num_clients, num_users)| Response::PresenceStats(PresenceStatsResult {
            num_clients,
            num_users
        })),
        (prop::collection::vec(publication(), 0..3), position()).prop_map(|(publications, position)| {
            Response::History(HistoryResult { publications, epoch: position.epoch, offset: position.offset })
        }),
        prop::option::of(payload()).prop_map(|data| Response::Rpc(RpcResult { data })),
    ];
    let event = prop_oneof![
        publication().prop_map(PushEvent::Pub),
        info().prop_map(|info| PushEvent::Join(Join { info })),
        info().prop_map(|info| PushEvent::Leave(Leave { info })),
        any::<(u32, String)>()
            .prop_map(|(code, reason)| PushEvent::Unsubscribe(Unsubscribe { code, reason: reason.into() })),
        any::<(u16, String)>()
            .prop_map(|(code, reason)| { PushEvent::Disconnect(Disconnect { code, reason: reason.into() }) }),
        any::<(bool, u32)>().prop_map(|(expires, ttl)| PushEvent::Refresh(Refresh { expires, ttl })),
    ];
    let error = any::<(u32, String, bool)>().prop_map(|(code, message, temporary)| Error {
        code,
        message: message.into(),
        temporary,
    });
    prop_oneof![
        Just(Reply::Ping),
        (prop_oneof![any::<String>().prop_map(Ok), (1..=i64::MAX).prop_map(Err)], event).prop_map(|(label, event)| {
            let (id, channel) = label.map_or_else(|id| (id, String::new()), |channel| (0, channel));
            Reply::Push(Push { id, channel, event })
        }),
        (any::<u32>(), response).prop_map(|(id, response)| Reply::ok(id, response)),
        (any::<u32>(), error).prop_map(|(id, error)| Reply::error(id, error)),
    ]
}

fn commands(requests: Vec<(u32, Request)>) -> Vec<Command> {
    requests.into_iter().map(|(id, request)| Command::new(id, request)).collect()
}

fn write_replies(encoding: Encoding, replies: &[Reply]) -> Bytes {
    encoding.join(replies.iter().map(|reply| encoding.encode_reply(reply).unwrap()))
}

/// Fields of numbers that no message has, as somebody's newer version may write them.
fn unknown_fields() -> impl Strategy<Value = Vec<u8>> {
    let varint = |mut number: u64| {
        let mut bytes = Vec::new();
        while number > 0x7f {
            bytes.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        bytes.push(number.to_le_bytes()[0]);
        bytes
    };
    let field = (100..1000_u64, 0..4_usize, any::<u64>(), prop::collection::vec(any::<u8>(), 8)).prop_map(
        move |(number, kind, value, bytes)| match kind {
            0 => [varint(number << 3), varint(value)].concat(),
            1 => [varint(number << 3 | 1), bytes].concat(),
            2 => [varint(number << 3 | 2), vec![8], bytes].concat(),
            _ => [varint(number << 3 | 5), bytes[..4].to_vec()].concat(),
        },
    );
    prop::collection::vec(field, 0..4).prop_map(|fields| fields.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_a_client_writes_the_server_reads(requests in prop::collection::vec((any::<u32>(), request()), 1..5)) {
        let commands = commands(requests);
        let frame = json::encode_commands(&commands).unwrap();
        prop_assert_eq!(frame.split(|byte| *byte == b'\n').count(), commands.len());
        prop_assert_eq!(json::decode_commands(&frame).unwrap(), commands);
    }

    #[test]
    fn what_the_server_writes_a_client_reads(replies in prop::collection::vec(reply(), 1..5)) {
        for encoding in [Encoding::Json, Encoding::JsonPushes] {
            let replies: Vec<_> = replies.iter().filter(|reply| encoding.encode_reply(reply).is_ok()).cloned().collect();
            let frame = write_replies(encoding, &replies);
            prop_assert_eq!(frame.split(|byte| *byte == b'\n').count(), replies.len().max(1));
            prop_assert_eq!(encoding.replies(&frame).unwrap_or_default(), replies);
        }
    }

    /// From JSON to protobuf and back everything is what it was, so protobuf itself brings back what was written.
    #[test]
    fn protobuf_means_the_same_as_json(
        requests in prop::collection::vec((any::<u32>(), request()), 1..5),
        replies in prop::collection::vec(reply(), 1..5),
    ) {
        let commands = commands(requests);
        let frame = protobuf::encode_commands(&commands);
        let read = protobuf::decode_commands(&frame).unwrap();
        prop_assert_eq!(protobuf::encode_commands(&read), frame);
        prop_assert_eq!(json::encode_commands(&read).unwrap(), json::encode_commands(&commands).unwrap());

        let frame = write_replies(Encoding::Protobuf, &replies);
        let read = protobuf::decode_replies(&frame).unwrap();
        prop_assert_eq!(write_replies(Encoding::Protobuf, &read), frame);
        prop_assert_eq!(write_replies(Encoding::Json, &read), write_replies(Encoding::Json, &replies));
    }

    #[test]
    fn messages_are_the_same_however_they_are_split_into_frames_and_a_cut_one_takes_only_itself(
        requests in prop::collection::vec((any::<u32>(), request()), 1..5),
        cut in any::<prop::sample::Index>(),
    ) {
        let commands = commands(requests);
        for encoding in [Encoding::Json, Encoding::Protobuf] {
            let whole = encoding.encode_commands(&commands).unwrap();
            let parts: Vec<_> = commands.iter().map(|one| encoding.encode_commands(std::slice::from_ref(one)).unwrap()).collect();
            prop_assert_eq!(encoding.join(&parts), &whole);
            let all: Vec<_> = encoding.commands(&whole).map(Result::unwrap).collect();
            let one_by_one: Vec<_> = parts.iter().flat_map(|part| encoding.commands(part)).map(Result::unwrap).collect();
            prop_assert_eq!(&one_by_one, &all);
            let before: Vec<_> = encoding.commands(&whole[..cut.index(whole.len())]).map_while(Result::ok).collect();
            prop_assert!(before.len() < all.len() || encoding.is_text());
            prop_assert_eq!(&all[..before.len()], before);
        }
    }

    #[test]
    fn unknown_fields_change_nothing(
        requests in prop::collection::vec((any::<u32>(), request()), 1..3),
        unknown in unknown_fields(),
        before in any::<bool>(),
    ) {
        for command in commands(requests) {
            let written = protobuf::encode_commands(std::slice::from_ref(&command));
            let message = &written[written.iter().take_while(|byte| **byte > 0x7f).count() + 1..];
            let message = if before { [&unknown, message].concat() } else { [message, &unknown].concat() };
            let mut length = Vec::new();
            let mut rest = message.len();
            while rest > 0x7f {
                length.push(rest.to_le_bytes()[0] | 0x80);
                rest >>= 7;
            }
            length.push(rest.to_le_bytes()[0]);
            let read = protobuf::decode_commands(&[length, message].concat()).unwrap();
            prop_assert_eq!(read, protobuf::decode_commands(&written).unwrap());

            let written = json::encode_commands(std::slice::from_ref(&command)).unwrap();
            let more = if before { r#"{"zone":[{"id":7}],"#.to_owned() } else { r#"{"zone":null,"#.to_owned() };
            let read = json::decode_commands(&[more.as_bytes(), &written[1..]].concat()).unwrap();
            prop_assert_eq!(read, vec![command]);
        }
    }

    #[test]
    fn reading_any_bytes_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for encoding in [Encoding::Json, Encoding::JsonPushes, Encoding::Protobuf] {
            prop_assert!(encoding.commands(&bytes).count() <= bytes.len().max(1));
            let _ = encoding.replies(&bytes);
            let _ = encoding.emulation_request(&bytes);
        }
        let _ = Payload::parse(&bytes);
    }

    #[test]
    fn reading_a_damaged_frame_never_panics_and_ends(
        requests in prop::collection::vec((any::<u32>(), request()), 1..3),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let commands = commands(requests);
        for encoding in [Encoding::Json, Encoding::Protobuf] {
            let mut frame = encoding.encode_commands(&commands).unwrap().to_vec();
            for (place, byte) in &damage {
                let place = place.index(frame.len());
                frame[place] = *byte;
            }
            prop_assert!(encoding.commands(&frame).count() <= frame.len());
            let _ = encoding.replies(&frame);
        }
    }
}

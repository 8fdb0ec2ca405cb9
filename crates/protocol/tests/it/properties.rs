//! What holds for any input: reading never panics (capability 4.20), and what one side writes the other side reads.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tidings_protocol::{
    ClientInfo, Command, ConnectRequest, ConnectResult, Disconnect, Error, HistoryRequest, HistoryResult, Join, Leave,
    Payload, PresenceResult, PresenceStatsResult, Publication, PublishRequest, Push, PushEvent, Refresh, Reply,
    Request, Response, RpcRequest, RpcResult, SendRequest, StreamPosition, SubscribeRequest, SubscribeResult,
    Unsubscribe, UnsubscribeRequest, UnsubscribeResult, json,
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
    (prop::option::of(payload()), prop::option::of(info()), any::<u64>(), tags, any::<i64>(), any::<String>()).prop_map(
        |(data, info, offset, tags, time, epoch)| Publication {
            data,
            info,
            offset,
            tags,
            time,
            epoch,
            ..Publication::default()
        },
    )
}

fn subscribe() -> impl Strategy<Value = SubscribeRequest> {
    (any::<String>(), any::<String>(), position(), prop::option::of(payload()), any::<[bool; 4]>(), any::<i64>())
        .prop_map(|(channel, token, StreamPosition { offset, epoch }, data, [a, b, c, d], flag)| SubscribeRequest {
            channel,
            token,
            recover: a,
            positioned: b,
            recoverable: c,
            join_leave: d,
            offset,
            epoch,
            data,
            flag,
            ..SubscribeRequest::default()
        })
}

fn request() -> impl Strategy<Value = Request> {
    let text = any::<String>;
    prop_oneof![
        (text(), prop::option::of(payload()), prop::collection::btree_map(text(), subscribe(), 0..2)).prop_map(
            |(token, data, subs)| Request::Connect(Box::new(ConnectRequest {
                token,
                data,
                subs,
                ..ConnectRequest::default()
            }))
        ),
        subscribe().prop_map(|request| Request::Subscribe(Box::new(request))),
        text().prop_map(|channel| Request::Unsubscribe(UnsubscribeRequest { channel })),
        (text(), prop::option::of(payload()), any::<i32>())
            .prop_map(|(channel, data, kind)| Request::Publish(PublishRequest { channel, data, kind })),
        (text(), any::<i32>(), prop::option::of(position()), any::<bool>()).prop_map(
            |(channel, limit, since, reverse)| Request::History(HistoryRequest { channel, limit, since, reverse })
        ),
        (prop::option::of(payload()), text()).prop_map(|(data, method)| Request::Rpc(RpcRequest { data, method })),
        prop::option::of(payload()).prop_map(|data| Request::Send(SendRequest { data })),
    ]
}

fn subscribe_result() -> impl Strategy<Value = SubscribeResult> {
    (prop::collection::vec(publication(), 0..3), position(), any::<[bool; 5]>(), any::<u32>()).prop_map(
        |(publications, StreamPosition { offset, epoch }, [a, b, c, d, e], ttl)| SubscribeResult {
            publications,
            offset,
            epoch,
            expires: a,
            ttl,
            recoverable: b,
            recovered: c,
            positioned: d,
            was_recovering: e,
            ..SubscribeResult::default()
        },
    )
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
        (any::<String>(), event).prop_map(|(channel, event)| Reply::Push(Push { id: 0, channel, event })),
        (any::<u32>(), response).prop_map(|(id, response)| Reply::ok(id, response)),
        (any::<u32>(), error).prop_map(|(id, error)| Reply::error(id, error)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_a_client_writes_the_server_reads(commands in prop::collection::vec((any::<u32>(), request()), 1..5)) {
        let commands: Vec<_> = commands.into_iter().map(|(id, request)| Command::new(id, request)).collect();
        let frame = json::encode_commands(&commands).unwrap();
        prop_assert_eq!(frame.split(|byte| *byte == b'\n').count(), commands.len());
        prop_assert_eq!(json::decode_commands(&frame).unwrap(), commands);
    }

    #[test]
    fn what_the_server_writes_a_client_reads(replies in prop::collection::vec(reply(), 1..5)) {
        let frame = json::join(replies.iter().map(|reply| json::encode_reply(reply).unwrap()));
        prop_assert_eq!(frame.split(|byte| *byte == b'\n').count(), replies.len());
        prop_assert_eq!(json::decode_replies(&frame).unwrap(), replies);
    }

    #[test]
    fn reading_any_bytes_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = json::decode_commands(&bytes);
        let _ = json::decode_replies(&bytes);
        let _ = Payload::parse(&bytes);
    }

    #[test]
    fn reading_a_damaged_frame_never_panics_and_ends(
        commands in prop::collection::vec((any::<u32>(), request()), 1..3),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let commands: Vec<_> = commands.into_iter().map(|(id, request)| Command::new(id, request)).collect();
        let mut frame = json::encode_commands(&commands).unwrap().to_vec();
        for (place, byte) in damage {
            let place = place.index(frame.len());
            frame[place] = byte;
        }
        prop_assert!(json::commands(&frame).count() <= frame.len());
        let _ = json::decode_replies(&frame);
    }
}

"""The server API with `cent`, the stock Python library for it: every method that both have."""

import asyncio
import time

import pytest
from cent import (
    AsyncClient,
    BatchRequest,
    BroadcastRequest,
    CentApiResponseError,
    CentUnauthorizedError,
    ChannelsRequest,
    Client,
    ConnectionsRequest,
    DisconnectRequest,
    HistoryRemoveRequest,
    HistoryRequest,
    InfoRequest,
    PresenceRequest,
    PresenceStatsRequest,
    PublishRequest,
    RefreshRequest,
    RevokeTokenRequest,
    StreamPosition,
    SubscribeRequest,
    UnsubscribeRequest,
)
from cent.dto import BoolValue, ChannelOptionsOverride, Disconnect
from conftest import API_KEY
from sdk import client, soon, subscribe, take

CONFIG = """
[channels]
publication_format = "any"
"""


@pytest.fixture()
def api(shared):
    with Client(f"{shared.url}/api", api_key=API_KEY) as made:
        made._session._session.trust_env = False
        yield made


def test_it_publishes_and_reads_what_was_published(api, name):
    first = api.publish(PublishRequest(channel=name, data={"n": 1}, tags={"kind": "test"}, idempotency_key="a"))
    again = api.publish(PublishRequest(channel=name, data={"n": 1}, idempotency_key="a"))
    assert first.offset == again.offset == 1 and first.epoch == again.epoch != ""
    api.publish(PublishRequest(channel=name, data=None, b64data="AP8="))
    sent = api.broadcast(BroadcastRequest(channels=[name, f"{name}-other", "room:1"], data="three"))
    assert [one.result.offset if one.result else one.error.code for one in sent.responses] == [3, 1, 102]
    kept = api.history(HistoryRequest(channel=name, limit=10, since=StreamPosition(offset=1, epoch=first.epoch)))
    assert [one.data for one in kept.publications] == [None, "three"]
    assert (kept.offset, kept.epoch) == (3, first.epoch)
    api.history_remove(HistoryRemoveRequest(channel=name))
    assert api.history(HistoryRequest(channel=name, limit=10)).publications == []


def test_it_sees_who_is_here(api, shared, name):
    async def story():
        ana = client(shared.websocket_url, user=name)
        await subscribe(ana, name)
        presence = api.presence(PresenceRequest(channel=name)).presence
        assert [one.user for one in presence.values()] == [name]
        assert api.presence_stats(PresenceStatsRequest(channel=name)).num_clients == 1
        assert api.channels(ChannelsRequest(pattern=f"{name}*")).channels[name].num_clients == 1
        connections = api.connections(ConnectionsRequest(user=name, expression="")).connections
        assert [(one.user, one.transport) for one in connections.values()] == [(name, "websocket")]
        node = api.info(InfoRequest()).nodes[0]
        assert node.num_clients >= 1 and node.version and node.uid
        await ana.disconnect()

    asyncio.run(story())


def test_it_acts_on_connections(api, shared, name):
    async def story():
        ana = client(shared.websocket_url, user=name)
        await ana.connect()
        await soon(ana.ready())
        override = ChannelOptionsOverride(presence=BoolValue(value=True))
        api.subscribe(SubscribeRequest(user=name, channel=f"{name}-own", info={"n": 1}, override=override))
        assert (await soon(ana.events.subscribed.get())).channel == f"{name}-own"
        api.publish(PublishRequest(channel=f"{name}-own", data=1))
        assert await take(ana.events.publications, 1) == [1]
        api.unsubscribe(UnsubscribeRequest(user=name, channel=f"{name}-own"))
        assert (await soon(ana.events.unsubscribed.get())).channel == f"{name}-own"
        api.refresh(RefreshRequest(user=name, expire_at=int(time.time()) + 3600))
        api.disconnect(DisconnectRequest(user=name, disconnect=Disconnect(code=4500, reason="enough")))
        assert (await soon(ana.events.disconnected)).code == 4500

    asyncio.run(story())


def test_it_batches(api, name):
    requests = [PublishRequest(channel=name, data=1), PresenceStatsRequest(channel=name), HistoryRequest(channel=name, limit=1)]
    published, stats, history = api.batch(BatchRequest(requests=requests)).replies
    assert (published.offset, stats.num_clients, history.publications[0].data) == (1, 0, 1)
    api.batch(BatchRequest(requests=requests, parallel=True))


def test_it_is_told_what_is_wrong(api, shared, name):
    with pytest.raises(CentApiResponseError) as refused:
        api.publish(PublishRequest(channel="room:1", data=1))
    assert refused.value.code == 102
    with Client(f"{shared.url}/api", api_key="wrong") as stranger:
        stranger._session._session.trust_env = False
        with pytest.raises(CentUnauthorizedError):
            stranger.info(InfoRequest())
    api.revoke_token(RevokeTokenRequest(uid=name, expire_at=int(time.time()) + 60))


def test_the_client_for_asyncio_works_as_well(shared, name):
    async def story():
        async with AsyncClient(f"{shared.url}/api", api_key=API_KEY) as api:
            assert (await api.publish(PublishRequest(channel=name, data=1))).offset == 1

    asyncio.run(story())

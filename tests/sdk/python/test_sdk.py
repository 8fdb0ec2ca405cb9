"""The package `centrifuge-python` from PyPI, unmodified, against the real server: every test in JSON and in protobuf."""

import asyncio

import pytest
from centrifuge import ReplyError, StreamPosition
from conftest import Link
from sdk import Events, client, heard, said, soon, subscribe, take
from tokens import token_for


def test_it_connects_subscribes_publishes_and_receives(server):
    async def story():
        ana = client(server.websocket_url)
        news, events = await subscribe(ana, "news")
        await news.publish(said({"hello": "wörld", "list": [1, 2.5, None, True]}))
        publication = await soon(events.publications.get())
        assert heard(publication.data) == {"hello": "wörld", "list": [1, 2.5, None, True]}
        assert (publication.offset, publication.info.user) == (1, "ana")
        server.publish("news", "from a backend")
        assert await take(events.publications, 1) == ["from a backend"]
        await ana.disconnect()

    asyncio.run(story())


def test_it_sees_who_is_here_and_who_comes_and_goes(server):
    async def story():
        ana = client(server.websocket_url)
        lobby, events = await subscribe(ana, "lobby", join_leave=True)
        assert (await soon(events.joins.get())).user == "ana"
        ben = client(server.websocket_url, "ben", token=token_for("ben", info={"name": "Ben"}))
        await subscribe(ben, "lobby")
        joined = await soon(events.joins.get())
        assert (joined.user, heard(joined.conn_info)) == ("ben", {"name": "Ben"})
        assert sorted(info.user for info in (await lobby.presence()).clients.values()) == ["ana", "ben"]
        stats = await lobby.presence_stats()
        assert (stats.num_clients, stats.num_users) == (2, 2)
        await ben.disconnect()
        assert (await soon(events.leaves.get())).user == "ben"
        await ana.disconnect()

    asyncio.run(story())


def test_it_pages_through_the_history(server):
    async def story():
        for number in range(1, 8):
            server.publish("log", number)
        ana = client(server.websocket_url)
        log, _ = await subscribe(ana, "log")
        top = await log.history(limit=0)
        assert (top.offset, top.publications) == (7, [])
        seen, since = [], StreamPosition(0, top.epoch)
        while (page := await log.history(limit=3, since=since)).publications:
            seen += [heard(publication.data) for publication in page.publications]
            since = StreamPosition(page.publications[-1].offset, page.epoch)
        assert seen == [1, 2, 3, 4, 5, 6, 7]
        newest = await log.history(limit=2, reverse=True)
        assert [heard(publication.data) for publication in newest.publications] == [7, 6]
        await ana.disconnect()

    asyncio.run(story())


def test_it_recovers_exactly_what_it_missed_after_a_cut_link(server):
    async def story():
        link = await Link(server.port).open()
        ana = client(link.websocket_url)
        _, events = await subscribe(ana, "feed", recoverable=True)
        await soon(events.subscribed.get())
        server.publish("feed", "before")
        assert await take(events.publications, 1) == ["before"]
        link.cut()
        for value in ("one", "two", "three"):
            server.publish("feed", value)
        link.restore()
        answer = await soon(events.subscribed.get())
        assert (answer.was_recovering, answer.recovered) == (True, True)
        server.publish("feed", "after")
        assert await take(events.publications, 4) == ["one", "two", "three", "after"]
        assert events.publications.empty()
        await ana.disconnect()

    asyncio.run(story())


def test_it_comes_back_by_itself_after_a_restart(server):
    async def story():
        ana = client(server.websocket_url)
        _, events = await subscribe(ana, "feed")
        await soon(events.subscribed.get())
        await asyncio.get_running_loop().run_in_executor(None, server.restart)
        await soon(events.subscribed.get())
        server.publish("feed", "again")
        assert await take(events.publications, 1) == ["again"]
        await ana.disconnect()

    asyncio.run(story())


def test_an_expired_token_is_replaced_by_a_fresh_one(server):
    async def story():
        asked = 0

        async def get_token():
            nonlocal asked
            asked += 1
            return token_for("ana")

        ana = client(server.websocket_url, token=token_for("ana", ttl=-5), get_token=get_token)
        await subscribe(ana, "news")
        assert asked == 1
        await ana.disconnect()

    asyncio.run(story())


@pytest.mark.parametrize("token", ["nonsense", token_for("ana")[:-8] + "AAAAAAAA"])
def test_an_invalid_token_is_the_end_with_3500(server, token):
    async def story():
        ana = client(server.websocket_url, token=token)
        await ana.connect()
        assert (await soon(ana.events.disconnected)).code == 3500

    asyncio.run(story())


@pytest.mark.parametrize("channel", ["room:x", "user:ana"])
def test_the_channels_of_the_chat_are_refused_with_103(server, channel):
    async def story():
        ana = client(server.websocket_url)
        events = Events()
        refused = ana.new_subscription(channel, events=events)
        await ana.connect()
        await refused.subscribe()
        assert (await soon(events.unsubscribed.get())).code == 103
        await ana.disconnect()

    asyncio.run(story())


def test_an_application_has_no_rpc_which_is_error_108(server):
    async def story():
        ana = client(server.websocket_url)
        await ana.connect()
        await soon(ana.ready())
        with pytest.raises(ReplyError) as refused:
            await ana.rpc("no-such-method", said({}))
        assert refused.value.code == 108
        await ana.disconnect()

    asyncio.run(story())


def tokens_of(*first, **claims):
    """Hands out tokens with these lifetimes in seconds, some of them over, and then good ones."""
    ttls = list(first)

    async def get_token(*_):
        get_token.asked += 1
        return token_for("ana", ttls.pop(0) if ttls else 3600, **claims)

    get_token.asked = 0
    return get_token


def test_a_refresh_with_an_expired_token_is_no_end_it_comes_back_with_a_fresh_one(server):
    async def story():
        get_token = tokens_of(1, -60)
        ana = client(server.websocket_url, token="", get_token=get_token)
        _, events = await subscribe(ana, "feed", recoverable=True)
        await soon(events.subscribed.get())
        await soon(events.subscribed.get())
        server.publish("feed", "still here")
        assert await take(events.publications, 1) == ["still here"]
        assert get_token.asked == 3
        assert not ana.events.disconnected.done()
        await ana.disconnect()

    asyncio.run(story())


def test_a_sub_refresh_with_an_expired_token_is_no_end_it_subscribes_again_with_a_fresh_one(server):
    async def story():
        get_token = tokens_of(1, -60, channel="$feed")
        ana = client(server.websocket_url)
        _, events = await subscribe(ana, "$feed", recoverable=True, get_token=get_token)
        await soon(events.subscribed.get())
        await soon(events.subscribed.get())
        server.publish("$feed", "still here")
        assert await take(events.publications, 1) == ["still here"]
        assert get_token.asked == 3
        assert events.unsubscribed.empty()
        await ana.disconnect()

    asyncio.run(story())


def test_a_private_channel_without_a_token_is_refused_with_103(server):
    async def story():
        ana = client(server.websocket_url)
        events = Events()
        refused = ana.new_subscription("$secret", events=events)
        await ana.connect()
        await refused.subscribe()
        assert (await soon(events.unsubscribed.get())).code == 103
        await ana.disconnect()

    asyncio.run(story())

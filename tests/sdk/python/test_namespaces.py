"""Namespaces as an application's developer configures them, through the stock Python SDK."""

import asyncio

import pytest
from centrifuge import ReplyError, StreamPosition
from centrifuge.filter import Filter
from conftest import Link, Server
from sdk import came, client, heard, refused, said, soon, subscribe, take
from tokens import token_for

CONFIG = """
[channels]
history_size = 5

[namespaces.ask]
recovery = "on_request"
positioning = "on_request"
join_leave = "on_request"

[namespaces.watched]
recovery = "off"
positioning = "always"

[namespaces.bare]
history_size = 0
presence = false
join_leave = "off"

[namespaces.cache]
recovery_mode = "cache"

[namespaces.auto]
recovery_mode = "cache"
auto_cache_recovery = true

[namespaces.news]
publish = []

[namespaces.chat]
user_limited = true

[namespaces.me]
personal = true
join_leave = "always"

[namespaces.orders]
pattern = "/users/{user}/orders"

[namespaces.plain]
name_regex = "^[a-z]+$"

[namespaces.letters]
publication_bytes_max = 100

[namespaces.few]
channels_per_connection_max = 2

[namespaces.rare]
publish_per_second = 1
publish_burst = 2

[namespaces.ticker]
tags_filter = true

[namespaces.long]
compaction = true
join_leave = "always"
"""


async def fails_with(code, awaitable):
    with pytest.raises(ReplyError) as refusal:
        await awaitable
    assert refusal.value.code == code


@pytest.mark.parametrize(
    "channel, options, wanted",
    [
        ("lobby", {}, (True, True)),
        ("ask:plain", {}, (False, False)),
        ("ask:recovery", {"recoverable": True}, (True, True)),
        ("ask:position", {"positioned": True}, (False, True)),
        ("watched:it", {"recoverable": True}, (False, True)),
        ("bare:it", {"recoverable": True, "positioned": True}, (False, False)),
    ],
)
def test_recovery_and_positioning_are_given_as_the_namespace_says(shared, channel, options, wanted):
    async def story():
        ana = client(shared.websocket_url)
        _, events = await subscribe(ana, channel, **options)
        answer = await soon(events.subscribed.get())
        assert (answer.recoverable, answer.positioned) == wanted
        await ana.disconnect()

    asyncio.run(story())


def test_a_cut_in_cache_mode_brings_the_latest_alone(shared, name):
    async def story():
        link = await Link(shared.port).open()
        ana = client(link.websocket_url)
        channel = f"cache:{name}"
        _, events = await subscribe(ana, channel)
        await soon(events.subscribed.get())
        shared.publish(channel, "before")
        assert await take(events.publications, 1) == ["before"]
        link.cut()
        for value in (1, 2, 3):
            shared.publish(channel, value)
        link.restore()
        answer = await soon(events.subscribed.get())
        assert (answer.was_recovering, answer.recovered) == (True, True)
        shared.publish(channel, 4)
        assert await take(events.publications, 2) == [3, 4]
        await ana.disconnect()

    asyncio.run(story())


def test_in_cache_mode_whoever_comes_first_is_given_the_latest(shared, name):
    async def story():
        channel = f"auto:{name}"
        for value in (1, 2):
            shared.publish(channel, value)
        ana = client(shared.websocket_url)
        _, events = await subscribe(ana, channel)
        answer = await soon(events.subscribed.get())
        assert (answer.was_recovering, answer.recovered) == (True, True)
        shared.publish(channel, 3)
        assert await take(events.publications, 2) == [2, 3]
        await ana.disconnect()

    asyncio.run(story())


def test_what_is_forgotten_cannot_be_recovered_and_the_state_is_loaded_again(shared, name):
    async def story():
        first = shared.publish(name, "first")
        for value in range(7):
            shared.publish(name, value)
        positions = [StreamPosition(1, first["epoch"]), StreamPosition(6, first["epoch"])]

        async def get_state(_):
            return positions.pop(0)

        ana = client(shared.websocket_url)
        _, events = await subscribe(ana, name, get_state=get_state)
        answer = await soon(events.subscribed.get())
        assert (answer.was_recovering, answer.recovered, positions) == (True, True, [])
        assert await take(events.publications, 2) == [5, 6]
        await ana.disconnect()

    asyncio.run(story())


def test_history_goes_both_ways_and_a_foreign_epoch_is_112(shared, name):
    async def story():
        for value in (1, 2, 3, 4):
            shared.publish(name, value)
        ana = client(shared.websocket_url)
        log, _ = await subscribe(ana, name)
        epoch = (await log.history(limit=0)).epoch
        for query, wanted in (
            ({"limit": 2}, [1, 2]),
            ({"limit": -1}, [1, 2, 3, 4]),
            ({"limit": 2, "reverse": True}, [4, 3]),
            ({"limit": 2, "since": StreamPosition(1, epoch)}, [2, 3]),
            ({"limit": 2, "since": StreamPosition(4, epoch), "reverse": True}, [3, 2]),
        ):
            page = await log.history(**query)
            assert [heard(publication.data) for publication in page.publications] == wanted, query
        await fails_with(112, log.history(limit=1, since=StreamPosition(1, "another")))
        await ana.disconnect()

    asyncio.run(story())


def test_what_is_not_offered_is_108_what_is_not_allowed_103_what_is_unknown_102_and_what_is_no_name_107(shared):
    async def story():
        ana = client(shared.websocket_url)
        bare, _ = await subscribe(ana, "bare:off")
        await fails_with(108, bare.presence())
        await fails_with(108, bare.presence_stats())
        await fails_with(108, bare.history(limit=1))
        await fails_with(103, ana.publish("news:it", said(1)))
        await fails_with(102, ana.publish("unknown:it", said(1)))
        await fails_with(102, ana.history("unknown:it", limit=1))
        assert await refused(ana, "unknown:it") == 102
        assert await refused(ana, "plain:ABC") == 107
        assert await refused(ana, "orders:1") == 102
        await ana.disconnect()

    asyncio.run(story())


def test_names_say_who_may_subscribe(shared):
    async def story():
        ana, bea = client(shared.websocket_url), client(shared.websocket_url, "bea")
        await subscribe(ana, "chat:1#ana,cho")
        await subscribe(ana, "/users/ana/orders")
        for channel in ("chat:1#ana,cho", "/users/ana/orders", "me:#ana", "$news:it"):
            assert await refused(bea, channel) == 103, channel
        token = token_for("bea", channel="$news:it")
        await subscribe(bea, "$news:it", token=token)
        await ana.disconnect()
        await bea.disconnect()

    asyncio.run(story())


def test_a_personal_channel_is_given_tells_of_its_own_joins_and_is_recovered(shared, name):
    async def story():
        link = await Link(shared.port).open()
        user, channel = name, f"me:#{name}"
        made = client(link.websocket_url, user)
        await made.connect()
        assert (await soon(made.events.subscribed.get())).channel == channel
        joined = await soon(made.events.joins.get())
        assert (joined.channel, joined.info.user) == (channel, user)
        shared.publish(channel, 1)
        assert await take(made.events.publications, 1) == [1]
        link.cut()
        for value in (2, 3):
            shared.publish(channel, value)
        link.restore()
        again = await soon(made.events.subscribed.get())
        assert (again.was_recovering, again.recovered) == (True, True)
        assert await take(made.events.publications, 2) == [2, 3]
        await made.disconnect()

    asyncio.run(story())


def test_joins_and_leaves_are_told_where_asked_for(shared, name):
    async def story():
        ana, bea = client(shared.websocket_url), client(shared.websocket_url, "bea")
        _, events = await subscribe(ana, f"ask:{name}", join_leave=True)
        there, _ = await subscribe(bea, f"ask:{name}")
        await came(events.joins, "bea")
        await there.unsubscribe()
        await came(events.leaves, "bea")
        await ana.disconnect()
        await bea.disconnect()

    asyncio.run(story())


def test_limits_of_a_namespace(shared, name):
    async def story():
        ana = client(shared.websocket_url)
        letters, events = await subscribe(ana, f"letters:{name}")
        await fails_with(107, letters.publish(said("x" * 99)))
        await letters.publish(said("x" * 98))
        assert await take(events.publications, 1) == ["x" * 98]
        await subscribe(ana, f"few:{name}-1")
        await subscribe(ana, f"few:{name}-2")
        assert await refused(ana, f"few:{name}-3") == 106
        rare, _ = await subscribe(ana, f"rare:{name}")
        outcomes = await asyncio.gather(*(rare.publish(said(n)) for n in range(4)), return_exceptions=True)
        assert sorted(getattr(outcome, "code", 0) for outcome in outcomes) == [0, 0, 111, 111]
        await ana.disconnect()

    asyncio.run(story())


TAGS = {
    "bitcoin": {"ticker": "BTC", "price": "50000", "city": "Zürich"},
    "ether": {"ticker": "ETH", "price": "3000.5", "city": "北京"},
    "none": {},
}


@pytest.mark.parametrize(
    "wanted, tags_filter",
    [
        (["bitcoin"], Filter.eq("ticker", "BTC")),
        (["ether", "none"], Filter.neq("ticker", "BTC")),
        (["bitcoin", "ether"], Filter.is_in("ticker", ["BTC", "ETH"])),
        (["none"], Filter.not_in("ticker", ["BTC", "ETH"])),
        (["bitcoin", "ether"], Filter.exists("city")),
        (["none"], Filter.not_exists("city")),
        (["bitcoin"], Filter.starts_with("city", "Zü")),
        (["ether"], Filter.ends_with("city", "京")),
        (["bitcoin", "ether"], Filter.contains("ticker", "T")),
        (["bitcoin"], Filter.gt("price", "3000.5")),
        (["bitcoin", "ether"], Filter.gte("price", "3000.5")),
        (["ether"], Filter.lt("price", "50000")),
        (["bitcoin", "ether"], Filter.lte("price", "50000")),
        (["ether"], Filter.all(Filter.exists("city"), Filter.lt("price", "50000"))),
        (["bitcoin", "none"], Filter.any(Filter.eq("ticker", "BTC"), Filter.not_exists("city"))),
        (["none"], Filter.negate(Filter.exists("city"))),
    ],
)
def test_a_filter_by_tags_chooses_what_it_says(shared, name, wanted, tags_filter):
    async def story():
        channel = f"ticker:{name}"
        ana = client(shared.websocket_url)
        _, events = await subscribe(ana, channel, tags_filter=tags_filter)
        for word, tags in TAGS.items():
            shared.publish(channel, word, tags=tags)
        assert await take(events.publications, len(wanted)) == wanted
        assert (await ana.history(channel, limit=0)).offset == len(TAGS)
        assert events.publications.empty()
        await ana.disconnect()

    asyncio.run(story())


def test_a_filter_where_there_are_none_is_107(shared):
    async def story():
        ana = client(shared.websocket_url)
        assert await refused(ana, "lobby", tags_filter=Filter.exists("x")) == 107
        await ana.disconnect()

    asyncio.run(story())


def test_channels_that_go_by_a_number_reach_their_subscriptions(shared, name):
    async def story():
        link = await Link(shared.port).open()
        ana, bea = client(link.websocket_url), client(shared.websocket_url, "bea")
        channels = [f"long:{name}-{n}" for n in range(3)]
        subscriptions = [await subscribe(ana, channel) for channel in channels]
        for _, events in subscriptions:
            await soon(events.subscribed.get())
        for channel in channels:
            shared.publish(channel, channel)
        for channel, (_, events) in zip(channels, subscriptions):
            assert await take(events.publications, 1) == [channel]
        there, _ = await subscribe(bea, channels[0])
        await came(subscriptions[0][1].joins, "bea")
        await there.unsubscribe()
        await came(subscriptions[0][1].leaves, "bea")
        link.cut()
        link.restore()
        for _, events in subscriptions:
            assert (await soon(events.subscribed.get())).recovered
        for channel in reversed(channels):
            shared.publish(channel, f"again {channel}")
        for channel, (_, events) in zip(channels, subscriptions):
            assert await take(events.publications, 1) == [f"again {channel}"]
        await ana.disconnect()
        await bea.disconnect()

    asyncio.run(story())


def test_the_file_is_read_again_under_live_subscriptions(tmp_path):
    server = Server(str(tmp_path), "[namespaces.news]\n")

    async def story():
        ana = client(server.websocket_url)
        news, events = await subscribe(ana, "news:it")
        server.reload("[namespaces.news]\npublish = []\n[namespaces.new]\n")
        while await is_unknown(ana):
            await asyncio.sleep(0.02)
        await fails_with(103, news.publish(said(1)))
        server.publish("news:it", "still here")
        assert await take(events.publications, 1) == ["still here"]
        assert ana.events.connecting.qsize() == 1
        await ana.disconnect()

    async def is_unknown(made):
        try:
            await made.presence_stats("new:it")
        except ReplyError:
            return True

    try:
        asyncio.run(story())
    finally:
        server.kill()

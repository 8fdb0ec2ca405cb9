"""From connect to the end with the stock Python SDK: what it sends along, how it comes back, what ends it."""

import asyncio

import pytest
from centrifuge import UnauthorizedError
from conftest import Link
from sdk import client, heard, refused, said, soon, subscribe, take
from tokens import token_for

CONFIG = """
ping_interval = 1
pong_timeout = 1
"""


def test_name_version_headers_and_data_are_taken(shared, name):
    async def story():
        ana = client(shared.websocket_url, name="a script", version="1.2.3", data=said({"first": True}), headers={"x-tenant": "one"})
        _, events = await subscribe(ana, name, data=said({"from": "options"}))
        shared.publish(name, 1)
        assert await take(events.publications, 1) == [1]
        await ana.disconnect()

    asyncio.run(story())


def test_it_answers_pings_and_stays(shared, name):
    async def story():
        ana = client(shared.websocket_url)
        _, events = await subscribe(ana, name)
        await asyncio.sleep(3.5)
        shared.publish(name, "still")
        assert await take(events.publications, 1) == ["still"]
        assert ana.events.connecting.qsize() == 1
        await ana.disconnect()

    asyncio.run(story())


def test_a_connection_whose_token_runs_out_is_refreshed_in_place(shared, name):
    async def story():
        asked = asyncio.Queue()

        async def get_token():
            await asked.put(1)
            return token_for("ana", 2 if asked.qsize() == 1 else 3600)

        ana = client(shared.websocket_url, token="", get_token=get_token)
        _, events = await subscribe(ana, name)
        while asked.qsize() < 2:
            await asyncio.sleep(0.05)
        shared.publish(name, "still here")
        assert await take(events.publications, 1) == ["still here"]
        assert ana.events.connecting.qsize() == 1
        await ana.disconnect()

    asyncio.run(story())


def test_channels_of_the_token_are_recovered_after_a_cut_and_say_what_the_token_says(shared, name):
    async def story():
        link = await Link(shared.port).open()
        subs = {name: {"data": {"hello": "Ana"}, "info": {"seat": 7}, "join_leave": True}}
        ana = client(link.websocket_url, token=token_for("ana", subs=subs))
        await ana.connect()
        first = await soon(ana.events.subscribed.get())
        assert (first.channel, heard(first.data), first.recoverable, first.positioned) == (name, {"hello": "Ana"}, True, True)
        bea = client(shared.websocket_url, "bea")
        await subscribe(bea, name)
        while (joined := await soon(ana.events.joins.get())).info.user != "bea":
            pass
        assert joined.channel == name
        await bea.disconnect()
        assert (await soon(ana.events.leaves.get())).info.user == "bea"
        shared.publish(name, 1)
        assert await take(ana.events.publications, 1) == [1]
        link.cut()
        for value in (2, 3):
            shared.publish(name, value)
        link.restore()
        again = await soon(ana.events.subscribed.get())
        assert (again.was_recovering, again.recovered) == (True, True)
        shared.publish(name, 4)
        assert await take(ana.events.publications, 3) == [2, 3, 4]
        infos = (await ana.presence(name)).clients.values()
        assert [heard(info.chan_info) for info in infos] == [{"seat": 7}]
        await ana.disconnect()

    asyncio.run(story())


def test_what_the_server_subscribes_it_can_subscribe_to_no_more(shared, name):
    async def story():
        ana = client(shared.websocket_url, token=token_for("ana", channels=[name]))
        assert await refused(ana, name) == 105
        await ana.disconnect()

    asyncio.run(story())


@pytest.mark.parametrize(
    "token, code",
    [
        ("nonsense", 3500),
        ("", 3501),
        (token_for(""), 3507),
        (token_for("ana", channels=[f"many-{n}" for n in range(129)]), 3505),
    ],
)
def test_what_ends_it_at_once(shared, token, code):
    async def story():
        ana = client(shared.websocket_url, token=token)
        await ana.connect()
        assert (await soon(ana.events.disconnected)).code == code

    asyncio.run(story())


def test_after_a_message_that_is_too_large_it_comes_back(shared):
    async def story():
        ana = client(shared.websocket_url)
        await ana.connect()
        await soon(ana.ready())
        await soon(ana.events.connecting.get())
        sent = asyncio.ensure_future(ana.publish("large", said("x" * 70_000)))
        # 3 is the SDK's own name for close code 1009.
        assert (await soon(ana.events.connecting.get())).code == 3
        await asyncio.gather(sent, return_exceptions=True)
        await soon(ana.ready())
        await ana.disconnect()

    asyncio.run(story())


def test_subscription_tokens_expired_wrong_and_refused(shared, name):
    async def story():
        channel = f"${name}"
        ttls = [-60, 2]
        asked = asyncio.Queue()

        async def get_token(of):
            await asked.put(of)
            return token_for("ana", ttls.pop(0) if ttls else 3600, channel=of)

        async def nobody(_):
            raise UnauthorizedError()

        ana = client(shared.websocket_url)
        _, events = await subscribe(ana, channel, get_token=get_token)
        while asked.qsize() < 3:
            await asyncio.sleep(0.05)
        shared.publish(channel, 1)
        assert await take(events.publications, 1) == [1]
        assert await refused(ana, "$none", token="nonsense") == 103
        assert await refused(ana, "$nobody", get_token=nobody) == 1
        await ana.disconnect()
        other = client(shared.websocket_url)
        wrong = other.new_subscription("$mine", token=token_for("bea", channel="$mine"))
        await other.connect()
        await wrong.subscribe()
        assert (await soon(other.events.disconnected)).code == 3500

    asyncio.run(story())

"""The stock Python SDK with reconnects fast enough for a test, and events that can be waited for."""

import asyncio
import json

from centrifuge import Client, ClientEventHandler, SubscriptionEventHandler
from tokens import token_for

SOON = 10
# Which form the test that runs now is about; see the fixture `protocol`.
USE_PROTOBUF = False


def said(value):
    """What an application gives the SDK for a value: in protobuf data is bytes, and these are its JSON."""
    return json.dumps(value).encode() if USE_PROTOBUF else value


def heard(data):
    """The value in what the SDK gives an application."""
    return json.loads(data) if isinstance(data, bytes) else data


class ClientEvents(ClientEventHandler):
    """What happened to a connection, and in the channels that the server subscribed it to."""

    def __init__(self):
        self.disconnected = asyncio.get_running_loop().create_future()
        self.errors = []
        self.connecting = asyncio.Queue()
        self.subscribed = asyncio.Queue()
        self.unsubscribed = asyncio.Queue()
        self.publications = asyncio.Queue()
        self.joins = asyncio.Queue()
        self.leaves = asyncio.Queue()

    async def on_connecting(self, ctx):
        await self.connecting.put(ctx)

    async def on_disconnected(self, ctx):
        if not self.disconnected.done():
            self.disconnected.set_result(ctx)

    async def on_error(self, ctx):
        self.errors.append(ctx)

    async def on_subscribed(self, ctx):
        await self.subscribed.put(ctx)

    async def on_unsubscribed(self, ctx):
        await self.unsubscribed.put(ctx)

    async def on_publication(self, ctx):
        await self.publications.put(ctx.pub)

    async def on_join(self, ctx):
        await self.joins.put(ctx)

    async def on_leave(self, ctx):
        await self.leaves.put(ctx)


class Events(SubscriptionEventHandler):
    """Everything that happened to a subscription, each kind in a queue to wait on."""

    def __init__(self):
        self.publications = asyncio.Queue()
        self.subscribed = asyncio.Queue()
        self.unsubscribed = asyncio.Queue()
        self.joins = asyncio.Queue()
        self.leaves = asyncio.Queue()

    async def on_publication(self, ctx):
        await self.publications.put(ctx.pub)

    async def on_subscribed(self, ctx):
        await self.subscribed.put(ctx)

    async def on_unsubscribed(self, ctx):
        await self.unsubscribed.put(ctx)

    async def on_join(self, ctx):
        await self.joins.put(ctx.info)

    async def on_leave(self, ctx):
        await self.leaves.put(ctx.info)


async def soon(awaitable):
    return await asyncio.wait_for(awaitable, SOON)


async def take(publications, count):
    return [heard((await soon(publications.get())).data) for _ in range(count)]


def client(url, user="ana", **options):
    options.setdefault("token", token_for(user))
    options = {"proxy": None, "min_reconnect_delay": 0.02, "max_reconnect_delay": 0.2, "use_protobuf": USE_PROTOBUF, **options}
    return Client(url, events=ClientEvents(), **options)


async def subscribe(made, channel, **options):
    events = Events()
    subscription = made.new_subscription(channel, events=events, min_resubscribe_delay=0.02, max_resubscribe_delay=0.2, **options)
    await made.connect()
    await subscription.subscribe()
    await soon(subscription.ready())
    return subscription, events


async def refused(made, channel, **options):
    """Subscribes in vain; the code that it was refused with."""
    events = Events()
    subscription = made.new_subscription(channel, events=events, **options)
    await made.connect()
    await subscription.subscribe()
    code = (await soon(events.unsubscribed.get())).code
    made.remove_subscription(subscription)
    return code


async def came(queue, user):
    """Waits until that user is among those who came, or went."""
    while (await soon(queue.get())).user != user:
        pass

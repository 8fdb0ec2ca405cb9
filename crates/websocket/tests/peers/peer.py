"""Python's `websockets` as a peer: client URL plain|compressed, or server ADDRESS plain|compressed."""
import asyncio, sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

role, where, word = sys.argv[1:]
compression = "deflate" if word == "compressed" else None


def check(socket):
    agreed = any(extension.name == "permessage-deflate" for extension in socket.protocol.extensions)
    assert agreed == (word == "compressed"), socket.protocol.extensions


async def echo(socket):
    check(socket)
    async for message in socket:
        await socket.send(message)


async def server():
    host, port = where.split(":")
    async with serve(echo, host, int(port), compression=compression, max_size=None) as listening:
        print(f"ws://{host}:{listening.sockets[0].getsockname()[1]}", flush=True)
        await asyncio.get_running_loop().create_future()


async def client():
    async with connect(where, compression=compression, max_size=None) as socket:
        check(socket)

        async def echoed(message, expected=None):
            await socket.send(message)
            back = await socket.recv()
            assert back == (message if expected is None else expected), f"{len(message)} came back as {len(back)}"

        for size in [0, 1, 125, 126, 65535, 65536, 300000]:
            await echoed("\u00e4" * size)
            await echoed(b"abcdefg" * (size // 7))
        for number in range(200):
            await echoed(f"message {number}")
        await echoed(["in ", "fragments"], "in fragments")
        await (await socket.ping("sign of life"))
        await socket.close(4000, "bye")
        assert (socket.close_code, socket.protocol.close_rcvd.code) == (4000, 4000)


asyncio.run(server() if role == "server" else client())

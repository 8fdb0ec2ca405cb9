"""Starts the real server for the tests of the Python SDK, and a link to it that can be cut."""

import asyncio
import json
import os
import pathlib
import queue
import re
import signal
import subprocess
import tempfile
import threading
import time
import urllib.request

import pytest
import sdk
from tokens import TOKEN_SECRET

ROOT = pathlib.Path(__file__).parents[3]
TIDINGS = os.environ.get("TIDINGS_BIN", str(ROOT / "target/debug/tidings"))
API_KEY = "the-api-key-of-the-tests"
START_SECONDS = 20


class Server:
    """One server process on a data directory and a port of its own, through every restart."""

    def __init__(self, folder: str, config: str = ""):
        self.folder = folder
        self.config = pathlib.Path(folder) / "tidings.toml"
        self.config.write_text(config)
        self.port = 0
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [TIDINGS, "serve", "--listen", f"127.0.0.1:{self.port}", "--data-dir", self.folder, "--config", self.config],
            env={**os.environ, "TIDINGS_TOKEN_SECRET": TOKEN_SECRET, "TIDINGS_API_KEY": API_KEY},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        lines: queue.Queue = queue.Queue()
        # Read to the end in the background, so that the server never waits for us.
        threading.Thread(target=lambda: [lines.put(line) for line in self.process.stdout], daemon=True).start()
        deadline = time.monotonic() + START_SECONDS
        while True:
            line = lines.get(timeout=max(0.01, deadline - time.monotonic()))
            if found := re.match(r"listening on (http://\S+):(\d+)$", line.strip()):
                self.port = int(found[2])
                self.url = f"http://127.0.0.1:{self.port}"
                self.websocket_url = f"ws://127.0.0.1:{self.port}/connection/websocket"
                return

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def reload(self, config: str) -> None:
        """The configuration, read again."""
        self.config.write_text(config)
        self.process.send_signal(signal.SIGHUP)

    def restart(self) -> None:
        self.kill()
        self.start()

    def publish(self, channel: str, data: object, **more) -> dict:
        """POST /api/publish, as a backend does it."""
        body = {"channel": channel, "data": data, **more}
        request = urllib.request.Request(f"{self.url}/api/publish", json.dumps(body).encode(), {"X-API-Key": API_KEY})
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(request) as answer:
            return json.load(answer)["result"]


class Link:
    """A TCP proxy in the test's own event loop."""

    def __init__(self, target: int):
        self.target = target
        self.up = True
        self.writers: set = set()

    async def open(self) -> "Link":
        self.listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = self.listener.sockets[0].getsockname()[1]
        self.websocket_url = f"ws://127.0.0.1:{port}/connection/websocket"
        return self

    async def _accept(self, reader, writer) -> None:
        if not self.up:
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection("127.0.0.1", self.target)
        self.writers |= {writer, back}
        await asyncio.gather(self._carry(reader, back), self._carry(there, writer))

    async def _carry(self, reader, writer) -> None:
        try:
            while piece := await reader.read(65536):
                writer.write(piece)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()
            self.writers.discard(writer)

    def cut(self) -> None:
        self.up = False
        for writer in list(self.writers):
            writer.transport.abort()

    def restore(self) -> None:
        self.up = True


@pytest.fixture(autouse=True, params=["json", "protobuf"])
def protocol(request, monkeypatch):
    """Every test in both forms."""
    monkeypatch.setattr(sdk, "USE_PROTOBUF", request.param == "protobuf")


@pytest.fixture()
def server():
    """One for the test alone."""
    with tempfile.TemporaryDirectory(prefix="tidings-test-") as folder:
        running = Server(folder)
        yield running
        running.kill()


@pytest.fixture(scope="module")
def shared(request):
    """One for all tests of a file, with its CONFIG."""
    with tempfile.TemporaryDirectory(prefix="tidings-test-") as folder:
        running = Server(folder, request.module.CONFIG)
        yield running
        running.kill()


@pytest.fixture()
def name(request, protocol):
    """A word for channels that no other test uses."""
    return re.sub(r"\W+", "-", request.node.name)

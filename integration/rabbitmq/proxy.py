"""A TCP proxy in the test's own process: it cuts connections, delays or swallows what the broker says."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress


class Proxy:
    def __init__(self, host, port):
        self._target = (host, port)
        self._writers = set()
        self._tasks = set()
        self.port = 0
        self.mute = False
        """While True nothing from the broker reaches the client: it never hears of its confirms."""
        self.deaf = False
        """While True nothing from the client reaches the broker."""
        self.slow = 0.0
        """Seconds that each piece of what the broker says takes."""
        self.swallowed = asyncio.Event()

    async def _serve(self, reader, writer):
        try:
            broker_reader, broker_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.close()
            return
        self._writers |= {writer, broker_writer}
        for task in (self._copy(reader, broker_writer), self._copy(broker_reader, writer, from_broker=True)):
            self._tasks.add(asyncio.create_task(task))

    async def _copy(self, reader, writer, *, from_broker=False):
        with suppress(OSError):
            while data := await reader.read(65_536):
                if self.mute if from_broker else self.deaf:
                    self.swallowed.set()
                    continue
                await asyncio.sleep(self.slow if from_broker else 0)
                writer.write(data)
                await writer.drain()
        writer.close()

    def cut(self):
        """Ends every connection, as a network that fails does."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()


@asynccontextmanager
async def proxy_to(broker):
    """A proxy in front of a broker."""
    proxy = Proxy(broker.host, broker.port)
    server = await asyncio.start_server(proxy._serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.cut()
        await asyncio.gather(*proxy._tasks, return_exceptions=True)

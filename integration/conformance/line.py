"""A network path in the test's own process, which falls silent in one direction or both, and heals."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress

_CHUNK = 65_536


class HeldLine:
    """Made by `line_to`."""

    def __init__(self, target, silence, settings):
        self.silence = silence
        self._target = target
        self._settings = settings
        self._to_broker, self._from_broker = asyncio.Event(), asyncio.Event()
        self._writers = set()
        self._tasks = set()
        self.port = 0
        self.release()

    def settings(self):
        return self._settings(self.port)

    def hold(self, *, to_broker, from_broker):
        for held, way in ((to_broker, self._to_broker), (from_broker, self._from_broker)):
            (way.clear if held else way.set)()

    def release(self):
        self.hold(to_broker=False, from_broker=False)

    async def serve(self, reader, writer):
        try:
            broker_reader, broker_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.close()
            return
        self._writers |= {writer, broker_writer}
        for way in ((reader, broker_writer, self._to_broker), (broker_reader, writer, self._from_broker)):
            self._tasks.add(asyncio.create_task(self._carry(*way)))

    async def _carry(self, reader, writer, way):
        with suppress(OSError):
            while data := await reader.read(_CHUNK):
                await way.wait()
                writer.write(data)
                await writer.drain()
        await way.wait()  # nor does anybody hear of an end
        writer.close()

    async def end(self):
        for each in self._tasks:
            each.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()


@asynccontextmanager
async def line_to(target, settings, *, silence, port=0):
    """A path to port `target` of this machine. `settings` makes of the path's own port how a client takes it."""
    line = HeldLine(target, silence, settings)
    server = await asyncio.start_server(line.serve, "127.0.0.1", port)
    line.port = server.sockets[0].getsockname()[1]
    try:
        yield line
    finally:
        server.close()
        await line.end()
        await server.wait_closed()

"""One connection that comes back by itself: whoever needs it asks for it, and waits while there is none."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from typing import TYPE_CHECKING, TypeVar, final

from pika.exceptions import AMQPError

from busbridge.errors import AccessRefused, ClosedError, TransportError, Unavailable
from busbridge_rabbitmq import _errors, _options, _wire

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from busbridge.routing import TransportSettings
    from busbridge_rabbitmq._wire import Wire

T = TypeVar("T")

_log = logging.getLogger("busbridge.rabbitmq")


@final
class Backoff:
    """Growing, jittered pauses, in seconds: half to all of 0.2, 0.4, 0.8 … up to `most`."""

    def __init__(self, first: float = 0.2, most: float = 10.0) -> None:
        self._first = first
        self._most = most
        self._failures = 0

    def next(self) -> float:
        """The next pause."""
        self._failures += 1
        full = min(self._most, self._first * 2.0 ** min(self._failures - 1, 16))
        return random.uniform(0.5, 1.0) * full  # noqa: S311

    def reset(self) -> None:
        """Begins small again."""
        self._failures = 0


async def patiently(attempt: Callable[[], Awaitable[T]], broker: str, patience: float) -> T:
    """What `attempt` returns, tried again after each TransportError. Raises Unavailable after `patience` seconds."""
    backoff = Backoff()
    said = "no answer"
    try:
        async with asyncio.timeout(patience):
            while True:
                try:
                    return await attempt()
                except TransportError as error:
                    said = str(error)
                    _log.warning("%s; trying again", said)
                await asyncio.sleep(backoff.next())
    except TimeoutError:
        raise Unavailable(broker, patience, said) from None


_STEADY_AFTER = 10.0
"""A connection that lived this long was a success; one that did not counts as one more failure."""


@final
class Link:
    """A connection in one role. `wire` gives it, open; a lost one is made again, for ever, until `close`."""

    def __init__(self, settings: TransportSettings, options: _options.Options, role: str) -> None:
        self.broker = _options.broker(settings)
        self.user = _options.user(settings)
        self._options = options
        self._nodes = deque(_options.parameters(settings, options, role))
        self._nodes.rotate(random.randrange(len(self._nodes)))  # noqa: S311 - so that clients share out the nodes
        self._role = role
        self._wire: Wire | None = None
        self._connecting = asyncio.Lock()
        self._backoff = Backoff()
        self._since = 0.0
        self._closing = False
        self.trouble = "not connected yet"
        """What the last failure said."""

    @property
    def blocked(self) -> bool:
        """True while the broker takes no messages (memory or disk alarm)."""
        return self._wire is not None and self._wire.blocked

    @property
    def up(self) -> bool:
        """True while connected."""
        return self._wire is not None and bool(self._wire.is_open)

    async def open(self, patience: float) -> None:
        """Connects for the first time. Raises AccessRefused at once, Unavailable after `patience` seconds."""
        try:
            async with asyncio.timeout(patience):
                await self._connected(give_up_when_denied=True)
        except TimeoutError:
            raise Unavailable(self.broker, patience, self.trouble) from None

    async def wire(self) -> Wire:
        """The open connection, however long it takes. Raises ClosedError after `close`."""
        return await self._connected(give_up_when_denied=False)

    async def _connected(self, *, give_up_when_denied: bool) -> Wire:
        async with self._connecting:
            while True:
                if self._closing:
                    raise ClosedError(f"the connection to {self.broker}")
                if self._wire is not None and self._wire.is_open:
                    return self._wire
                await self._attempt(give_up_when_denied=give_up_when_denied)

    async def _attempt(self, *, give_up_when_denied: bool) -> None:
        loop = asyncio.get_running_loop()
        if self._wire is not None:
            self._nodes.rotate(-1)  # the node that has gone is asked last
            if loop.time() - self._since < _STEADY_AFTER:
                await self._pause(_errors.text(self._wire.closed.result() if self._wire.closed.done() else None))
            else:
                self._backoff.reset()
        self._wire = None
        await self._try_each_node(give_up_when_denied=give_up_when_denied)
        if self._wire is None:
            await self._pause(self.trouble)

    async def _try_each_node(self, *, give_up_when_denied: bool) -> None:
        """Connects to the first node that lets it."""
        for _ in range(len(self._nodes)):
            node = self._nodes[0]
            try:
                self._wire = await _wire.connect(node)
            except AMQPError as error:
                self.trouble = _errors.text(error)
                if give_up_when_denied and _errors.denied(error):
                    raise AccessRefused(self.broker, self.user, self.trouble) from error
                self._nodes.rotate(-1)
            else:
                self._since = asyncio.get_running_loop().time()
                _log.info("connected to %s:%d for %s", node.host, node.port, self._role)
                return

    async def _pause(self, said: str) -> None:
        self.trouble = said
        pause = self._backoff.next()
        _log.warning("waiting for %s: %s; next attempt in %.1f s", self.broker, said, pause)
        await asyncio.sleep(pause)

    async def close(self) -> None:
        """Leaves for good. Twice is fine."""
        self._closing = True
        await self.hang_up()

    async def hang_up(self) -> None:
        """Ends the connection: who asks next gets a new one. Drops it where the broker does not answer in time."""
        wire = self._wire
        if wire is None or wire.is_closed:
            return
        if not wire.is_closing:
            wire.close()
        await asyncio.wait([wire.closed], timeout=self._options.close_timeout)
        if not wire.closed.done():
            _log.warning("%s did not answer the goodbye: dropping the connection", self.broker)
            wire.drop()
            await asyncio.wait([wire.closed], timeout=1)

    def __repr__(self) -> str:
        state = "closed" if self._closing else "blocked" if self.blocked else "open" if self.up else "connecting"
        return f"<Link to {self.broker} for {self._role}, {state}>"

"""The dead letters of a subscription: in its own dead-letter queue, and what expired in the queue it takes from."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, cast, final

from pika.exceptions import AMQPError

from busbridge.errors import AccessRefused, ClosedError, SourceEnded, TransportError
from busbridge.routing import Kind
from busbridge.transport import Buried
from busbridge_rabbitmq import _errors
from busbridge_rabbitmq._batch import Batch, Item
from busbridge_rabbitmq._browser import Browser, Found
from busbridge_rabbitmq._properties import PARTITION_KEY, again, incoming
from busbridge_rabbitmq._routes import Route
from busbridge_rabbitmq._topology import dead_letters_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busbridge.routing import SubscriptionPlan
    from busbridge.transport import Again, Headers, Outcome
    from busbridge_rabbitmq._connection import Link
    from busbridge_rabbitmq._publisher import Publisher

_BATCH = 100
"""Dead letters handed over at a time, at most."""


@final
class RabbitDeadLetters:
    """One queue after the other, each over a channel of its own.

    A dead letter goes back to the queue that the subscription takes from, through the default exchange: nobody else
    gets it. On an ordered queue that is the shard of its key.
    """

    def __init__(self, plan: SubscriptionPlan, link: Link, publisher: Publisher) -> None:
        self._plan = plan
        self._link = link
        self._publisher = publisher
        self._route = _to_subscription(plan)
        self._browsers: list[Browser] = []
        self._closed = False

    async def open(self) -> None:
        """Counts what is there. Raises AccessRefused, TransportError."""
        try:
            for queue in _queues(self._plan):
                browser = await Browser.open(await self._link.wire(), queue)
                if browser is not None:
                    self._browsers.append(browser)
        except AMQPError as error:
            await self.close()
            raise self._told(error) from error

    @property
    def remaining(self) -> int:
        """As `DeadLetters.remaining`."""
        return sum(each.left for each in self._browsers)

    async def receive(self) -> Sequence[Buried]:
        """As `DeadLetters.receive`."""
        self._check_open()
        letters: list[Buried] = []
        try:
            for browser in self._browsers:
                while len(letters) < _BATCH and (found := await browser.next()) is not None:
                    letters.append(_buried(found, browser))
        except AMQPError as error:
            raise self._told(error) from error
        if not letters:
            raise SourceEnded(repr(self))
        return letters

    async def redrive(self, letters: Sequence[Again], seconds: float) -> Sequence[Outcome]:
        """As `DeadLetters.redrive`."""
        self._check_open()
        batch = Batch([self._route.name] * len(letters), asyncio.get_running_loop().create_future())
        items = [self._item(batch, index, each.letter, each.headers) for index, each in enumerate(letters)]
        return await self._publisher.publish(batch, items, seconds)

    def _item(self, batch: Batch, index: int, letter: Buried, headers: Headers) -> Item:
        found, _ = _mark(letter)
        properties = again(found.properties, headers)
        key = letter.key.decode(errors="replace") if isinstance(letter.key, bytes) else letter.key
        return Item(batch, index, self._route, self._route.queue_of(key), properties, found.body)

    async def remove(self, letters: Sequence[Buried]) -> None:
        """As `DeadLetters.remove`."""
        self._check_open()
        tags: defaultdict[Browser, list[int]] = defaultdict(list)
        for found, browser in map(_mark, letters):
            tags[browser].append(found.tag)
        try:
            for browser, held in tags.items():
                await browser.remove(held)
        except AMQPError as error:
            raise self._told(error) from error

    async def close(self) -> None:
        """As `DeadLetters.close`."""
        self._closed = True
        for browser in self._browsers:
            await browser.close()

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError(repr(self))

    def _told(self, error: AMQPError) -> AccessRefused | TransportError:
        reply = _errors.text(error)
        if _errors.code(error) == _errors.ACCESS_REFUSED:
            return AccessRefused(self._link.broker, self._link.user, reply)
        return TransportError(f"{self._link.broker}: the dead letters of {self._plan.group!r} were put back: {reply}")

    def __repr__(self) -> str:
        return f"<RabbitDeadLetters of {self._plan.group!r}, {self.remaining} to come>"


def _queues(plan: SubscriptionPlan) -> list[str]:
    if plan.destination.kind is Kind.QUEUE:
        return [plan.dead_letters, dead_letters_of(plan.destination)]
    return [plan.dead_letters]


def _to_subscription(plan: SubscriptionPlan) -> Route:
    if plan.destination.kind is Kind.TOPIC:
        return Route.to_queue(plan.group)
    return Route(plan.destination, has_subscriptions=True)


def _buried(found: Found, browser: Browser) -> Buried:
    headers = incoming(found.properties)
    key = next((value for name, value in headers if name == PARTITION_KEY), None)
    return Buried(found.body, headers, key if isinstance(key, str | bytes) else None, (found, browser))


def _mark(letter: Buried) -> tuple[Found, Browser]:
    return cast("tuple[Found, Browser]", letter.mark)

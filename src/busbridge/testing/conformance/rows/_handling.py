"""Rows about handlers: what a service makes of deliveries, over the transport."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Final

from busbridge.testing.conformance._flow import Flow, Told
from busbridge.testing.conformance._message import headers_of, text_of
from busbridge.testing.conformance._rig import Place
from busbridge.testing.conformance._row import Row, RowFailed

if TYPE_CHECKING:
    from busbridge.testing.conformance._bench import Bench
    from busbridge.testing.conformance._rig import DeadMessage

_COUNT: Final = 60
_FAILING: Final = frozenset({"t3", "t30"})
_ATTEMPTS: Final = 3
_LIMITS: Final = (1, 5, 25)
"""Attempts of what always fails. By itself a quorum queue drops what came more than 20 times (RabbitMQ 4.0)."""
_EVERYWHERE: Final = tuple(Place)


async def failing_handler_is_tried_again(bench: Bench) -> None:
    """C09."""

    async def handle(message: Told, attempt: int) -> None:
        await asyncio.sleep(0)
        if message.id in _FAILING and attempt < _ATTEMPTS:
            raise ValueError(message.id)

    flow = Flow(bench, handle, retry={"attempts": _ATTEMPTS})
    async with flow.bus() as bus:
        await bus.publish_many(flow.messages(_COUNT))
        await flow.until(lambda: len(flow.attempts(done=True)) == _COUNT, "a success for every message")
    for message_id, found in flow.attempts(done=False).items():
        wanted = [1, 2, 3] if message_id in _FAILING else [1]
        if found != wanted:
            raise RowFailed(f"{message_id} was tried in attempts {found}, and not {wanted}")
    await _dead(bench, flow, [])


async def failing_for_ever_is_dead_lettered(bench: Bench) -> None:
    """C11, as far as attempts without delays go: few attempts, and more than any broker counts by itself."""
    for limit in _LIMITS:
        await _fails_for_ever(bench, limit)


async def _fails_for_ever(bench: Bench, limit: int) -> None:
    async def handle(message: Told, attempt: int) -> None:  # noqa: ARG001 - a handler
        await asyncio.sleep(0)
        if message.id in _FAILING:
            raise ValueError(message.id)

    def tried(message_id: str) -> bool:
        return flow.attempts(done=False).get(message_id) == list(range(1, limit + 1))

    flow = Flow(bench, handle, retry={"attempts": limit})
    async with flow.bus() as bus:
        await bus.publish_many(flow.messages(_COUNT))
        others = _COUNT - len(_FAILING)
        await flow.until(lambda: len(flow.attempts(done=True)) == others, "a success for every other message")
        await flow.until(lambda: all(tried(each) for each in _FAILING), f"{limit} attempts, and no more")
    await _dead(bench, flow, [Told(id=each, key=f"k{int(each[1:]) % 16}") for each in sorted(_FAILING)])


async def _dead(bench: Bench, flow: Flow, wanted: list[Told]) -> None:
    dead = await bench.rig.dead_letters(flow.plan)
    bodies = sorted(json.loads(each.body or b"{}").get("id", "") for each in dead)
    if bodies != sorted(each.id for each in wanted):
        raise RowFailed(f"{bodies} are dead letters, and {[each.id for each in wanted]} should be")


async def cancel_leaves_unsettled(bench: Bench) -> None:
    """C14: handlers that outlast the grace are cancelled, in each of three awaits; all of theirs comes again."""
    blocked = asyncio.Event()

    async def handle(message: Told, attempt: int) -> None:  # noqa: ARG001 - a handler
        if not blocked.is_set():
            await _wait_in_some_way(blocked, int(message.id[1:]))

    flow = Flow(bench, handle, grace="300ms")
    async with flow.bus() as bus:
        await bus.publish_many(flow.messages(6))
        await flow.until(lambda: len(flow.attempts(done=False)) >= _SOME, "the first calls")
    if flow.attempts(done=True):
        raise RowFailed("a handler that was cancelled returned")
    blocked.set()
    async with flow.bus():
        await flow.until(lambda: len(flow.attempts(done=True)) == 6, "every message that was cancelled")  # noqa: PLR2004
    await _dead(bench, flow, [])


_SOME: Final = 3


async def _wait_in_some_way(event: asyncio.Event, number: int) -> None:
    match number % 3:
        case 0:
            await event.wait()
        case 1:
            await asyncio.sleep(3600)
        case _:
            await asyncio.gather(event.wait(), asyncio.sleep(3600))


async def poison_is_quarantined(bench: Bench) -> None:
    """C15."""

    async def handle(message: Told, attempt: int) -> None:
        pass

    flow = Flow(bench, handle)
    async with flow.bus() as bus:
        await bus.publish_many(flow.messages(10))
        poison = _poison(bench.prefix or bench.rig.transport.header_prefix)
        for body, headers in poison:
            await bench.rig.write_foreign(flow.plan.destination, body, headers)
        await bus.publish_many(flow.messages(10))
        await flow.until(lambda: len(flow.attempts(done=True)) == 20, "every good message")  # noqa: PLR2004
        dead = await _read_dead(bench, flow, len(poison))
    found = sorted(each.body or b"" for each in dead)
    if found != sorted(body for body, _ in poison):
        raise RowFailed(f"{len(poison)} foreign messages can't be read, and these are the dead letters: {found}")
    if not all(_reason(each) for each in dead):
        raise RowFailed("a dead letter does not say why it is dead")


def _poison(prefix: str) -> list[tuple[bytes, list[tuple[str, str]]]]:
    def event(message_id: str, name: str, version: int) -> list[tuple[str, str]]:
        headers = [pair for pair in headers_of(prefix, message_id, None) if not pair[0].endswith("type")]
        schema = f"busbridge:contracts/{name}/{version}"
        more = [(f"{prefix}type", name), (f"{prefix}dataschema", schema), ("content-type", "application/json")]
        return [*headers, *more]

    return [
        (b"\xff\xfe no message at all", []),
        (b'{"id": "p1", "key": "k"}', event("p1", "conformance.unheard-of", 1)),
        (b'{"id": "p2", "key": "k"}', event("p2", "conformance.told", 99)),
        (b'{"id": 3, "key": ', event("p3", "conformance.told", 1)),
    ]


async def _read_dead(bench: Bench, flow: Flow, count: int) -> list[DeadMessage]:
    """Reads until they are there: only their place tells that they are."""
    dead: list[DeadMessage] = []
    for _ in range(_LOOKS):
        dead = list(await bench.rig.dead_letters(flow.plan))
        if len(dead) >= count:
            break
        await asyncio.sleep(bench.rig.patience / _LOOKS)
    return dead


_LOOKS: Final = 50


def _reason(letter: DeadMessage) -> str:
    return next((text_of(value) for name, value in letter.headers if name == "busbridge-dead-reason"), "")


async def stopping_service_finishes(bench: Bench) -> None:
    """C28, of a service."""

    async def handle(message: Told, attempt: int) -> None:  # noqa: ARG001 - a handler
        await asyncio.sleep(_HANDLING)

    flow = Flow(bench, handle)
    async with flow.bus(consume=False) as publisher:
        async with flow.bus():
            await publisher.publish_many(flow.messages(_COUNT))
            await flow.until(lambda: len(flow.attempts(done=True)) >= _SOME, "the first calls")
        if flow.attempts(done=True) != flow.attempts(done=False):
            raise RowFailed("a handler that had begun did not end within a long grace")
        async with flow.bus():
            await publisher.publish_many(flow.messages(_COUNT))
            await flow.until(lambda: len(flow.attempts(done=True)) == 2 * _COUNT, "every message")
    again = {message_id for message_id, found in flow.attempts(done=False).items() if len(found) > 1}
    if again:
        raise RowFailed(f"{len(again)} messages were handled again after a graceful stop: {sorted(again)[:5]}")


_HANDLING: Final = 0.005


ROWS: Final = (
    Row(
        "C09",
        "failing_handler_is_tried_again",
        "a handler that raises is called again with the next attempt number, others once",
        _EVERYWHERE,
        failing_handler_is_tried_again,
    ),
    Row(
        "C11",
        "failing_for_ever_is_dead_lettered",
        "a handler that always raises is called exactly as often as declared, then the message is a dead letter",
        _EVERYWHERE,
        failing_for_ever_is_dead_lettered,
    ),
    Row(
        "C14",
        "cancel_leaves_unsettled",
        "a cancelled handler settles nothing, its message comes again",
        _EVERYWHERE,
        cancel_leaves_unsettled,
    ),
    Row(
        "C15",
        "poison_is_quarantined",
        "what can't be read becomes a dead letter, untouched, and the rest goes on",
        _EVERYWHERE,
        poison_is_quarantined,
    ),
    Row(
        "C28",
        "stopping_service_finishes",
        "a service that stops finishes what it has begun, and nothing is handled twice or lost",
        _EVERYWHERE,
        stopping_service_finishes,
    ),
)

"""The rows. Each wants an empty database; what stands before it, such as a pooler, is tested with it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn, TypeAlias

from busbridge.errors import StoreContention
from busbridge.store import SLOTS, InboxKey, InboxRow, InboxState, OutboxRow, Store, TimerRow, Trouble
from busbridge.testing.conformance._row import RowFailed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

MakeStore: TypeAlias = Callable[[str], Store]
"""Makes a store, not open, of a service's name: each time of the same database, in which nobody else works."""

_SERVICE: Final = "conformance"
_PLACE: Final = "conformance.orders/take"
_LEASE: Final = 0.5
_LONG: Final = 60.0
_COPIES: Final = 4
_ALL: Final = range(SLOTS)
_NONE: Final = frozenset[int]()


@dataclass(frozen=True, slots=True)
class StoreRow:
    """One thing that a database must keep. `run` raises RowFailed if it doesn't."""

    id: str
    name: str
    guarantee: str
    run: Callable[[MakeStore], Awaitable[None]]


@asynccontextmanager
async def _opened(make: MakeStore, count: int) -> AsyncGenerator[list[Store]]:
    stores = [make(_SERVICE) for _ in range(count)]
    try:
        for store in stores:
            await store.open(upgrade=True)
        yield stores
    finally:
        for store in stores:
            await store.close()


def _handled(message_id: str, **others: str) -> InboxRow:
    key = InboxKey(**{"place": _PLACE, "source": "shop", "message_id": message_id, **others})
    return InboxRow(key, InboxState.HANDLED, 1)


def _message(message_id: str, key: str = "order-1") -> OutboxRow:
    return OutboxRow(0, 3, message_id, "orders", "shop.order", key, '[["ce-id", "1"]]', b'{"order": 1}')


async def _pending(store: Store) -> list[str]:
    return [each.message_id for each in await store.pending(_ALL, 100)]


def _expect(found: object, wanted: object, what: str) -> None:
    if found != wanted:
        raise RowFailed(f"{what}: {wanted!r} was expected, and {found!r} found")


async def all_or_nothing(make: MakeStore) -> None:
    """S01."""
    async with _opened(make, 1) as (store,):
        with suppress(_UndoneError):
            async with store.transaction() as transaction:
                await transaction.put_inbox([_handled("1")])
                await transaction.put_outbox([_message("a")])
                _undo()
        _expect(await _pending(store), [], "messages of a transaction that was rolled back")
        async with store.transaction() as transaction:
            _expect(
                await transaction.inbox([_handled("1").key]), {}, "inbox rows of a transaction that was rolled back"
            )
            await transaction.put_inbox([_handled("2")])
            await transaction.put_outbox([_message("b")])
    async with _opened(make, 1) as (store,):
        _expect(await _pending(store), ["b"], "messages of a transaction that was committed, in another process")
        async with store.transaction() as transaction:
            _expect(set(await transaction.inbox([_handled("2").key])), {_handled("2").key}, "its inbox rows")


class _UndoneError(Exception):
    """Has a transaction rolled back."""


def _undo() -> NoReturn:
    raise _UndoneError


async def undone_message_leaves_nothing(make: MakeStore) -> None:
    """S02: a transaction begins with a savepoint; its second message is undone, the others stay (T1, T13)."""
    async with _opened(make, 1) as (store,):
        async with store.transaction() as transaction:
            for message_id in ("1", "2", "3"):
                await transaction.savepoint()
                await transaction.put_outbox([_message(message_id)])
                await transaction.put_inbox([_handled(message_id)])
                await (transaction.rollback_to() if message_id == "2" else transaction.release())
                if message_id == "2":
                    await transaction.release()
        async with store.transaction() as transaction:
            known = await transaction.inbox(_handled(each).key for each in "123")
        _expect(sorted(each.message_id for each in known), ["1", "3"], "inbox rows of messages that were not undone")
        _expect(await _pending(store), ["1", "3"], "what they publish")


async def every_part_of_the_key_counts(make: MakeStore) -> None:
    """S03 (T2)."""
    others = [_handled("1"), _handled("1", source="mail"), _handled("1", place=f"{_PLACE}-too"), _handled("1", run="r")]
    async with _opened(make, 1) as (store,):
        for row in others:
            async with store.transaction() as transaction:
                _expect(await transaction.inbox([row.key]), {}, f"rows of another message than {row.key}")
                await transaction.put_inbox([row])


async def copies_have_one_effect(make: MakeStore) -> None:
    """S04: each copy is handled by a process of its own, at the same time; who meets another one tries again."""
    async with _opened(make, _COPIES) as stores:
        for number in range(5):
            await asyncio.gather(*(_handle_once(store, str(number)) for store in stores))
        _expect(await _pending(stores[0]), list("01234"), f"the effects of 5 messages in {_COPIES} copies each")


async def _handle_once(store: Store, message_id: str) -> None:
    row = _handled(message_id)
    while True:
        try:
            async with store.transaction() as transaction:
                if not await transaction.inbox([row.key]):
                    await transaction.put_outbox([_message(message_id)])
                    await transaction.put_inbox([row])
        except StoreContention:
            continue
        return


async def outbox_keeps_each_keys_order(make: MakeStore) -> None:
    """S05 (T15)."""
    async with _opened(make, 1) as (store,):
        for number in range(6):
            async with store.transaction() as transaction:
                await transaction.put_outbox([_message(str(number), key=f"k{number % 2}")])
        _expect(await _pending(store), list("012345"), "the order of the outbox")
        first = (await store.pending(_ALL, 1))[0]
        await store.failed([Trouble(first.id, "refused", _LONG)])
        _expect(await _pending(store), list("135"), "what goes on while a message of another key waits")
        await store.sent([each.id for each in await store.pending(_ALL, 2)])
        _expect(await _pending(store), ["5"], "what is left when two were sent")


async def slot_has_one_relay(make: MakeStore) -> None:
    """S06."""
    async with _opened(make, 2) as (store, other):
        mine = await store.lease("one", _LEASE)
        both = mine & await other.lease("two", _LONG)
        _expect(both, _NONE, "slots of two relays")
        await asyncio.sleep(_LEASE)
        _expect(await other.lease("two", _LONG), frozenset(_ALL), "slots of who is alone since a lease ended")
        _expect(await store.lease("one", _LEASE) & frozenset(_ALL), _NONE, "slots for one whose lease had ended")


async def due_timer_is_claimed_once(make: MakeStore) -> None:
    """S07."""
    async with _opened(make, _COPIES) as stores:
        async with stores[0].transaction() as transaction:
            now = await transaction.now()
            await transaction.put_timers([_timer(f"due-{each}", now) for each in range(5)])
            await transaction.put_timers([_timer("later", now + _LONG)])
        claims = await asyncio.gather(
            *(store.claim_timers([_PLACE], str(number), 9, _LONG) for number, store in enumerate(stores))
        )
        claimed = sorted(each.id for claim in claims for each in claim)
        _expect(claimed, [f"due-{each}" for each in range(5)], "timers that are due, each claimed by one")


def _timer(timer_id: str, due: float) -> TimerRow:
    return TimerRow(timer_id, _PLACE, due, 1, "order-1", "[]", b"{}", "0:17")


STORE_ROWS: Final = (
    StoreRow(
        "S01",
        "all_or_nothing",
        "the rows of a transaction are all there, for another process too, or none is",
        all_or_nothing,
    ),
    StoreRow(
        "S02",
        "undone_message_leaves_nothing",
        "a message that is undone takes its own rows with it, and no others",
        undone_message_leaves_nothing,
    ),
    StoreRow(
        "S03",
        "every_part_of_the_key_counts",
        "source, place and replay run tell messages of one id apart",
        every_part_of_the_key_counts,
    ),
    StoreRow(
        "S04",
        "copies_have_one_effect",
        "copies that are handled at the same time have one effect",
        copies_have_one_effect,
    ),
    StoreRow(
        "S05",
        "outbox_keeps_each_keys_order",
        "messages leave the outbox in the order of their key; one that waits holds its own key alone",
        outbox_keeps_each_keys_order,
    ),
    StoreRow("S06", "slot_has_one_relay", "no two relays have one share of the outbox", slot_has_one_relay),
    StoreRow(
        "S07", "due_timer_is_claimed_once", "a timer that is due is claimed by one process", due_timer_is_claimed_once
    ),
)
"""Every row about databases, in the order of the ids."""

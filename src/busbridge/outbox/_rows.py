"""Between messages and the rows that keep them: what is to be published, and what is to be handled again later."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final, Protocol
from zlib import crc32

from busbridge.envelope import new_id
from busbridge.outbox._mirror import Leaving
from busbridge.outbox._text import headers_text, key_text, text_headers, text_key
from busbridge.retry import FIRST_FAILED
from busbridge.routing import Destination, Kind
from busbridge.store import SLOTS, OutboxRow, TimerRow
from busbridge.transport import Entry, Position

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busbridge.routing import SubscriptionPlan
    from busbridge.transport import Delivery, Headers

_NOT_INSERTED: Final = 0


class Outgoing(Protocol):
    """A message that was encoded for each of its destinations."""

    @property
    def id(self) -> str:
        """The message's id: the same in every row, and whenever a row is published (R3)."""
        ...

    @property
    def entries(self) -> Sequence[tuple[object, Entry]]:
        """Through what it goes out, and what goes out, by destination."""
        ...


def to_outbox(prepared: Outgoing) -> list[OutboxRow]:
    """The rows of a message, one for each destination, in order."""
    return [each.row for each in to_leave(prepared)]


def to_leave(prepared: Outgoing) -> list[Leaving]:
    """The same, each with what it publishes."""
    return [Leaving(_outgoing_row(prepared.id, entry), entry) for _, entry in prepared.entries]


def to_entry(row: OutboxRow, destination: Destination) -> Entry:
    """What a row publishes: the same bytes, key and headers whenever it is asked."""
    key = text_key(row.key)
    return Entry(destination, row.body, text_headers(row.headers), key, row.routing_key)  # type: ignore[arg-type]


def to_timer(delivery: Delivery, place: str, due: float, attempt: int, since: str = "") -> TimerRow:
    """The row that brings a delivery back to the handler at `place`, at `due` by the database's clock.

    `attempt`: attempts that have ended. `since`: when the first of them failed, unless the delivery says so already.
    """
    headers = delivery.headers
    if since and all(name != FIRST_FAILED for name, _ in headers):
        headers = [*headers, (FIRST_FAILED, since)]
    position = f"{delivery.position.partition}:{delivery.position.offset}" if delivery.position else ""
    body, key = delivery.body or b"", key_text(delivery.key)
    return TimerRow(new_id(), place, due, attempt, key, headers_text(headers), body, position)


def to_dead_letter(delivery: Delivery, record: Headers, plan: SubscriptionPlan) -> OutboxRow:
    """The row that brings a delivery to its subscription's dead letters, `record` added to its headers.

    For a delivery that no broker holds any more: the row is committed together with the end of what did hold it.
    """
    headers = [pair for pair in delivery.headers if pair[0] != FIRST_FAILED]  # the record tells it
    entry = Entry(plan.destination, delivery.body, [*headers, *record], delivery.key)  # type: ignore[arg-type]
    return _row(new_id(), plan.dead_letters, entry)


def dead_letter_place(plan: SubscriptionPlan) -> Destination:
    """Where a subscription's dead letters go, as a destination that can be published to."""
    kind = Kind.STREAM if plan.destination.kind is Kind.STREAM else Kind.QUEUE
    return Destination(plan.dead_letters, kind, plan.destination.transport, plan.dead_letters)


def position_of(row: TimerRow) -> Position | None:
    """Where in a stream the message of a timer first came from."""
    if not row.position:
        return None
    partition, offset = row.position.split(":")
    return Position(int(partition), int(offset))


def _outgoing_row(message_id: str, entry: Entry) -> OutboxRow:
    return _row(message_id, entry.destination.name, entry)


def _row(message_id: str, destination: str, entry: Entry) -> OutboxRow:
    key, headers = key_text(entry.key), headers_text(entry.headers)
    return outbox_row(message_id, destination, entry.routing_key, key, headers, entry.body or b"")


def outbox_row(
    message_id: str, destination: str, routing_key: str, key: str | None, headers: str, body: bytes
) -> OutboxRow:
    """A row that is to be inserted, of texts as the database keeps them."""
    slot = random.randrange(SLOTS) if key is None else crc32(f"{destination}\n{key}".encode()) % SLOTS  # noqa: S311
    return OutboxRow(_NOT_INSERTED, slot, message_id, destination, routing_key, key, headers, body)

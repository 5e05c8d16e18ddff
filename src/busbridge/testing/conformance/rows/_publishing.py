"""Rows about publishing: what arrives is what was sent, and every outcome is known and typed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from busbridge.errors import MessageRefused
from busbridge.routing import Binding, Unrouted
from busbridge.testing.conformance._message import entry_of, key_of, message_id_of, text_of
from busbridge.testing.conformance._rig import Place
from busbridge.testing.conformance._row import Row, RowFailed
from busbridge.transport import Entry, Status

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from busbridge.testing.conformance._bench import Bench
    from busbridge.testing.conformance._worker import Worker
    from busbridge.transport import Delivery, Outcome, Transport

_EVERYWHERE: Final = tuple(Place)
_BODIES: Final = (b"", b"\0\0\0", b'{"id": "x"}', "Gr\u00fc\u00dfe \u4f60\u597d".encode(), b"\xff\xfe\x00garbage")
_LARGE_BYTES: Final = 900_000


async def round_trip_fidelity(bench: Bench) -> None:
    """C01."""
    subscription = bench.subscription()
    client = await bench.client()
    bodies = [*_BODIES, os.urandom(_LARGE_BYTES)]
    sent = {f"m{number}": _rich(bench, f"m{number}", body) for number, body in enumerate(bodies)}

    def compare(worker: Worker, delivery: Delivery) -> None:
        _same(sent, delivery)
        worker.accept(delivery)

    await subscription.worker(compare)
    await bench.send(client, list(sent.values()))
    await subscription.judge()


def _rich(bench: Bench, message_id: str, body: bytes) -> Entry:
    entry = entry_of(bench.destination, bench.prefix, message_id, "a k\u00e9y", body)
    extra = [
        (f"{bench.prefix}time", "2026-11-22T11:00:00.123456Z"),
        (f"{bench.prefix}dataschema", "busbridge:contracts/conformance.message/3"),
        (f"{bench.prefix}correlationid", "c-1"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("x-empty", ""),
        ("x-words", "gr\u00fcn, \u7eff"),
    ]
    return Entry(entry.destination, body, [*entry.headers, *extra], entry.key, entry.routing_key)


def _same(sent: Mapping[str, Entry], delivery: Delivery) -> None:
    entry = sent[message_id_of(delivery)]
    if delivery.body != entry.body:
        raise RowFailed(f"{message_id_of(delivery)}: its {len(entry.body or b'')} bytes came back as others")
    carried = {name: text_of(value) for name, value in delivery.headers}
    for name, value in entry.headers:
        if carried.get(name) != value:
            raise RowFailed(f"header {name!r} was {value!r} and came back as {carried.get(name)!r}")
    if key_of(delivery) != entry.key:
        raise RowFailed(f"the key was {entry.key!r} and came back as {key_of(delivery)!r}")


async def unacceptable_publish_is_typed(bench: Bench) -> None:
    """C03."""
    subscription = bench.subscription()
    await subscription.worker()
    client = await bench.client()
    large = entry_of(bench.destination, bench.prefix, "large", body=bytes(bench.rig.too_large))
    lost = entry_of(bench.new_destination("nowhere"), bench.prefix, "lost")
    await _refused(bench, client, large, {"too_large"})
    await _refused(bench, client, lost, _NO_PLACE)
    await bench.publish(client, 10)
    await subscription.judge()


_NO_PLACE: Final = frozenset({"no_destination", "unroutable"})


async def unroutable_is_refused(bench: Bench) -> None:
    """C03, on a topic whose messages must be routed."""
    strict = bench.add(bench.new_destination("strict", unrouted=Unrouted.ERROR))
    subscription = bench.subscription(destination=strict, bindings=(Binding("conformance.#"),))
    await subscription.worker()
    client = await bench.client()
    nobody = entry_of(strict, bench.prefix, "nobody", routing_key="nobody.listens")
    entries = bench.entries(20, destination=strict)
    outcomes = await bench.send(client, [*entries[:10], nobody, *entries[10:]])
    _check_refusal(outcomes[10], {"unroutable"}, repr(nobody))
    wrong = [index for index, each in enumerate(outcomes) if each.status is not Status.CONFIRMED]
    if wrong != [10]:
        raise RowFailed(f"entry 10 of 21 is unroutable, and these were not confirmed: {wrong}")
    await subscription.judge()


async def _refused(bench: Bench, client: Transport, entry: Entry, reasons: AbstractSet[str]) -> None:
    (outcome,) = await bench.send(client, [entry])
    _check_refusal(outcome, reasons, repr(entry))


def _check_refusal(outcome: Outcome, reasons: AbstractSet[str], what: str) -> None:
    error = outcome.error
    if outcome.status is not Status.REFUSED or not isinstance(error, MessageRefused) or error.reason not in reasons:
        raise RowFailed(
            f"{what} should be refused as {' or '.join(sorted(reasons))}, and ended as {outcome!r}: {error}"
        )


async def full_queue_refuses(bench: Bench) -> None:
    """C03, on a queue that may hold only so many."""
    full = bench.add(bench.new_destination("bounded", max_length=5))
    subscription = bench.subscription(destination=full)
    client = await bench.client()
    outcomes = [(await bench.send(client, [each]))[0] for each in bench.entries(20, destination=full)]
    if outcomes[0].status is not Status.CONFIRMED:
        raise RowFailed(f"an empty queue of 5 did not take a message: {outcomes[0].error}")
    _check_refusal(outcomes[-1], {"overflow"}, "a message beyond the length of its queue")
    await subscription.worker()
    await subscription.judge()


async def batch_outcomes_itemised(bench: Bench) -> None:
    """C05."""
    subscription = bench.subscription()
    await subscription.worker()
    client = await bench.client()
    large = entry_of(bench.destination, bench.prefix, "large", body=bytes(bench.rig.too_large))
    lost = entry_of(bench.new_destination("nowhere"), bench.prefix, "lost")
    for bad in (large, lost):
        entries = bench.entries(100)
        entries[50] = bad
        outcomes = await bench.send(client, entries)
        wrong = [index for index, each in enumerate(outcomes) if each.status is not Status.CONFIRMED]
        if wrong != [50]:
            raise RowFailed(f"entry 50 of 100 is bad, and these were not confirmed: {wrong}")
        _check_refusal(outcomes[50], _NO_PLACE | {"too_large"}, repr(bad))
    await subscription.judge(extra=None)  # who has to find the culprit by sending again delivers some twice


ROWS: Final = (
    Row(
        "C01",
        "round_trip_fidelity",
        "body, headers, content type, key and trace context arrive unchanged",
        _EVERYWHERE,
        round_trip_fidelity,
    ),
    Row(
        "C03",
        "unacceptable_publish_is_typed",
        "no route, no destination, too large: a typed permanent refusal, and the connection stays usable",
        _EVERYWHERE,
        unacceptable_publish_is_typed,
    ),
    Row(
        "C03",
        "unroutable_is_refused",
        "what no subscription takes is refused before it counts as confirmed",
        (Place.TOPIC,),
        unroutable_is_refused,
        lambda capabilities, faults: capabilities.reports_unroutable,  # noqa: ARG005 - a need
    ),
    Row(
        "C03",
        "full_queue_refuses",
        "what does not fit into a bounded queue is refused, never dropped",
        (Place.QUEUE,),
        full_queue_refuses,
        lambda capabilities, faults: capabilities.max_length,  # noqa: ARG005 - a need
    ),
    Row(
        "C05",
        "batch_outcomes_itemised",
        "each entry of a batch has an outcome of its own, in order; a bad one stops no other",
        _EVERYWHERE,
        batch_outcomes_itemised,
    ),
)

"""Pure functions over a ledger's events: what was lost, invented, let through, delivered too often, or out of order."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from busbridge.testing.conformance._ledger import What

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from busbridge.testing.conformance._ledger import Event


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a ledger says. `lost`, `unexpected` and `ghost` are never allowed; the others are counted."""

    lost: frozenset[str]
    """Confirmed, and never delivered."""
    unexpected: frozenset[str]
    """Delivered, though nobody tried to publish it."""
    ghost: frozenset[str]
    """Delivered, though the publish was refused."""
    recovered: frozenset[str]
    """Delivered, and the outcome of its publish was unknown."""
    extra: Mapping[str, int]
    """Deliveries beyond the first, not counting attempts that a retry asked for, by message."""

    @property
    def duplicates(self) -> int:
        """All deliveries beyond the first."""
        return sum(self.extra.values())

    def __str__(self) -> str:
        return (
            f"lost {len(self.lost)}, unexpected {len(self.unexpected)}, ghost {len(self.ghost)}, "
            f"recovered {len(self.recovered)}, extra {self.duplicates}"
        )


def judge(events: Iterable[Event]) -> Verdict:
    """Judges the events of one subscription. Run it after healing, settling and a drain by a fresh client."""
    ids: dict[What, set[str]] = defaultdict(set)
    first_attempts: Counter[str] = Counter()
    for event in events:
        ids[event.what].add(event.id)
        if event.what is What.DELIVERED and event.attempt == 1:
            first_attempts[event.id] += 1
    delivered = ids[What.DELIVERED]
    return Verdict(
        lost=frozenset(ids[What.CONFIRMED] - delivered),
        unexpected=frozenset(delivered - ids[What.ATTEMPTED]),
        ghost=frozenset(delivered & (ids[What.REFUSED] - ids[What.CONFIRMED])),
        recovered=frozenset(delivered & (ids[What.UNKNOWN] - ids[What.CONFIRMED])),
        extra={each: count - 1 for each, count in first_attempts.items() if count > 1},
    )


def late_by_key(events: Iterable[Event]) -> Mapping[str, Sequence[str]]:
    """Per key, the messages whose first delivery came after that of one published later."""
    published: dict[str, int] = {}
    highest: dict[str, int] = {}
    late: dict[str, list[str]] = defaultdict(list)
    seen: set[str] = set()
    for event in events:
        if event.what is What.ATTEMPTED:
            published[event.id] = len(published)
        elif event.what is What.DELIVERED and event.id not in seen and event.key is not None:
            seen.add(event.id)
            number = published.get(event.id, -1)
            if number < highest.get(event.key, -1):
                late[event.key].append(event.id)
            highest[event.key] = max(number, highest.get(event.key, -1))
    return late


def overlapping_keys(events: Iterable[Event]) -> frozenset[str]:
    """Keys of which two members held unsettled deliveries at the same time."""
    held: dict[str, Counter[str]] = defaultdict(Counter)
    key_of: dict[str, str] = {}
    found: set[str] = set()
    for event in events:
        if event.what is What.DELIVERED and event.key is not None:
            key_of[event.id] = event.key
            held[event.key][event.member] += 1
            if sum(count > 0 for count in held[event.key].values()) > 1:
                found.add(event.key)
        elif event.what in (What.SETTLED, What.STALE, What.RELEASED) and event.id in key_of:
            held[key_of[event.id]][event.member] -= 1
    return frozenset(found)


def jumps(events: Iterable[Event]) -> Sequence[str]:
    """Where the positions that one session handed over skip or go back, as text."""
    last: dict[tuple[int, int], int] = {}
    found: list[str] = []
    for event in events:
        if event.what is not What.DELIVERED or event.position is None or event.attempt > 1:
            continue
        partition, offset = event.position
        before = last.get((id(event.session), partition))
        if before is not None and offset != before + 1:
            found.append(f"{event.member} went from {partition}:{before} to {partition}:{offset}")
        last[id(event.session), partition] = offset
    return found


def disagreements(events: Iterable[Event]) -> Sequence[str]:
    """Positions that stand for two messages, and messages that stand at two positions, as text."""
    ids: dict[tuple[int, int], set[str]] = defaultdict(set)
    places: dict[str, set[tuple[int, int]]] = defaultdict(set)
    for event in events:
        if event.position is not None:
            ids[event.position].add(event.id)
            places[event.id].add(event.position)
    double = [f"{where} holds {sorted(each)}" for where, each in ids.items() if len(each) > 1]
    return double + [f"{each} stands at {sorted(where)}" for each, where in places.items() if len(where) > 1]

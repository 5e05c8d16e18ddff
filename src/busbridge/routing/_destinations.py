"""The `destinations` section: which keys make sense for which kind, and names that a broker takes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from busbridge.routing._topology import Destination, Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from busbridge.routing._config import KeyPath
    from busbridge.routing._model import DestinationSection
    from busbridge.routing._problems import Problems
    from busbridge.routing._unread import Unread

ONLY_FOR: Final[Mapping[str, tuple[Kind, ...]]] = {
    "durable": (Kind.QUEUE, Kind.TOPIC),
    "ordered": (Kind.QUEUE, Kind.STREAM),
    "partitions": (Kind.QUEUE, Kind.STREAM),
    "replication": (Kind.STREAM,),
    "retention": (Kind.STREAM,),
    "compaction": (Kind.STREAM,),
    "max_length": (Kind.QUEUE,),
    "ttl": (Kind.QUEUE,),
    "unrouted": (Kind.TOPIC,),
}
"""Keys that mean something for some kinds only."""
_STREAM_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,249}")
_NAME_BYTES: Final = 240


def destinations(
    sections: Mapping[str, DestinationSection], known: Collection[str], problems: Problems
) -> dict[str, Destination]:
    """Every destination whose kind and transport could be read.

    `known` are the names of all transports, also of those with faults of their own.
    """
    for name, section in sections.items():
        _check(("destinations", name), section, known, problems)
    return {name: _destination(name, section) for name, section in sections.items() if _is_read(name, problems.unread)}


def _is_read(name: str, unread: Unread) -> bool:
    return not any(("destinations", name, key) in unread for key in ("kind", "transport"))


def _destination(name: str, section: DestinationSection) -> Destination:
    return Destination(
        name=name,
        kind=section.kind,
        transport=section.transport,
        physical=section.name or name,
        provision=section.provision,
        durable=section.durable is not False,
        ordered=section.kind is Kind.STREAM or bool(section.ordered),
        partitions=section.partitions,
        replication=section.replication,
        retention=section.retention,
        compaction=bool(section.compaction),
        max_length=section.max_length,
        ttl=section.ttl,
        unrouted=section.unrouted,
        assume=section.assume,
    )


def _check(path: KeyPath, section: DestinationSection, known: Collection[str], problems: Problems) -> None:
    if (*path, "transport") not in problems.unread:
        problems.refer((*path, "transport"), "transports", section.transport, known)
    for key in ("retention", "ttl"):
        if getattr(section, key) is not None and not getattr(section, key):
            problems.add((*path, key), "it must be longer than zero")
    if (*path, "kind") not in problems.unread:
        _check_for_kind(path, section, problems)


def _check_for_kind(path: KeyPath, section: DestinationSection, problems: Problems) -> None:
    ordered = (*path, "ordered")
    refuse_misplaced(path, section.kind, ONLY_FOR, section.model_fields_set, problems)
    if section.kind is Kind.STREAM and section.ordered is False:
        problems.add(ordered, "found false, but a stream is always ordered per key")
    if section.kind is Kind.QUEUE and section.partitions and not section.ordered:
        problem = "a queue has shards only if it is ordered"
        problems.add((*path, "partitions"), problem, "add `ordered: true`", because=ordered)
    if section.name is not None:
        _check_physical((*path, "name"), section, problems)


def _check_physical(path: KeyPath, section: DestinationSection, problems: Problems) -> None:
    name = section.name or ""
    if section.kind is Kind.STREAM:
        if not _STREAM_NAME.fullmatch(name) or name in {".", ".."}:
            problems.add(path, "a stream is named with at most 249 letters, digits, '.', '_' and '-'")
    elif not name.isprintable() or not 0 < len(name.encode(errors="replace")) <= _NAME_BYTES:
        problems.add(path, f"a {section.kind} is named with 1 to {_NAME_BYTES} bytes of printable text")


def refuse_misplaced(
    path: KeyPath, kind: Kind, only_for: Mapping[str, tuple[Kind, ...]], given: Collection[str], problems: Problems
) -> None:
    """Notes each given key that means nothing for a destination of `kind`."""
    for key, kinds in only_for.items():
        if key in given and kind not in kinds:
            meant = " or ".join(f"a {each}" for each in kinds)
            problems.add((*path, key), f"a {kind} has no such key; it is for {meant}")

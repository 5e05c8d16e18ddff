"""What transports offer, as text: for documents, and for lists that are checked in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from busbridge.testing.conformance._rig import Place
from busbridge.testing.conformance.rows import ROWS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from busbridge.testing.conformance._rig import Faults
    from busbridge.testing.conformance._row import Row
    from busbridge.transport import Capabilities


def coverage(capabilities: Capabilities, faults: Faults) -> list[str]:
    """Every case, and whether it must hold or is not offered: checked in, so that no row vanishes unseen."""
    return [
        f"{'run' if case.offered(capabilities, faults) else 'not offered'}: {case.id}"
        for row in ROWS
        for case in row.cases()
    ]


def conformance_table(offered: Mapping[str, tuple[Capabilities, Faults]]) -> str:
    """The rows in Markdown, with the places on which each transport must keep them."""
    body = ([row.id, row.guarantee, *(_places(row, *each) for each in offered.values())] for row in ROWS)
    return _table(["row", "guarantee", *offered], body)


def capability_table(offered: Mapping[str, Capabilities]) -> str:
    """The capabilities of each transport in Markdown."""
    columns = [dict(each.rows()) for each in offered.values()]
    names = columns[0] if columns else ()
    body = ([name.replace("_", " "), *(_shown(each[name]) for each in columns)] for name in names)
    return _table(["capability", *offered], body)


def _places(row: Row, capabilities: Capabilities, faults: Faults) -> str:
    kept = [case.place for case in row.cases() if case.offered(capabilities, faults)]
    names = [each.replace("_", " ") for each in kept]
    return "all" if len(names) == len(Place) else ", ".join(names) or "not offered"


def _shown(value: object) -> str:
    if isinstance(value, frozenset):
        return ", ".join(sorted(map(str, value)))  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "no limit" if value is None else str(value)


def _table(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

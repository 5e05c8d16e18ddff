"""What the installed transports offer, in Markdown: `python -m busbridge.testing.conformance table|capabilities`."""

from __future__ import annotations

import sys
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, NoReturn

from busbridge.testing.conformance._rig import Faults
from busbridge.testing.conformance._tables import capability_table, conformance_table

if TYPE_CHECKING:
    from busbridge.routing import SubscriptionPlan
    from busbridge.transport import Capabilities


async def _fault() -> None:
    pass


async def _sever(plan: SubscriptionPlan) -> None:
    pass


def _line() -> NoReturn:
    raise NotImplementedError


EVERY_FAULT = Faults(restart=_fault, kill=_fault, sever=_sever, line=_line)
"""What a rig may offer; the list that is checked in for a transport says what its rig does."""


def _installed() -> dict[str, Capabilities]:
    """Those that can be imported, one name for each class."""
    found: dict[object, tuple[str, Capabilities]] = {}
    for each in sorted(entry_points(group="busbridge.transports"), key=lambda each: each.name):
        try:
            transport = each.load()
        except ModuleNotFoundError:
            print(f"{each.name}: not shown, its extra is not installed", file=sys.stderr)  # noqa: T201 - a command
            continue
        found.setdefault(transport, (each.name, transport.capabilities))
    return dict(found.values())


def main() -> int:
    """Prints the table that is asked for; 2 where it is not known."""
    tables = {
        "table": lambda: conformance_table({name: (each, EVERY_FAULT) for name, each in _installed().items()}),
        "capabilities": lambda: capability_table(_installed()),
    }
    asked = sys.argv[1:]
    if len(asked) != 1 or asked[0] not in tables:
        print(f"usage: python -m busbridge.testing.conformance {{{','.join(tables)}}}", file=sys.stderr)  # noqa: T201
        return 2
    print(tables[asked[0]]())  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())

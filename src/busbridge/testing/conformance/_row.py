"""A row: one guarantee, as data and as a function that tries to break it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from busbridge.testing.conformance._bench import Bench
    from busbridge.testing.conformance._rig import Faults, Place
    from busbridge.transport import Capabilities

Need: TypeAlias = "Callable[[Capabilities, Faults], bool]"
"""Whether a transport and its rig offer what a row is about, beside the place."""


class RowFailed(AssertionError):
    """A transport does not keep the guarantee of a row."""

    def __init__(self, detail: str, ledger: Sequence[str] = ()) -> None:
        self.detail = detail
        self.ledger = tuple(ledger)
        """What happened, one event a line."""
        super().__init__(detail)


def anything(capabilities: Capabilities, faults: Faults) -> bool:  # noqa: ARG001 - a need
    """The need of a row that every transport with the place must keep."""
    return True


@dataclass(frozen=True, slots=True)
class Row:
    """One guarantee. `run` raises RowFailed if the transport doesn't keep it."""

    id: str
    name: str
    guarantee: str
    places: tuple[Place, ...]
    run: Callable[[Bench], Awaitable[None]]
    needs: Need = anything

    def cases(self) -> Iterator[Case]:
        """The row on each of its places."""
        for place in self.places:
            yield Case(self, place)


@dataclass(frozen=True, slots=True)
class Case:
    """A row on one place."""

    row: Row
    place: Place

    @property
    def id(self) -> str:
        """`C07-ack_is_final-stream`."""
        return f"{self.row.id}-{self.row.name}-{self.place}"

    def offered(self, capabilities: Capabilities, faults: Faults) -> bool:
        """True if it must hold; False: the transport declares that it does not offer this."""
        return self.place.offered(capabilities) and self.row.needs(capabilities, faults)

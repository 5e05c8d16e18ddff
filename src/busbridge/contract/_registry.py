"""The contracts that a service knows, and who reads a message of which version."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from busbridge.contract._base import abstract_error
from busbridge.contract._reader import Reader
from busbridge.contract._upcasting import Step
from busbridge.errors import ConfigurationError, Fault, UnknownContract, UnknownVersion

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from busbridge.contract._base import Contract


@final
class Registry:
    """Contracts by name and version, with the steps between versions. Given, never global; it does not change.

    Raises ConfigurationError with every fault: an abstract base, two classes of one name and version, two different
    upcasters for one step.
    """

    __slots__ = ("_classes", "_steps", "_versions")

    def __init__(self, contracts: Iterable[type[Contract]]) -> None:
        self._classes: dict[tuple[str, int], type[Contract]] = {}
        self._steps: dict[tuple[str, int], Step] = {}
        self._versions: dict[str, tuple[int, ...]] = {}
        faults = [fault for contract in contracts for fault in self._add(contract)]
        if faults:
            raise ConfigurationError(faults)

    def __iter__(self) -> Iterator[type[Contract]]:
        return iter(self._classes.values())

    def __len__(self) -> int:
        return len(self._classes)

    def get(self, name: str, version: int) -> type[Contract] | None:
        """The class of this name and version, if it is known."""
        return self._classes.get((name, version))

    def versions(self, name: str) -> Sequence[int]:
        """The known versions of a contract, oldest first; none for a name that is not known."""
        return self._versions.get(name, ())

    def reader(self, name: str, version: int | None, readable_by: int | None, handled: Collection[int]) -> Reader:
        """Who reads a message, given the versions of its contract that the caller has handlers for, all registered.

        Its own version; else the nearest higher one, by upcasters; else, when it is newer than all of them, the
        highest, if the message's `readable_by` says that this one may. UnknownContract when no version of the name is
        known; UnknownVersion when none of this applies, a step is missing, or the message states no version.
        """
        if name not in self._versions:
            raise UnknownContract(name)
        reader = self._reader(name, version, readable_by, handled) if version is not None and handled else None
        if reader is None:
            raise UnknownVersion(name, version, sorted(handled))
        return reader

    def gaps(self, handled: Mapping[str, Collection[int]]) -> list[Fault]:
        """Missing steps: versions that a class or an upcaster knows of, and that can't be lifted to a handled one."""
        return [fault for name, versions in handled.items() for fault in self._gaps(name, versions)]

    def _reader(self, name: str, version: int, readable_by: int | None, handled: Collection[int]) -> Reader | None:
        target = min((each for each in handled if each >= version), default=None)
        if target is not None:
            return self._lifting(name, version, target)
        newest = max(handled)
        return Reader(self._classes[name, newest]) if readable_by is not None and readable_by <= newest else None

    def _lifting(self, name: str, version: int, target: int) -> Reader | None:
        try:
            steps = [self._steps[name, each] for each in range(version, target)]
        except KeyError:
            return None
        return Reader(self._classes[name, target], steps)

    def _gaps(self, name: str, handled: Collection[int]) -> Iterator[Fault]:
        steps = {from_version for known, from_version in self._steps if known == name}
        begins = min((*self.versions(name), *steps), default=0)
        for version in range(begins, max(handled, default=0)):
            if version not in steps and version not in handled:
                problem = f"{name!r}: a message of version {version} can't be lifted to version {version + 1}"
                yield Fault(problem, hint=f"write an upcaster(from_version={version}) on the newest class")

    def _add(self, contract: type[Contract]) -> Iterator[Fault]:
        info = contract.__contract__
        if info is None:
            yield Fault(str(abstract_error(contract)))
            return
        first = self._classes.setdefault((info.name, info.version), contract)
        if first is not contract:
            yield Fault(f"two contracts are {info.ref}: {_described(first)} and {_described(contract)}")
            return
        self._versions[info.name] = tuple(sorted({*self.versions(info.name), info.version}))
        for from_version, upcaster in contract.__upcasters__.items():
            step = Step(info.name, from_version, upcaster)
            other = self._steps.setdefault((info.name, from_version), step)
            if other.upcaster is not upcaster:
                yield Fault(f"two different upcasters for one step: {other} and {step}")


def _described(contract: type[Contract]) -> str:
    location = contract.__contract__.location if contract.__contract__ else ""
    return f"{contract.__module__}.{contract.__qualname__} ({location})"

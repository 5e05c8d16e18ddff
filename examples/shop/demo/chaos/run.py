"""A run of the shop under fire: orders come in while its processes are killed and its brokers restarted."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final

from busbridge.errors import BusbridgeError
from examples.shop.demo.audit import live_differences
from examples.shop.demo.chaos.files import JOURNAL, ORDERS
from examples.shop.demo.chaos.fleet import Fleet
from examples.shop.demo.chaos.journal import Entries

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Sequence

    from examples.shop.order import Order

CREW: Final = {
    "checkout": 1,
    "order-processor": 2,
    "inventory": 2,
    "billing": 1,
    "notification": 1,
    "analytics": 1,
    "loyalty": 1,
}
_STARTED_WITHIN: Final = 120.0
_PAUSE: Final = (0.3, 2.5)
"""Seconds between two kills."""
_TOLD_EVERY: Final = 10.0
_QUIET: Final = 3.0
"""Seconds without a delivery after which nothing is taken to be on its way any more."""


class RestartFailed(BusbridgeError):
    """A command that was to restart a broker did not."""

    def __init__(self, command: str, said: str) -> None:
        self.command = command
        super().__init__(f"{command}: {said.strip() or 'it failed and said nothing'}")


class NotBalanced(BusbridgeError):
    """When the fire was over, the books did not come to balance in time."""

    def __init__(self, seconds: float, wrong: Sequence[str]) -> None:
        self.differences = tuple(wrong)
        super().__init__("\n  ".join([f"{seconds:g} s after the last kill the books do not balance:", *wrong]))


@dataclass(frozen=True, slots=True)
class Storm:
    """What is done to the shop, and for how long."""

    seed: int
    seconds: float
    restarts: Sequence[str] = ()
    """Commands that restart a broker, run one after the other."""


@dataclass(slots=True)
class Aftermath:
    """What it came to."""

    seconds: float
    killed: Counter[str]
    entries: Entries
    restarted: int


def run_under_fire(
    orders: Sequence[Order],
    namespace: str,
    files: Sequence[Path],
    storm: Storm,
    patience: float,
    say: Callable[[str], None],
) -> Aftermath:
    """Returns when every order is through, and every process has stopped as it should.

    Raises Collapsed; NotBalanced where that takes more than `patience` seconds after the storm; RestartFailed.
    """
    folder = Path(os.environ["SHOP_DATA"])
    (folder / ORDERS).write_text("".join(f"{each.model_dump_json()}\n" for each in orders), encoding="utf-8")
    began = time.monotonic()
    with Fleet(CREW, folder, [namespace, *map(str, files)]) as fleet:
        fleet.wait_until_serving(_STARTED_WITHIN)
        restarted = _rage(fleet, storm, _Teller(fleet, folder, began, say))
        say(f"{time.monotonic() - began:4.0f} s that was the last kill; what is left is waited for")
        _come_to_rest(fleet, orders, folder, patience)
        fleet.stop()
    return Aftermath(time.monotonic() - began, fleet.killed, Entries(folder / JOURNAL), restarted)


def _rage(fleet: Fleet, storm: Storm, teller: _Teller) -> int:
    """Kills for as long as the storm lasts; returns how often a broker was restarted meanwhile."""
    random, began = Random(storm.seed), time.monotonic()  # the same seed, the same victims
    restarts: list[_Restart] = []
    while time.monotonic() < began + storm.seconds:
        time.sleep(random.uniform(*_PAUSE))
        fleet.kill_one(random)
        teller.tell()
        if _is_due(len(restarts), storm, time.monotonic() - began):
            restarts.append(_Restart(storm.restarts[len(restarts)]))
            teller.say(f"       a broker is restarted ({len(restarts)} of {len(storm.restarts)})")
    for each in restarts:
        each.wait()
    return len(restarts)


def _is_due(done: int, storm: Storm, seconds: float) -> bool:
    """Whether the next restart has its turn: they are spread evenly."""
    return done < len(storm.restarts) and seconds > storm.seconds * (done + 1) / (len(storm.restarts) + 1)


class _Restart:
    """A command that runs beside."""

    def __init__(self, command: str) -> None:
        self._command = command
        self._process = subprocess.Popen(shlex.split(command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def wait(self) -> None:
        """Raises RestartFailed."""
        said, _ = self._process.communicate()
        if self._process.returncode != 0:
            raise RestartFailed(self._command, said.decode(errors="replace"))


class _Teller:
    """Says now and then how things are."""

    def __init__(self, fleet: Fleet, folder: Path, began: float, say: Callable[[str], None]) -> None:
        self.say = say
        self._fleet = fleet
        self._journal = folder / JOURNAL
        self._began = self._told = began

    def tell(self) -> None:
        """Nothing, if it has spoken just now."""
        now = time.monotonic()
        if now - self._told < _TOLD_EVERY:
            return
        self._told, entries = now, Entries(self._journal)
        self.say(
            f"{now - self._began:4.0f} s {entries.deliveries:7,} deliveries, {entries.again:5,} handed over again, "
            f"{self._fleet.killed.total():3} kills"
        )


def _come_to_rest(fleet: Fleet, orders: Sequence[Order], folder: Path, patience: float) -> None:
    """Waits until the books balance and nothing moves: what comes twice would show then."""
    deadline = time.monotonic() + patience
    seen, since = -1, time.monotonic()
    while True:
        fleet.check()
        size = (folder / JOURNAL).stat().st_size
        if size != seen:
            seen, since = size, time.monotonic()
        elif time.monotonic() - since > _QUIET and not live_differences(orders):
            return
        if time.monotonic() > deadline:
            raise NotBalanced(patience, live_differences(orders))
        time.sleep(0.5)

"""What befalls a cluster and the crews that work on it: in an order drawn from a seed, one thing after the other."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from integration.brokers import Broker, Cluster
from integration.faults.ledger import HEALED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from integration.faults.trial import Trial

_BETWEEN: Final = 2.0
"""Seconds between two faults."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that befalls one node, or one worker of each crew."""

    name: str
    target: int
    seconds: float
    """How long it lasts."""


_NODE_FAULTS: Final = ("kill", "restart", "pause", "cut_from_peers", "isolate")
_WORKER_FAULTS: Final = ("kill_worker", "freeze_worker")


def drawn(seed: int, rounds: int, nodes: int, workers: int) -> list[Fault]:
    """Every fault once in each round, in an order, on targets and for times that follow from the seed."""
    chance = random.Random(seed)
    found: list[Fault] = []
    for _ in range(rounds):
        for name in chance.sample(_NODE_FAULTS + _WORKER_FAULTS, len(_NODE_FAULTS + _WORKER_FAULTS)):
            among = nodes if name in _NODE_FAULTS else workers
            found.append(Fault(name, chance.randrange(among), round(chance.uniform(4, 16), 1)))
    return found


async def strike(fault: Fault, cluster: Cluster[Any], trials: Sequence[Trial]) -> None:
    """Has a fault begin, last and end; returns when the cluster is whole again. The trials' ledgers say when."""
    for trial in trials:
        trial.ledger.fault(fault.name, target=fault.target, seconds=fault.seconds)
    if fault.name in _WORKER_FAULTS:
        await _strike_workers(fault, trials)
    else:
        await _strike_node(fault, cluster)
    for trial in trials:
        trial.ledger.fault(HEALED)
        trial.crew.check()
    await asyncio.sleep(_BETWEEN)


async def _strike_workers(fault: Fault, trials: Sequence[Trial]) -> None:
    for trial in trials:
        if fault.name == "kill_worker":
            await asyncio.to_thread(trial.crew.kill, fault.target)
        else:
            trial.crew.freeze(fault.target)
    await asyncio.sleep(fault.seconds)
    if fault.name == "freeze_worker":
        for trial in trials:
            trial.crew.thaw(fault.target)


async def _strike_node(fault: Fault, cluster: Cluster[Any]) -> None:
    node: Broker = cluster.nodes[fault.target]
    begin = {
        "kill": node.kill,
        "restart": node.stop,
        "pause": node.pause,
        "cut_from_peers": lambda: cluster.cut_from_peers(node),
        "isolate": lambda: cluster.isolate(node),
    }[fault.name]
    await asyncio.to_thread(begin)
    await asyncio.sleep(fault.seconds)
    await asyncio.to_thread(cluster.heal)

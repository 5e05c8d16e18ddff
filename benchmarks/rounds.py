"""One round of one side: a fresh place, the processes that work on it, and a check that everything arrived."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.databases import count
from benchmarks.places import make_place, new_name, place_of
from benchmarks.works import RATE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.filled import Filled
    from benchmarks.places import Place
    from benchmarks.works import Side, Work


@dataclass
class Measured:
    """What one round of one side showed."""

    rate: float
    """Messages per second."""
    cpu: float
    """Microseconds of CPU per message, all threads of the process."""
    latencies: list[float] = field(default_factory=list)
    """Milliseconds from publishing to handling, ascending."""


class RoundFailedError(Exception):
    """A process failed, or messages are missing: then the figures of this side would be worth nothing."""


def run(work: Work, side: Side, url: str, scale: float, filled: Filled) -> Measured:
    """Does one round, where effects happen in a database of `filled`. Raises RoundFailedError."""
    name = new_name()
    place = make_place(url, name)
    job = {"url": url, "place": name, "count": round(side.count * scale), "warm_up": round(work.warm_up * scale)}
    try:
        if work.database:
            with filled.database(side) as job["database"]:
                return _effect_once(work, side, job, place)
        if work.is_latency:
            return _latency(work, side, job, place)
        return _consume(work, side, job, place) if work.consumes else _publish(side, job, place)
    finally:
        place.remove()


def _publish(side: Side, job: dict[str, Any], place: Place) -> Measured:
    result = _finished(_started(side.module, side.function, job))
    _expect(side, "published", place.holds(), job["count"] + job["warm_up"])
    return _measured(job, result)


def _consume(work: Work, side: Side, job: dict[str, Any], place: Place) -> Measured:
    _fill(work, job, job["count"] + job["warm_up"])
    result = _finished(_started(side.module, side.function, job, consuming=True))
    _expect(side, "unread", place.unread(), 0)
    return _measured(job, result)


def _effect_once(work: Work, side: Side, job: dict[str, Any], place: Place) -> Measured:
    total = job["count"] + job["warm_up"]
    if side.consumes:
        _fill(work, job, total)
        result = _finished(_started(side.module, side.function, job, consuming=True))
        _expect(side, "unread", place.unread(), 0)
        _expect(side, "booked", place_of(job["url"], f"{job['place']}.booked").holds(), total)
    else:  # a bare database client
        result = _finished(_started(side.module, side.function, job))
    _expect(side, "in the database", asyncio.run(count(job["database"], "effects")), total)
    return _measured(job, result)


def _fill(work: Work, job: dict[str, Any], messages: int) -> None:
    _finished(_started(f"raw_{work.broker}", "publish_many", {**job, "count": messages, "warm_up": 0}))


def _latency(work: Work, side: Side, job: dict[str, Any], place: Place) -> Measured:
    """The consumer is up, with one message handled, before the publisher begins."""
    _fill(work, job, 1)
    job["rate"] = RATE
    consumer = _started(side.module, "consume", {**job, "warm_up": job["warm_up"] + 1}, consuming=True)
    with _no_survivor(consumer):
        assert consumer.stdout is not None
        if consumer.stdout.readline().strip() != "ready":
            raise RoundFailedError(f"{side.name} does not consume:\n{consumer.communicate()[1][-4000:]}")
        published = _finished(_started(side.module, "publish_paced", job))
        result = _finished(consumer)
    _expect(side, "unread", place.unread(), 0)
    measured = _measured(job, result)
    measured.cpu += published["cpu_seconds"] / job["count"] * 1e6
    return measured


def _measured(job: dict[str, Any], result: dict[str, Any]) -> Measured:
    count = job["count"]
    latencies = sorted(each / 1e6 for each in result["latencies"] or ())
    return Measured(count / result["seconds"], result["cpu_seconds"] / count * 1e6, latencies)


def _expect(side: Side, what: str, found: int, wanted: int) -> None:
    if found != wanted:
        raise RoundFailedError(f"{side.name}: {found} messages are {what}, not {wanted}")


@contextlib.contextmanager
def _no_survivor(process: subprocess.Popen[str]) -> Iterator[None]:
    try:
        yield
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def _started(module: str, function: str, job: dict[str, Any], *, consuming: bool = False) -> subprocess.Popen[str]:
    asked = json.dumps({**job, "module": module, "function": function, "consuming": consuming})
    command = [sys.executable, "-m", "benchmarks.child", asked]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _finished(process: subprocess.Popen[str]) -> dict[str, Any]:
    with _no_survivor(process):
        output, errors = process.communicate()
    if process.returncode:
        raise RoundFailedError(f"a process of this round failed:\n{errors[-4000:]}")
    result: dict[str, Any] = json.loads(output.splitlines()[-1])
    return result

"""The process that is killed: a service whose handler inserts a row and publishes a message.

`python -m integration.effects.child '{"config": …}'` serves until SIGTERM, or until it reaches the seam that it is to
die at.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import uuid
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

from sqlalchemy import text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from busbridge import Context, Service
from busbridge.errors import CommitUnknown
from busbridge.outbox import Relay, TimerSource, _seams
from busbridge.runtime import replay, serve
from busbridge.runtime.effects._effects import Effects
from busbridge.runtime.replays._log import RunLog
from busbridge.transport import Status
from busbridge_kafka import _dead_letters as kafka_dead_letters
from busbridge_rabbitmq import _dead_letters as rabbit_dead_letters
from integration.effects import saboteurs
from integration.effects.contracts import Booked, Ordered

DEADLY = 3
"""The exit code of a process that a message has killed."""
STOPPED = 4
"""The exit code of a replay that was stopped before its end."""
EFFECT = text("INSERT INTO effects (order_id) VALUES (:order_id)")


class Base(DeclarativeBase): ...


class Effect(Base):
    __tablename__ = "effects"
    call: Mapped[str] = mapped_column(primary_key=True)
    """Another one for each call, so that no key keeps an effect from happening twice."""
    order_id: Mapped[str]


@dataclass(frozen=True)
class Job:
    service: str
    config: dict[str, Any]
    calls: str
    """A file that gets a line for each call of the handler, which no transaction takes back."""
    seam: str = ""
    """Where to die; nowhere if empty."""
    nth: int = 1
    """At which time."""
    saboteur: str = ""
    mended: bool = False
    """Whether no attempt fails any more."""
    losing: int = 0
    """Of every so many COMMITs the answer to one is lost."""
    run: str = ""
    """The replay run to make, to its end, instead of serving."""


_LEASE = 2.0
"""Seconds after which the relay's slots and the timers of a process that died are another's: ordinarily a minute."""


class Trouble(Exception):
    """What an attempt fails with that is to fail."""


def worker(job: Job) -> Service[None]:
    service = Service(job.service, publishes=[Booked])
    calls = Path(job.calls).open("a", buffering=1, encoding="ascii")  # noqa: SIM115 - until the process ends

    @service.subscription("work").handles(Ordered)
    async def work(order: Ordered, context: Context) -> None:
        calls.write(f"{order.order_id}\n")
        await write(order.order_id, context)
        context.publish(Booked(order_id=order.order_id))
        _seams.reached("in_handler")
        if order.deadly:
            os._exit(DEADLY)
        await asyncio.sleep(order.seconds)
        if context.delivery.attempt <= order.failures and not job.mended:
            raise Trouble(order.order_id)

    return service


async def write(order_id: str, context: Context) -> None:
    """Inserts the effect: of one half of all orders with others of the transaction, of the other half at once."""
    if crc32(order_id.encode()) % 2:
        context.session.add(Effect(call=str(uuid.uuid4()), order_id=order_id))
    else:
        await context.connection.execute(EFFECT, {"order_id": order_id})


def die_at(seam: str, nth: int) -> None:
    """From now on the process is killed when it reaches `seam` the `nth` time."""
    left = nth

    def count(name: str) -> None:
        nonlocal left
        left -= name == seam
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    _seams.hook = count


def lose_answers(every: int) -> None:
    """The database has committed, and nobody hears of it."""
    answered, done = Effects._transact, 0

    async def transact(effects: Effects, works: list[Any], **options: Any) -> Any:
        nonlocal done
        found = await answered(effects, works, **options)
        done += 1
        if done % every == 0:
            raise CommitUnknown("the database", "its answer was lost")
        return found

    Effects._transact = transact  # type: ignore[method-assign]


def tell_of_dead_letters() -> None:
    """Makes a seam, `dead_letter_confirmed`, between a dead letter and the settlement of what it is of."""
    rabbit, kafka = rabbit_dead_letters._finished, kafka_dead_letters.DeadLetters.bury

    def finished(delivery: Any, outcome: Any) -> bool:
        if outcome.status is Status.CONFIRMED:
            _seams.reached("dead_letter_confirmed")
        return rabbit(delivery, outcome)

    async def bury(place: Any, delivery: Any, record: Any) -> None:
        await kafka(place, delivery, record)
        _seams.reached("dead_letter_confirmed")

    rabbit_dead_letters._finished = finished
    kafka_dead_letters.DeadLetters.bury = bury  # type: ignore[method-assign]


def inherit_soon() -> None:
    """Shortens the time for which nobody else may go on with what a dead process had begun."""
    Relay.__init__.__kwdefaults__["lease"] = _LEASE
    TimerSource.__init__.__kwdefaults__["claim"] = _LEASE
    RunLog.__init__.__kwdefaults__["lease"] = _LEASE


async def replayed(job: Job) -> None:
    """Raises what the run does; a signal stops it."""
    if not await replay(worker(job), job.config, "work", lambda _: None, publish="send", run=job.run):
        sys.exit(STOPPED)


def main() -> None:
    logging.basicConfig(format="%(asctime)s %(name)s %(levelname)s %(message)s")
    logging.getLogger("busbridge").setLevel(logging.INFO)
    job = Job(**json.loads(sys.argv[1]))
    inherit_soon()
    tell_of_dead_letters()
    if job.seam:
        die_at(job.seam, job.nth)
    if job.losing:
        lose_answers(job.losing)
    with ExitStack() as stack:
        if job.saboteur:
            stack.enter_context(getattr(saboteurs, job.saboteur)())
        asyncio.run(replayed(job) if job.run else serve([worker(job)], job.config))


if __name__ == "__main__":
    main()

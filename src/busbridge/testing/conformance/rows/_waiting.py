"""Rows about attempts that wait at the broker: never too early, for one subscription alone, as they went."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple, final

from busbridge.routing import RetryPlan
from busbridge.testing.conformance._ledger import What
from busbridge.testing.conformance._message import message_id_of
from busbridge.testing.conformance._rig import Place
from busbridge.testing.conformance._row import Row, RowFailed

if TYPE_CHECKING:
    from busbridge.testing.conformance._bench import Bench
    from busbridge.testing.conformance._rig import Faults
    from busbridge.testing.conformance._subscription import Subscription
    from busbridge.testing.conformance._worker import Worker
    from busbridge.transport import Capabilities, Delivery, Position

_COUNT: Final = 20
_LONG: Final = range(1, 6)
"""The messages that wait long, by their number: the first ones, so that others come behind them."""
_TWICE: Final = range(11, 16)
"""Those that wait a second time."""
_PUT_OFF: Final = _COUNT + len(_TWICE)


class _Was(NamedTuple):
    """What must not change while a message waits."""

    body: bytes | None
    key: str | bytes | None
    headers: list[tuple[str, object]]
    position: Position | None

    @classmethod
    def of(cls, delivery: Delivery) -> _Was:
        return cls(delivery.body, delivery.key, list(delivery.headers), delivery.position)


@final
class _Waits:
    """Puts every message off, some of them twice, and sees when and how it comes back."""

    def __init__(self, retry: RetryPlan) -> None:
        self._retry = retry
        self._due: dict[str, float] = {}
        self._was: dict[str, _Was] = {}
        self.attempts: dict[str, int] = {}
        self.returned: list[str] = []
        """In the order in which they came for the second time."""
        self.problem: str | None = None

    def treat(self, worker: Worker, delivery: Delivery) -> None:
        message_id = message_id_of(delivery)
        number = int(message_id[1:])
        made = self.attempts.get(message_id, 0)
        if delivery.attempt != made + 1:
            self.problem = f"{message_id} came as attempt {delivery.attempt}, after {made}"
        elif made:
            self._check(message_id, delivery)
        self.attempts[message_id] = made + 1
        if not made or (made == 1 and number in _TWICE):
            self._put_off(worker, message_id, delivery, tier=int(not made and number in _LONG))
        else:
            worker.accept(delivery)

    def _put_off(self, worker: Worker, message_id: str, delivery: Delivery, tier: int) -> None:
        self._was[message_id] = _Was.of(delivery)
        self._due[message_id] = asyncio.get_running_loop().time() + self._retry.tiers[tier]
        delivery.later(tier, delivery.attempt)
        worker.done(delivery)

    def _check(self, message_id: str, delivery: Delivery) -> None:
        if message_id not in self.returned:
            self.returned.append(message_id)
        if (early := self._due[message_id] - asyncio.get_running_loop().time()) > 0:
            self.problem = f"{message_id} came {early * 1000:.0f} ms before it was due"
        elif (now := _Was.of(delivery)) != (was := self._was[message_id]):
            self.problem = f"{message_id} went as {was} and came as {now}"


async def waits_its_time(bench: Bench) -> None:
    """C26: the first members put everything off and leave; others take over what waits."""
    quiet = bench.rig.quiet
    retry = RetryPlan(attempts=9, immediate=1, first=quiet, longest=5 * quiet, tiers=(quiet, 5 * quiet))
    waits = _Waits(retry)
    subscription = bench.subscription(ordered=False, retry=retry)
    others = [] if bench.place is Place.QUEUE else [bench.subscription("other", ordered=False)]
    ledger = subscription.ledger
    await subscription.workers_of_all(waits.treat)
    for other in others:
        await other.worker()
    await bench.publish(await bench.client(), _COUNT)
    await subscription.complete()
    await subscription.stop()
    await subscription.workers_of_all(waits.treat)
    done = await ledger.until(lambda: _finished(waits) or waits.problem is not None, bench.rig.patience)
    if waits.problem or not done:
        raise RowFailed(waits.problem or f"of {_COUNT} messages that wait, {len(waits.returned)} came back")
    _check_lines(waits)
    await _judge_all(subscription, others)


async def _judge_all(subscription: Subscription, others: list[Subscription]) -> None:
    await subscription.judge(extra=_PUT_OFF)
    if (came := len(subscription.ledger.of(What.DELIVERED))) != _COUNT + _PUT_OFF:
        raise RowFailed(f"{_COUNT} messages were put off {_PUT_OFF} times, and there were {came} deliveries")
    for other in others:
        await other.judge()


def _finished(waits: _Waits) -> bool:
    return sum(waits.attempts.values()) == _COUNT + _PUT_OFF


def _check_lines(waits: _Waits) -> None:
    """All were put off at about the same time, the long ones first."""
    last = waits.returned[-len(_LONG) :]
    if late := [each for each in last if int(each[1:]) not in _LONG]:
        raise RowFailed(f"{', '.join(late)} waited for others whose wait is longer")


def _delays(capabilities: Capabilities, faults: Faults) -> bool:  # noqa: ARG001 - a need
    return capabilities.delays


ROWS: Final = (
    Row(
        "C26",
        "waits_its_time",
        "what is put off comes to its subscription alone, as it was, not before it is due and behind no longer wait",
        (Place.QUEUE, Place.TOPIC, Place.STREAM),
        waits_its_time,
        _delays,
    ),
)

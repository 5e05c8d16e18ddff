"""From a delivery to a message for one handler, where there is a store; or to its end, where it can't come to one."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from busbridge.errors import InvalidEnvelope, InvalidMessage, NotHandled, UnknownContract, UnknownVersion
from busbridge.outbox import TimerDelivery
from busbridge.routing import Others
from busbridge.runtime.effects._work import Ended, Fate, Work
from busbridge.runtime.handling._failure import UNREADABLE, Failure
from busbridge.runtime.handling._identity import message_id_of, run_id_of
from busbridge.runtime.handling._rules import takes
from busbridge.store import InboxKey, storable

if TYPE_CHECKING:
    from busbridge.contract import Contract
    from busbridge.errors import BusbridgeError
    from busbridge.routing import SubscriptionPlan
    from busbridge.runtime.handling._dispatch import Bound, Choice, Dispatcher
    from busbridge.transport import Delivery


@final
class Intake:
    """Reads for one subscription."""

    def __init__(self, plan: SubscriptionPlan, dispatcher: Dispatcher) -> None:
        self._plan = plan
        self._decode = dispatcher.decode
        self._ordered = plan.ordered

    def read(self, delivery: Delivery) -> Work | Ended:
        """Reads, and finds the handler: of a timer the one that it goes back to."""
        try:
            return self._work(delivery)
        except (UnknownContract, NotHandled) as error:
            if self._plan.others is Others.DISCARD:
                return Ended(delivery, Fate.DISCARDED, rule="not_handled")
            return _dead(delivery, error)
        except (InvalidEnvelope, InvalidMessage, UnknownVersion) as error:
            return _dead(delivery, error)

    def _work(self, delivery: Delivery) -> Work | Ended:
        choice, body, event = self._decode(delivery)
        message = choice.read(body)
        timer = delivery.timer if isinstance(delivery, TimerDelivery) else None
        bound, doubtful = choice.only, False
        if timer is not None:
            bound = next((each for each in choice.handlers if each.place == timer.place), None)
        elif bound is None:
            bound, doubtful = _taker(choice, message)
        if bound is None:
            return Ended(delivery, Fate.DISCARDED, rule="filtered")
        message_id, run = message_id_of(event, message, bound), run_id_of(event, self._plan)
        key = InboxKey(bound.place, storable(event.source), storable(message_id), run)
        work = Work(delivery, choice, body, message, bound, event, key)
        work.doubtful = doubtful
        work.kept = self._ordered and delivery.key is not None and timer is None
        return work


def _taker(choice: Choice, message: Contract) -> tuple[Bound | None, bool]:
    """The first handler that takes the message, or whose `when` can't say: then each attempt asks it again."""
    for bound in choice.handlers:
        try:
            if takes(bound, message):
                return bound, False
        except Exception:  # noqa: BLE001 - a `when` is the user's, and its errors are attempts that failed
            return bound, True
    return None, False


def _dead(delivery: Delivery, error: BusbridgeError) -> Ended:
    return Ended(delivery, Fate.DEAD, failure=Failure(UNREADABLE[type(error)], error, final=True))

"""From a delivery to a message for one handler, where there is a store; or to its end, where it can't come to one."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from busbridge.errors import InvalidEnvelope, InvalidMessage, NotHandled, UnknownContract, UnknownVersion
from busbridge.outbox import TimerDelivery
from busbridge.routing import Others
from busbridge.runtime.effects._work import Ended, Fate, Work
from busbridge.runtime.handling._event import event_of
from busbridge.runtime.handling._failure import UNREADABLE, Failure
from busbridge.runtime.handling._identity import identity_of, place_of

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
        self._choose = dispatcher.choose

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
        choice, body = self._choose(delivery)
        message = choice.read(body)
        bound, doubtful = self._taker(choice, message, delivery)
        if bound is None:
            return Ended(delivery, Fate.DISCARDED, rule="filtered")
        event = event_of(delivery, self._plan.destination)
        identity = identity_of(event, message, bound, self._plan)
        kept = self._plan.ordered and delivery.key is not None and not isinstance(delivery, TimerDelivery)
        return Work(delivery, choice, body, message, bound, event, identity, doubtful=doubtful, kept=kept)

    def _taker(self, choice: Choice, message: Contract, delivery: Delivery) -> tuple[Bound | None, bool]:
        """The first handler that takes the message, or whose `when` can't say: then each attempt asks it again."""
        back_to = delivery.timer.place if isinstance(delivery, TimerDelivery) else None
        for bound in choice.handlers:
            if back_to is not None and place_of(bound, self._plan) == back_to:
                return bound, False
            try:
                if back_to is None and (bound.when is None or bound.when(message)):
                    return bound, False
            except Exception:  # noqa: BLE001 - a `when` is the user's, and its errors are attempts that failed
                return bound, True
        return None, False


def _dead(delivery: Delivery, error: BusbridgeError) -> Ended:
    return Ended(delivery, Fate.DEAD, failure=Failure(UNREADABLE[type(error)], error, final=True))

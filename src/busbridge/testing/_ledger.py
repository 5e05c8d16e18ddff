"""What a harness knows of its buses: what was published, who must still handle it, what died."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple, final

from busbridge.errors import InvalidEnvelope
from busbridge.memory import takes
from busbridge.routing import Kind
from busbridge.runtime.handling._event import event_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from busbridge.routing import SubscriptionPlan
    from busbridge.runtime import Prepared, Undelivered
    from busbridge.transport import Delivery, Entry


_GOES_ON: Final = frozenset({"released", "scheduled", "parked"})
"""Fates after which the same message comes again."""


class Dead(NamedTuple):
    """A message that a subscription could not handle."""

    service: str
    subscription: str
    message_id: str | None
    """None: what arrived is no CloudEvent."""
    error: BaseException
    body: bytes | None


class Parked(NamedTuple):
    """A message that its destination refused for good, and that stays in its service's outbox."""

    message_id: str
    destination: str
    error: BaseException | None


class Expected(NamedTuple):
    """A copy of a message that somebody must still handle: a subscription, or on a queue any that takes from it."""

    message_id: str
    place: str


@final
class Ledger:
    """Counts each copy from the moment it is published until its delivery has ended: causality, not time.

    A handler's consequences are counted before its own delivery ends, so that nothing is outstanding only when the
    whole flow is over.
    """

    def __init__(self, plans: Iterable[SubscriptionPlan]) -> None:
        self._plans = tuple(plans)
        self._expected: Counter[Expected] = Counter()
        self._sent: dict[str, Prepared] = {}
        self.changed = asyncio.Event()
        self.dead: list[Dead] = []
        self.stuck: list[Parked] = []
        self.failures: list[BaseException] = []
        """What the dead and the parked ones failed with, in order."""

    @property
    def outstanding(self) -> list[Expected]:
        """What is not handled yet, each copy once."""
        return list(self._expected.elements())

    def sent(self, message_id: str) -> Prepared:
        """A message that was published before. Raises KeyError."""
        return self._sent[message_id]

    def publishing(self, prepared: Sequence[Prepared]) -> None:
        for each in prepared:
            self._sent[each.id] = each
            self._expected.update(
                Expected(each.id, place) for _, entry in each.entries for place in self._places(entry)
            )

    def undelivered(self, failures: Sequence[Undelivered]) -> None:
        for failure in failures:
            entries = [entry for _, entry in self._sent[failure.message_id].entries]
            for entry in entries:
                if entry.destination.name == failure.destination:
                    self._strike(Expected(failure.message_id, place) for place in self._places(entry))

    def parked(self, message_id: str, destination: str, error: BaseException | None) -> None:
        self.stuck.append(Parked(message_id, destination, error))
        if error is not None:
            self.failures.append(error)
        entries = [entry for _, entry in self._sent[message_id].entries] if message_id in self._sent else []
        for entry in entries:
            if entry.destination.name == destination:
                self._strike(Expected(message_id, place) for place in self._places(entry))

    def ended(self, plan: SubscriptionPlan, delivery: Delivery, fate: str, error: BaseException | None) -> None:
        message_id = _id_of(plan, delivery)
        if fate == "dead" and error is not None:
            self.dead.append(Dead(plan.service, plan.name, message_id, error, delivery.body))
            self.failures.append(error)
        if fate not in _GOES_ON and message_id is not None:
            self._strike([Expected(message_id, _place(plan))])
        self.changed.set()

    def _strike(self, places: Iterable[Expected]) -> None:
        self._expected.subtract(places)
        self._expected = +self._expected
        self.changed.set()

    def _places(self, entry: Entry) -> set[str]:
        return {_place(plan) for plan in self._plans if _reaches(entry, plan)}


def _place(plan: SubscriptionPlan) -> str:
    return plan.destination.name if plan.destination.kind is Kind.QUEUE else plan.group


def _reaches(entry: Entry, plan: SubscriptionPlan) -> bool:
    if plan.destination.name != entry.destination.name:
        return False
    return plan.destination.kind is not Kind.TOPIC or takes(plan.bindings, entry.routing_key, entry.headers)


def _id_of(plan: SubscriptionPlan, delivery: Delivery) -> str | None:
    try:
        return event_of(delivery, plan.destination).id
    except InvalidEnvelope:
        return None

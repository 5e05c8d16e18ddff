"""Messages that come back from waiting: cleaned of all that waiting has put on them, and known for what they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast, final

from busbridge.transport import Standing, standing_in, without_standing
from busbridge_rabbitmq._delivery import RabbitDelivery

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pika.spec import BasicProperties

    from busbridge_rabbitmq._consumer import Consumer

_DEATHS: Final = "x-death"
_ONE_DEATH: Final = ("x-first-death-", "x-last-death-")


@final
class Returns:
    """Makes the deliveries of a subscription that has tiers, whose queues are `waiting`."""

    def __init__(self, waiting: Iterable[str]) -> None:
        self._waiting = frozenset(waiting)

    def delivery(
        self, consumer: Consumer, tag: int, properties: BasicProperties, body: bytes, *, redelivered: bool
    ) -> RabbitDelivery:
        """A delivery, by its true attempt. What no queue of ours let go counts as new, whatever its headers say."""
        standing = self._taken_off(cast("dict[str, Any] | None", properties.headers) or {})
        made = RabbitDelivery(consumer, tag, properties, body, redelivered=redelivered)
        made.attempt = standing.attempts + 1
        return made

    def _taken_off(self, headers: dict[str, Any]) -> Standing:
        deaths = headers.get(_DEATHS)
        if not isinstance(deaths, list):
            return Standing()
        others = [each for each in cast("list[object]", deaths) if not self._is_ours(each)]
        if len(others) == len(cast("list[object]", deaths)):
            return Standing()
        standing = standing_in(list(headers.items()))
        self._clean(headers, others)
        return standing

    def _is_ours(self, death: object) -> bool:
        return isinstance(death, dict) and cast("dict[str, object]", death).get("queue") in self._waiting

    def _clean(self, headers: dict[str, Any], others: list[object]) -> None:
        """Takes our part off. If it stayed, the broker would see a cycle the next time, and drop the message."""
        kept = dict(without_standing(list(headers.items())))
        kept[_DEATHS] = others
        for prefix in _ONE_DEATH:
            if kept.get(f"{prefix}queue") in self._waiting:
                kept = {name: value for name, value in kept.items() if not name.startswith(prefix)}
        headers.clear()
        headers.update(kept if others else {name: value for name, value in kept.items() if name != _DEATHS})

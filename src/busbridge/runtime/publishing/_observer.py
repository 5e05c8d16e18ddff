"""The seam through which a test sees what a bus does. Without an observer nothing is called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busbridge.routing import SubscriptionPlan
    from busbridge.runtime.publishing._outcomes import Undelivered
    from busbridge.runtime.publishing._prepared import Prepared
    from busbridge.transport import Delivery


class Observer(Protocol):
    """Told synchronously, on the event loop, in the order things happen. Must not raise."""

    def publishing(self, prepared: Sequence[Prepared]) -> None:
        """These messages are about to be handed to their transports, or are committed to the outbox."""
        ...

    def undelivered(self, failures: Sequence[Undelivered]) -> None:
        """Of these it is known, or feared, that a destination did not take them."""
        ...

    def parked(self, message_id: str, destination: str, error: BaseException | None) -> None:
        """The broker refused it for good: it stays in the outbox, and holds the later ones of its key."""
        ...

    def ended(self, plan: SubscriptionPlan, delivery: Delivery, fate: str, error: BaseException | None) -> None:
        """A delivery ended: `handled`, `discarded`, `dead`, `released`, `scheduled`.

        Where there is a store also `duplicate`, `parked`.
        """
        ...

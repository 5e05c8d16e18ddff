"""What a transport that declares `transactions` has besides: deliveries settled together with what they lead to."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, final

from busbridge.transport._protocol import Source, Transport

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busbridge.routing import SubscriptionPlan
    from busbridge.transport._messages import Delivery, Entry, Headers


@final
class Finished(NamedTuple):
    """A delivery that was handled, with all that is to happen with it."""

    delivery: Delivery
    entries: Sequence[Entry] = ()
    """What is to be published."""
    record: Headers | None = None
    """Of one that is rejected: what `Delivery.reject` takes. None: it is accepted."""


class TransactionalSource(Source, Protocol):
    """A source whose deliveries are settled by `commit` alone, or released."""

    async def commit(self, finished: Sequence[Finished]) -> None:
        """Publishes all entries and settles all deliveries, dead letters included: everything of it, or nothing.

        `finished`: of each session the deliveries that come next, in the order they were handed over, none left out.
        One call at a time. Who reads the streams sees what was committed, and nothing before.

        Returns once it is committed. What it raises says that nothing of it happened: StaleDelivery where a session
        has ended; MessageRefused for an entry, or one among several, that would be refused again; TransactionAborted
        for what may pass, a broker that is away for example; AccessRefused. Cancelled it may be committed all the same.
        """
        ...


class Transactional(Transport, Protocol):
    """What a transport that declares `transactions` has besides."""

    async def subscribe_transactional(self, plan: SubscriptionPlan) -> TransactionalSource:
        """As `subscribe`, of a stream. Whatever a process dies of, what it had not committed is delivered again."""
        ...

    async def redriven_transactional(self, plan: SubscriptionPlan) -> TransactionalSource:
        """As `Redrivable.redriven`, where it declares `redrive`."""
        ...

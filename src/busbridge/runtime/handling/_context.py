"""What a handler is given beside its message."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple

from busbridge.contract import info_of
from busbridge.envelope import derived_id
from busbridge.errors import ClosedError, HandlerError, ReplayPublished
from busbridge.routing import ReplayPublish
from busbridge.runtime.handling._event import event_of
from busbridge.runtime.handling._identity import identity_of
from busbridge.runtime.handling._resources import R

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime, timedelta

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

    from busbridge.contract import Contract
    from busbridge.envelope import Event
    from busbridge.routing import ReplayRun, SubscriptionPlan
    from busbridge.runtime.handling._dispatch import Bound
    from busbridge.runtime.publishing._prepared import Prepared
    from busbridge.runtime.publishing._publishing import Publishing
    from busbridge.transport import Delivery, Position


@dataclass(frozen=True, slots=True)
class DeliveryInfo:
    """The delivery that is being handled, as a handler may see it."""

    subscription: str
    destination: str
    attempt: int
    """1 for the first call of the handler: with this delivery, or where the service has a store with this message."""
    redelivered: bool
    """The broker handed the message over before, to somebody who did not finish."""
    position: Position | None
    """Partition and offset, on a stream."""


class Context(ABC, Generic[R]):
    """The message's surroundings: who sent it, as part of what; and the way to publish in answer.

    Valid while the handler runs.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def resources(self) -> R:
        """What the service's lifespan made; None without one."""

    @property
    @abstractmethod
    def message_id(self) -> str:
        """The message's id. With `source` it is unique, and the same in every repetition."""

    @property
    @abstractmethod
    def source(self) -> str:
        """The service that published the message."""

    @property
    @abstractmethod
    def correlation_id(self) -> str:
        """The id of the whole flow: that of its first message."""

    @property
    @abstractmethod
    def causation_id(self) -> str | None:
        """The id of the message whose handling published this one; None if none did."""

    @property
    @abstractmethod
    def headers(self) -> Mapping[str, str]:
        """Headers beside the CloudEvents attributes, the last of repeated ones; bytes read as UTF-8."""

    @property
    @abstractmethod
    def delivery(self) -> DeliveryInfo:
        """The delivery being handled."""

    @property
    @abstractmethod
    def run(self) -> str | None:
        """The id of the replay run that calls the handler once more; None: the message was published just now."""

    @property
    @abstractmethod
    def idempotency_key(self) -> str:
        """A key to hand to outside interfaces, so that they can tell when they are asked again.

        The same whenever this handler runs for this message, also after a crash; another one for any other message. It
        is derived from the message's source and id, or from the field that the handler names as `idempotency_key`.
        """

    @property
    @abstractmethod
    def connection(self) -> AsyncConnection:
        """A connection to the service's store, in the transaction that this message's effects are committed with.

        What is written through it happens once, together with what is published, if the handler succeeds; nothing of it
        if it raises. It can't be committed, rolled back or closed (StoreError); `begin_nested` works. For `async def`
        handlers. Raises HandlerError where the service has no store, ClosedError once the handler has returned.
        """

    @property
    @abstractmethod
    def session(self) -> AsyncSession:
        """A session on `connection`, made when first asked for and flushed when the handler has returned.

        As `connection` it can't be committed, rolled back or closed.
        """

    @abstractmethod
    def publish(
        self,
        message: Contract,
        *,
        headers: Mapping[str, str] | None = None,
        delay: timedelta | float | None = None,
        at: datetime | None = None,
    ) -> str:
        """Collects a message to publish; returns its id, which is derived from the message being handled.

        A plain call, so that it can't be forgotten to await. Sent after the handler returned and confirmed before its
        delivery is settled; where the service has a store, committed with the handler's effects and sent after that.
        Never sent if it raised.

        `delay`, in seconds or as a timedelta, or `at`, a time with its offset from UTC, have it published later, by the
        clock of the store's database: HandlerError where the service has none, ValueError for what is no such time.

        Raises UndeclaredContract, InvalidEnvelope for a reserved header name, InvalidMessage for an empty key,
        pydantic's error where the message does not fit its contract, and ClosedError once the handler has returned,
        when it could not go out any more.
        """

    @abstractmethod
    async def cancel(self, message_id: str) -> bool:
        """Takes back a message that this service was to publish later, if the handler succeeds.

        False: it was published or taken back before, or never was. For `async def` handlers. Raises HandlerError where
        the service has no store, ClosedError once the handler has returned.
        """


class PublishedInReplay(BaseException):
    """Ends a replay run at once: no failure of the handler, and nothing that it may catch by `except Exception`."""

    def __init__(self, error: ReplayPublished) -> None:
        self.error = error
        super().__init__(str(error))


class Surroundings(NamedTuple):
    """What the contexts of a subscription have in common."""

    plan: SubscriptionPlan
    publishing: Publishing
    resources: Any


class LiveContext(Context[R]):
    """The context of a delivery, without a store. Decodes the envelope when it is first asked for."""

    __slots__ = ("_attempt", "_bound", "_delivery", "_event", "_message", "_surroundings", "ended", "outgoing")

    def __init__(
        self, surroundings: Surroundings, delivery: Delivery, message: Contract, attempt: int, bound: Bound
    ) -> None:
        self._surroundings = surroundings
        self._delivery = delivery
        self._message = message
        self._attempt = attempt
        self._bound = bound
        self._event: Event | None = None
        self.outgoing: list[Prepared] = []
        self.ended = False

    @property
    def event(self) -> Event:
        """The decoded envelope."""
        if self._event is None:
            self._event = event_of(self._delivery, self._surroundings.plan.destination)
        return self._event

    @property
    def resources(self) -> R:
        return self._surroundings.resources  # type: ignore[no-any-return]  # the service's lifespan made it: an R

    @property
    def message_id(self) -> str:
        return self.event.id

    @property
    def source(self) -> str:
        return self.event.source

    @property
    def correlation_id(self) -> str:
        return self.event.attributes.get("correlationid") or self.event.id

    @property
    def causation_id(self) -> str | None:
        return self.event.attributes.get("causationid")

    @property
    def headers(self) -> Mapping[str, str]:
        return {
            name: value.decode(errors="replace") if isinstance(value, bytes) else str(value)
            for name, value in self.event.headers
            if value is not None
        }

    @property
    def delivery(self) -> DeliveryInfo:
        plan = self._surroundings.plan
        return DeliveryInfo(
            subscription=plan.name,
            destination=plan.destination.name,
            attempt=self._attempt,
            redelivered=self._delivery.redelivered,
            position=self._delivery.position,
        )

    @property
    def run(self) -> str | None:
        run = self._surroundings.plan.run
        return None if run is None else run.id

    @property
    def idempotency_key(self) -> str:
        return identity_of(self.event, self._message, self._bound, self._surroundings.plan).key

    @property
    def connection(self) -> AsyncConnection:
        raise self._without_store("connection")

    @property
    def session(self) -> AsyncSession:
        raise self._without_store("session")

    def _without_store(self, what: str) -> HandlerError:
        service = self._surroundings.plan.service
        return HandlerError(f"service {service!r} has no store, and so no {what}: add services.{service}.store")

    def _check_running(self) -> None:
        if self.ended:
            raise ClosedError(f"the context of {self._bound.name!r}, which has returned,")

    def publish(
        self,
        message: Contract,
        *,
        headers: Mapping[str, str] | None = None,
        delay: timedelta | float | None = None,
        at: datetime | None = None,
    ) -> str:
        self._check_running()
        run = self._surroundings.plan.run
        if run is not None and run.publish is not ReplayPublish.SEND:
            return self._hold_back(run, message)
        later = None if delay is None and at is None else self._postponing(delay, at)
        event = self.event
        prepared = self._surroundings.publishing.prepare(
            message,
            message_id=self._id_of(event, len(self.outgoing), run),
            correlation_id=event.correlation_id or event.id,
            causation_id=event.id,
            headers=headers,
            cause=event.headers,
        )
        self.outgoing.append(prepared if later is None else later(prepared))
        return prepared.id

    def _id_of(self, event: Event, ordinal: int, run: ReplayRun | None) -> str:
        """Of what is published in answer: a replay run is another cause than the message alone."""
        name = self._bound.name if run is None else f"{self._bound.name}@{run.id}"
        return derived_id(event.source, event.id, name, ordinal)

    def _hold_back(self, run: ReplayRun, message: Contract) -> str:
        """What a replay does not publish (T19)."""
        if run.publish is ReplayPublish.REFUSE:
            raise PublishedInReplay(ReplayPublished(run.id, self._bound.name, info_of(type(message)).name))
        return self._id_of(self.event, len(self.outgoing), run)

    def _postponing(self, delay: timedelta | float | None, at: datetime | None) -> Callable[[Prepared], Prepared]:  # noqa: ARG002 - where there is a store
        raise self._without_store("timers to publish later")

    async def cancel(self, message_id: str) -> bool:  # noqa: ARG002 - where there is a store
        raise self._without_store("timers to publish later")

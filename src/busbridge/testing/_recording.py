"""A context for calling one handler by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, final

from busbridge.contract import Writer
from busbridge.envelope import check_headers, derived_id, new_id
from busbridge.errors import HandlerError
from busbridge.runtime import Context, DeliveryInfo
from busbridge.runtime.handling._resources import R
from busbridge.runtime.publishing._misuse import no_message

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

    from busbridge.contract import Contract

    C = TypeVar("C", bound=Contract)


@final
class RecordingContext(Context[R]):
    """What a handler is given, without a bus: `await handler(message, RecordingContext())`.

    What it publishes is in `published`, in order, or in `scheduled` where that is to be later; what can't be encoded is
    refused as by a bus. Everything a handler may ask for can be set. It does not know what the service declares to
    publish: the harness does.
    """

    def __init__(
        self,
        *,
        resources: R = None,  # type: ignore[assignment]  # None is right where R is None, as without a lifespan
        message_id: str | None = None,
        source: str = "test",
        correlation_id: str | None = None,
        causation_id: str | None = None,
        headers: Mapping[str, str] | None = None,
        delivery: DeliveryInfo | None = None,
        idempotency_key: str | None = None,
        run: str | None = None,
        connection: AsyncConnection | None = None,
        session: AsyncSession | None = None,
    ) -> None:
        """`connection`, `session`: what the handler is to write through; the test commits it, or rolls it back."""
        self._resources = resources
        self._message_id = message_id or new_id()
        self._source = source
        self._correlation_id = correlation_id or self._message_id
        self._causation_id = causation_id
        self._headers = dict(headers or {})
        self._delivery = delivery or DeliveryInfo("test", "test", attempt=1, redelivered=False, position=None)
        self._idempotency_key = idempotency_key or derived_id(source, self._message_id, "test/handler", 0)
        self._run = run
        self._connection = connection
        self._session = session
        self.published: list[Contract] = []
        self.scheduled: dict[str, Contract] = {}
        """What is to be published later, by id; what `cancel` took is gone."""
        self._given = 0

    @property
    def resources(self) -> R:
        return self._resources

    @property
    def message_id(self) -> str:
        return self._message_id

    @property
    def source(self) -> str:
        return self._source

    @property
    def correlation_id(self) -> str:
        return self._correlation_id

    @property
    def causation_id(self) -> str | None:
        return self._causation_id

    @property
    def headers(self) -> Mapping[str, str]:
        return self._headers

    @property
    def delivery(self) -> DeliveryInfo:
        return self._delivery

    @property
    def run(self) -> str | None:
        return self._run

    @property
    def idempotency_key(self) -> str:
        return self._idempotency_key

    @property
    def connection(self) -> AsyncConnection:
        if self._connection is None:
            raise HandlerError("the handler asks for a connection: give RecordingContext a connection=")
        return self._connection

    @property
    def session(self) -> AsyncSession:
        if self._session is None:
            raise HandlerError("the handler asks for a session: give RecordingContext a session=")
        return self._session

    def publish(
        self,
        message: Contract,
        *,
        headers: Mapping[str, str] | None = None,
        delay: timedelta | float | None = None,
        at: datetime | None = None,
    ) -> str:
        if (misuse := no_message(message)) is not None:
            raise misuse
        writer = Writer(type(message))
        writer.body(message)
        writer.key(message)
        check_headers(headers or {})
        message_id = derived_id(self._source, self._message_id, "test", self._given)
        self._given += 1
        if delay is None and at is None:
            self.published.append(message)
        else:
            self.scheduled[message_id] = message
        return message_id

    async def cancel(self, message_id: str) -> bool:
        return self.scheduled.pop(message_id, None) is not None

    def published_of(self, contract: type[C]) -> list[C]:
        """What was published of one contract, in order."""
        return [each for each in self.published if type(each) is contract]

    def __repr__(self) -> str:
        return f"<RecordingContext of {self._message_id!r}, published {len(self.published)}>"

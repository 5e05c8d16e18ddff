"""What a user writes: a service, its subscriptions and their handlers. Says what is done, never where."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, final, overload

from busbridge.contract import Contract
from busbridge.errors import HandlerError
from busbridge.runtime._lifespans import check_lifespan
from busbridge.runtime.handling._declared import Declared
from busbridge.runtime.handling._handler import check_contracts, make_handler
from busbridge.runtime.handling._resources import R

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from busbridge.runtime.handling._context import Context
    from busbridge.runtime.handling._declared import Errors, Rule
    from busbridge.runtime.handling._handler import Handler
    from busbridge.runtime.handling._resources import Lifespan

C = TypeVar("C", bound=Contract)
C1 = TypeVar("C1", bound=Contract)
C2 = TypeVar("C2", bound=Contract)
C3 = TypeVar("C3", bound=Contract)
C4 = TypeVar("C4", bound=Contract)


@final
class Service(Generic[R]):
    """What is deployed together: what it publishes, and what it handles.

    `name` is the CloudEvents source of its messages and the owner of its subscriptions; replicas share it. `publishes`
    lists every contract it may publish: one that has no route is an error at start, publishing another raises.
    `lifespan` makes what handlers use (`context.resources`): entered when a bus opens, left after the last handler.
    `version`: of the code that is deployed, as dead letters tell it.
    Raises HandlerError for something in `publishes` that is no contract, or an abstract one, and for a lifespan that
    can't be entered.
    """

    @overload
    def __init__(
        self: Service[None], name: str, *, publishes: Iterable[type[Contract]] = (), version: str = ""
    ) -> None: ...
    @overload
    def __init__(
        self, name: str, *, publishes: Iterable[type[Contract]] = (), lifespan: Lifespan[R], version: str = ""
    ) -> None: ...
    def __init__(
        self,
        name: str,
        *,
        publishes: Iterable[type[Contract]] = (),
        lifespan: Lifespan[Any] | None = None,
        version: str = "",
    ) -> None:
        self.name = name
        self.version = version
        self.publishes = _listed(publishes, name)
        check_contracts(self.publishes, f"service {name!r} publishes")
        if lifespan is not None:
            check_lifespan(lifespan, name)
        self.lifespan = lifespan
        self._subscriptions: dict[str, Subscription[R]] = {}

    @property
    def subscriptions(self) -> Mapping[str, Subscription[R]]:
        """Its subscriptions by name."""
        return MappingProxyType(self._subscriptions)

    @property
    def contracts(self) -> tuple[type[Contract], ...]:
        """Every contract it publishes or handles, each once."""
        handled = (each for subscription in self._subscriptions.values() for each in subscription.contracts)
        return tuple(dict.fromkeys([*self.publishes, *handled]))

    def subscription(self, name: str, *, idempotency_key: str | None = None) -> Subscription[R]:
        """A named place of this service at one destination, which the configuration gives.

        `idempotency_key` counts for all its handlers: see `Subscription.handles`. Raises HandlerError if the service
        has one of this name.
        """
        if name in self._subscriptions:
            raise HandlerError(f"service {self.name!r} has a subscription {name!r} already")
        self._subscriptions[name] = subscription = Subscription[R](self.name, name, idempotency_key)
        return subscription

    def __repr__(self) -> str:
        return f"<Service {self.name!r}, publishes {len(self.publishes)}, subscriptions {len(self._subscriptions)}>"


@final
class Subscription(Generic[R]):
    """One queue or one consumer group, shared by the replicas of a service. Made by `Service.subscription`."""

    def __init__(self, service: str, name: str, idempotency_key: str | None = None) -> None:
        self.service = service
        self.name = name
        self.idempotency_key = idempotency_key
        self._handlers: list[Handler] = []

    @property
    def handlers(self) -> tuple[Handler, ...]:
        """Its handlers as declared: of several for one contract the first whose `when` holds is taken."""
        return tuple(self._handlers)

    @property
    def contracts(self) -> tuple[type[Contract], ...]:
        """Every contract it handles, each once."""
        return tuple(dict.fromkeys(each for handler in self._handlers for each in handler.contracts))

    @overload
    def handles(
        self,
        contract: type[C],
        /,
        *,
        when: Callable[[C], bool] | None = ...,
        fatal: Errors = ...,
        retry_on: Errors | None = ...,
        discard: Mapping[str, Callable[[C], bool]] = ...,
        name: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> HandlerDecorator[C, R]: ...
    @overload
    def handles(
        self,
        first: type[C1],
        second: type[C2],
        /,
        *,
        when: Callable[[C1 | C2], bool] | None = ...,
        fatal: Errors = ...,
        retry_on: Errors | None = ...,
        discard: Mapping[str, Callable[[C1 | C2], bool]] = ...,
        name: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> HandlerDecorator[C1 | C2, R]: ...
    @overload
    def handles(
        self,
        first: type[C1],
        second: type[C2],
        third: type[C3],
        /,
        *,
        when: Callable[[C1 | C2 | C3], bool] | None = ...,
        fatal: Errors = ...,
        retry_on: Errors | None = ...,
        discard: Mapping[str, Callable[[C1 | C2 | C3], bool]] = ...,
        name: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> HandlerDecorator[C1 | C2 | C3, R]: ...
    @overload
    def handles(
        self,
        first: type[C1],
        second: type[C2],
        third: type[C3],
        fourth: type[C4],
        /,
        *,
        when: Callable[[C1 | C2 | C3 | C4], bool] | None = ...,
        fatal: Errors = ...,
        retry_on: Errors | None = ...,
        discard: Mapping[str, Callable[[C1 | C2 | C3 | C4], bool]] = ...,
        name: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> HandlerDecorator[C1 | C2 | C3 | C4, R]: ...
    @overload
    def handles(
        self,
        first: type[Contract],
        second: type[Contract],
        third: type[Contract],
        fourth: type[Contract],
        fifth: type[Contract],
        /,
        *more: type[Contract],
        when: Rule | None = ...,
        fatal: Errors = ...,
        retry_on: Errors | None = ...,
        discard: Mapping[str, Rule] = ...,
        name: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> HandlerDecorator[Any, R]: ...
    def handles(
        self,
        *contracts: type[Contract],
        when: Rule | None = None,
        fatal: Errors = (),
        retry_on: Errors | None = None,
        discard: Mapping[str, Rule] = MappingProxyType({}),
        name: str | None = None,
        idempotency_key: str | None = None,
    ) -> HandlerDecorator[Any, R]:
        """Makes the decorated function the handler of `contracts`; it stays the function it was.

        The function takes `(message)` or `(message, context)`: a second positional parameter is given the context, also
        if it has a default. `async def` runs on the event loop, `def` in a bounded pool of threads, where a stop can't
        interrupt it: one that outlives the grace runs on while its message is delivered again elsewhere, and the
        process ends after it.

        `when` filters by content: a message that no handler's `when` takes is discarded by the rule `filtered` and
        counted. `discard` has rules by name for messages that are not worth handling any more, `{"stale": is_stale}`:
        asked before each attempt, in their order; a message that one holds for is accepted without a call of the
        handler, and counted under the name.

        An error of a `fatal` class makes the message a dead letter at once, and so does any that is not of a class in
        `retry_on`, where that is given; others are tried again, as often as the configuration says. What `when` or a
        rule raises is an attempt that failed; both are plain functions. A handler may also raise `Retry` and `Reject`.

        `name` (default: the function's) is part of the ids of what the handler publishes, so
        renaming it changes them. `idempotency_key` names the field of the contracts that tells whether a message
        is the same one, for producers that can't keep ids (default: the subscription's, else the message's id). Raises
        HandlerError where the function can't be a handler, or would never be reached.
        """
        check_contracts(contracts, f"subscription {self.name!r} handles")
        key = idempotency_key or self.idempotency_key
        return HandlerDecorator(self, Declared(contracts, when, fatal, retry_on, discard, name, key))

    def add(self, handler: Handler) -> None:
        """Adds a handler. Raises HandlerError where its name is taken, or where it could never be reached."""
        for other in self._handlers:
            if other.name == handler.name:
                raise HandlerError(
                    f"subscription {self.name!r} has two handlers named {handler.name!r}: give one a name="
                )
            hidden = set(other.contracts) & set(handler.contracts)
            if hidden and other.when is None:
                listed = ", ".join(sorted(each.__name__ for each in hidden))
                raise HandlerError(
                    f"handler {handler.name!r} of subscription {self.name!r} is never reached for {listed}: "
                    f"{other.name!r}, declared before it, takes all (give that one a when=)"
                )
        self._handlers.append(handler)

    def __repr__(self) -> str:
        return f"<Subscription {self.name!r} of {self.service!r}, handlers {len(self._handlers)}>"


@final
class HandlerDecorator(Generic[C, R]):
    """What `handles` returns: takes the function, gives it back."""

    def __init__(self, subscription: Subscription[R], declared: Declared) -> None:
        self._subscription = subscription
        self._declared = declared

    @overload
    def __call__(self, function: Callable[[C], Awaitable[None]], /) -> Callable[[C], Awaitable[None]]: ...
    @overload
    def __call__(
        self, function: Callable[[C, Context[R]], Awaitable[None]], /
    ) -> Callable[[C, Context[R]], Awaitable[None]]: ...
    @overload
    def __call__(self, function: Callable[[C], None], /) -> Callable[[C], None]: ...
    @overload
    def __call__(self, function: Callable[[C, Context[R]], None], /) -> Callable[[C, Context[R]], None]: ...
    def __call__(self, function: Callable[..., object], /) -> Callable[..., object]:
        self._subscription.add(make_handler(function, self._declared))
        return function


def _listed(publishes: Iterable[type[Contract]], service: str) -> tuple[type[Contract], ...]:
    """Raises HandlerError for one class, or its name, in the place of a list."""
    given: object = publishes
    if isinstance(given, type):
        raise HandlerError(f"publishes= of service {service!r} is one class: give a list, [{given.__name__}]")
    if isinstance(given, str):
        raise HandlerError(f"publishes= of service {service!r} is the text {given!r}: give a list of classes")
    return tuple(publishes)

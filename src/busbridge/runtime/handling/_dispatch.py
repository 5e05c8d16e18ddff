"""From the bytes of a delivery to a reader and the handlers of its contract.

What decides is in a few headers that are the same for every message of a contract and version, so the decision is made
once for each combination of their raw values and then looked up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar, final

from busbridge.contract import info_of
from busbridge.envelope import names
from busbridge.errors import InvalidMessage, NotHandled, UnknownContract, UnknownVersion
from busbridge.runtime.handling._event import event_of
from busbridge.runtime.handling._limit import limited
from busbridge.runtime.handling._rules import asked, takes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from concurrent.futures import Executor

    from busbridge.contract import Contract, Registry
    from busbridge.envelope import Event
    from busbridge.routing import SubscriptionPlan
    from busbridge.runtime.handling._declared import Rule
    from busbridge.runtime.handling._handler import Call, Handler
    from busbridge.transport import Delivery

K = TypeVar("K")

_REMEMBERED: Final = 1024
"""Combinations kept: a foreign producer may send any number of different ones."""


class Bound(NamedTuple):
    """A handler, ready to be called."""

    name: str
    """`subscription/handler`."""
    place: str
    """What the store calls it: `service.subscription/handler`."""
    when: Rule | None
    call: Call
    fatal: tuple[type[Exception], ...]
    idempotency_key: str | None = None
    """The field that identifies a message; None: its id does."""
    retry_on: tuple[type[Exception], ...] | None = None
    """What is worth another attempt; None: all that is not fatal."""
    discards: tuple[tuple[str, Rule], ...] = ()
    """By name: messages that need not be handled any more."""
    plain: Callable[[Contract], Awaitable[None]] | None = None
    """What may be called instead of `call` where nobody traces: it takes no context, so that none need be made."""


class Choice(NamedTuple):
    """How messages of one contract and version are read here, and who may handle them, in order."""

    read: Callable[[bytes], Contract]
    handlers: tuple[Bound, ...]
    only: Bound | None
    """The handler that takes every one of them and discards none, where the first of `handlers` is such a one."""


@final
class Dispatcher:
    """Decides for one subscription."""

    def __init__(
        self, plan: SubscriptionPlan, handlers: Sequence[Handler], registry: Registry, executor: Executor, prefix: str
    ) -> None:
        self._plan = plan
        self._registry = registry
        self._versions: dict[str, dict[int, list[Bound]]] = {}
        for handler in handlers:
            bound = _bound(handler, plan, executor)
            for contract in handler.contracts:
                info = info_of(contract)
                self._versions.setdefault(info.name, {}).setdefault(info.version, []).append(bound)
        self.places = tuple(_place(handler, plan) for handler in handlers)
        """What the store calls the handlers."""
        known = names(prefix)
        self._id = known.id
        self._fingerprint = (known.specversion, known.type, known.source, known.dataschema, known.readableby)
        self._by_headers: dict[tuple[object, ...], Choice] = {}
        self._by_contract: dict[tuple[str | None, ...], Choice] = {}

    def choose(self, delivery: Delivery) -> tuple[Choice, bytes]:
        """The choice for a delivery, and the bytes to read. Decodes no envelope that looks like one before.

        Raises InvalidEnvelope, UnknownContract, UnknownVersion, NotHandled, InvalidMessage (no body).
        """
        headers = dict(delivery.headers)
        get = headers.get
        spec, kind, source, schema, readable = self._fingerprint
        key = (get("content-type"), get(spec), get(kind), get(source), get(schema), get(readable))
        try:
            choice = self._by_headers.get(key)
        except TypeError:  # an AMQP table or array, which can't be looked up: decoding says what is wrong with it
            choice = None
        body = delivery.body
        if choice is None or not get(self._id):
            choice, body, event = self.decode(delivery)
            if event.data is delivery.body and None not in key[1:5]:
                # No structured event; all that decides is in the key, none of it under another prefix.
                _remember(self._by_headers, key, choice)
        if body is None:
            raise _without_body()
        return choice, body

    def decode(self, delivery: Delivery) -> tuple[Choice, bytes, Event]:
        """As `choose`, with the envelope, where that is wanted in any case: so the headers are read once."""
        event = event_of(delivery, self._plan.destination)
        get = event.attributes.get
        key = (get("type"), get("dataschema"), get("readableby"))
        choice = self._by_contract.get(key)
        if choice is None:
            choice = self._choice(event)
            _remember(self._by_contract, key, choice)
        if event.data is None:
            raise _without_body()
        return choice, event.data, event

    def _choice(self, event: Event) -> Choice:
        versions: Mapping[int, list[Bound]] | None = self._versions.get(event.type)
        if versions is None:
            if self._registry.versions(event.type):
                raise NotHandled(event.type, self._plan.name)
            raise UnknownContract(event.type)
        if event.version is None:
            raise UnknownVersion(event.type, None, sorted(versions))
        reader = self._registry.reader(event.type, event.version, event.readable_by, versions)
        handlers = tuple(versions[info_of(reader.contract).version])
        first = handlers[0]
        only = first if first.when is None and not first.discards else None
        return Choice(reader.read, handlers, only)


def _remember(choices: dict[K, Choice], key: K, choice: Choice) -> None:
    if len(choices) >= _REMEMBERED:
        choices.clear()
    choices[key] = choice


def _without_body() -> InvalidMessage:
    return InvalidMessage("the message has no body")


class Discarded(Exception):
    """A rule holds for the message: it needs no handling. Inside this package only."""

    def __init__(self, rule: str) -> None:
        self.rule = rule
        super().__init__(rule)


def taker(choice: Choice, message: Contract) -> Bound | None:
    """The first handler that takes the message. Raises Discarded, and as its `when` and its rules, asked, do."""
    for bound in choice.handlers:
        if takes(bound, message):
            discard(bound, message)
            return bound
    return None


def discard(bound: Bound, message: Contract) -> None:
    """Raises Discarded where a rule of the handler holds for the message, and as its rules, asked, do."""
    for name, rule in bound.discards:
        if asked(rule, message, name, bound):
            raise Discarded(name)


def _bound(handler: Handler, plan: SubscriptionPlan, executor: Executor) -> Bound:
    call, limit = handler.bind(executor), plan.retry.limit
    return Bound(
        name=f"{plan.name}/{handler.name}",
        place=_place(handler, plan),
        when=handler.when,
        call=call if limit is None else limited(call, limit),
        fatal=handler.fatal,
        idempotency_key=handler.idempotency_key,
        retry_on=handler.retry_on,
        discards=handler.discards,
        plain=handler.plain if limit is None else None,
    )


def _place(handler: Handler, plan: SubscriptionPlan) -> str:
    return f"{plan.service}.{plan.name}/{handler.name}"

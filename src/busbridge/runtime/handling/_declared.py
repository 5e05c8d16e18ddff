"""What a handler declares beside its function: what it takes, and what its failures mean."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from busbridge.errors import HandlerError
from busbridge.runtime.handling._rules import check_rule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import TypeAlias

    from busbridge.contract import Contract

    Errors: TypeAlias = type[Exception] | Iterable[type[Exception]]
    """As `except` takes it."""

    Rule = Callable[[Any], bool]
    """Asked of a message. A plain function: what a coroutine function returns is true whatever it says."""

OWN_RULES: Final = ("filtered", "not_handled")
"""Names of the rules by which messages are discarded without anyone's declaring it."""


class Declared(NamedTuple):
    """The arguments of `Subscription.handles`, as they were given."""

    contracts: tuple[type[Contract], ...]
    when: Rule | None = None
    fatal: Errors = ()
    retry_on: Errors | None = None
    discard: Mapping[str, Rule] = MappingProxyType({})
    name: str | None = None
    idempotency_key: str | None = None


def error_classes(errors: Errors, keyword: str, who: str) -> tuple[type[Exception], ...]:
    """The classes as a tuple. Raises HandlerError for what is none."""
    classes = (errors,) if isinstance(errors, type) else tuple(errors)
    for each in cast("tuple[object, ...]", classes):
        if not (isinstance(each, type) and issubclass(each, Exception)):
            raise HandlerError(f"{keyword} of {who} has {each!r}, which is no class of exceptions")
    return classes


def check_apart(fatal: Iterable[type[Exception]], retry_on: Iterable[type[Exception]], who: str) -> None:
    """Raises HandlerError where `fatal` leaves nothing of a class in `retry_on`."""
    fatal = tuple(fatal)
    for each in retry_on:
        if issubclass(each, fatal):
            raise HandlerError(f"retry_on= of {who} has {each.__name__}, which is fatal: it would never be tried again")


def discard_rules(rules: Mapping[str, Rule], who: str) -> tuple[tuple[str, Rule], ...]:
    """Names and rules, in order. Raises HandlerError for a name that is empty or taken, and for what can't be asked."""
    for name, rule in cast("Mapping[object, object]", rules).items():
        if not isinstance(name, str) or not name:
            raise HandlerError(f"discard= of {who} has the name {name!r}: it must be a text, by which it is counted")
        if name in OWN_RULES:
            raise HandlerError(f"discard= of {who} has a rule {name!r}, a name that busbridge counts by itself")
        check_rule(rule, f"discard= of {who}: the rule {name!r}")
    return tuple(rules.items())

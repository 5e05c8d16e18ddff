"""A handler: the user's function, the contracts it takes, and how it is called."""

from __future__ import annotations

import asyncio
import inspect
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from busbridge.contract import Contract
from busbridge.errors import HandlerError
from busbridge.runtime.handling._declared import check_apart, discard_rules, error_classes
from busbridge.runtime.handling._rules import check_rule, is_async

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from concurrent.futures import Executor

    from busbridge.runtime.handling._declared import Declared, Rule

    Call = Callable[[Any, Any], Awaitable[None]]
    """How the pipeline calls a handler, whatever its signature: (message, context)."""


@dataclass(frozen=True, slots=True)
class Handler:
    """One decorated function inside a subscription."""

    function: Callable[..., object]
    name: str
    """Unique in its subscription. The ids of what it publishes are derived from it (T6)."""
    contracts: tuple[type[Contract], ...]
    when: Rule | None
    fatal: tuple[type[Exception], ...]
    takes_context: bool
    is_async: bool
    retry_on: tuple[type[Exception], ...] | None = None
    """What is worth another attempt; None: all that is not fatal."""
    discards: tuple[tuple[str, Rule], ...] = ()
    """By name: messages that need not be handled any more."""
    idempotency_key: str | None = None
    """The field of its contracts that identifies a message; None: its id does."""

    @property
    def place(self) -> str:
        """`file:line` of the function, for people."""
        code = inspect.unwrap(self.function)
        try:
            return f"{inspect.getsourcefile(code)}:{inspect.getsourcelines(code)[1]}"
        except (OSError, TypeError):
            return "?"

    def bind(self, executor: Executor) -> Call:
        """The one shape that the pipeline calls: a coroutine function of (message, context)."""
        function = self.function
        if self.is_async:
            return cast("Call", function if self.takes_context else _without_context(function))
        return _in_thread(function, executor, takes_context=self.takes_context)

    @property
    def plain(self) -> Callable[[Contract], Awaitable[None]] | None:
        """The function itself, where it is a coroutine function of the message alone: it needs no context made."""
        wanted = self.is_async and not self.takes_context
        return cast("Callable[[Contract], Awaitable[None]]", self.function) if wanted else None


def make_handler(function: Callable[..., object], declared: Declared) -> Handler:
    """Checks a function's declaration. Raises HandlerError where it can't be a handler."""
    who, contracts = _described(function), declared.contracts
    if not contracts:
        raise HandlerError(f"{who} handles no contract: name at least one class in handles(...)")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise HandlerError(f"{who} has a `yield`: calling it would run nothing of it")
    fatal = error_classes(declared.fatal, "fatal=", who)
    retry_on = None if declared.retry_on is None else error_classes(declared.retry_on, "retry_on=", who)
    check_apart(fatal, retry_on or (), who)
    if declared.when is not None:
        check_rule(declared.when, f"when= of {who}")
    return Handler(
        function=function,
        name=declared.name or str(getattr(function, "__name__", type(function).__name__)),
        contracts=contracts,
        when=declared.when,
        fatal=fatal,
        takes_context=_takes_context(function),
        is_async=is_async(function),
        retry_on=retry_on,
        discards=discard_rules(declared.discard, who),
        idempotency_key=_field(declared.idempotency_key, contracts, function),
    )


def check_contracts(contracts: Iterable[object], who: str) -> None:
    """Raises HandlerError unless all are classes of contracts that have a name."""
    for each in contracts:
        if not (isinstance(each, type) and issubclass(each, Contract)):
            raise HandlerError(f"{who} {each!r}, which is no contract class")
        if each.__contract__ is None:
            raise HandlerError(f"{who} {each.__name__}, an abstract contract without a name")


def _field(name: str | None, contracts: Iterable[type[Contract]], function: Callable[..., object]) -> str | None:
    """The name, once every contract has such a field."""
    for each in contracts if name is not None else ():
        if name not in each.model_fields:
            raise HandlerError(f"idempotency_key= of {_described(function)} is {name!r}, no field of {each.__name__}")
    return name


def _takes_context(function: Callable[..., object]) -> bool:
    """Whether there is a second positional parameter; HandlerError where none can fit.

    One whose default is None is given the context too. One with any other default keeps that: it is how a closure is
    given a value.
    """
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = list(inspect.signature(function).parameters.values())
    required = [each for each in parameters if each.default is each.empty and each.kind not in _VARIADIC]
    if any(each.kind is each.KEYWORD_ONLY for each in required) or not 1 <= len(required) <= 2:  # noqa: PLR2004 - (message) or (message, context)
        raise HandlerError(
            f"{_described(function)} must take (message) or (message, context), not {inspect.signature(function)}"
        )
    given = [each for each in parameters if each.kind in positional and (each in required or each.default is None)]
    return len(given) > 1


_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _described(function: Callable[..., object]) -> str:
    code = getattr(inspect.unwrap(function), "__code__", None)
    place = f" ({code.co_filename}:{code.co_firstlineno})" if code else ""
    return f"handler {getattr(function, '__qualname__', function)!r}{place}"


def _without_context(function: Callable[..., Any]) -> Call:
    def call(message: Contract, _context: object) -> Awaitable[None]:
        return function(message)  # type: ignore[no-any-return]  # a coroutine function, called for each message

    return call


def _in_thread(function: Callable[..., object], executor: Executor, *, takes_context: bool) -> Call:
    async def call(message: Contract, context: object) -> None:
        arguments = (message, context) if takes_context else (message,)
        # In this task's context: the span of the handling is current in the thread as well.
        run = partial(copy_context().run, _called, function, *arguments)
        result = await asyncio.get_running_loop().run_in_executor(executor, run)
        if inspect.isawaitable(result):
            if inspect.iscoroutine(result):
                result.close()
            raise HandlerError(
                f"{_described(function)} is a plain function that returned an awaitable: declare it `async def`"
            )

    return call


def _called(function: Callable[..., object], *arguments: object) -> object:
    try:
        return function(*arguments)
    except StopIteration as error:  # no future can hold one: whoever waits for it would wait for ever
        raise RuntimeError(f"{_described(function)} raised StopIteration") from error

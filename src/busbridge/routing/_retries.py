"""The `retry` section of a subscription: attempts counted, delays refused where nothing could keep them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from busbridge.routing._retry_plan import Backoff, RetryPlan
from busbridge.routing._tiers import tiers_of

if TYPE_CHECKING:
    from busbridge.routing._config import KeyPath
    from busbridge.routing._model import RetrySection
    from busbridge.routing._problems import Problems

_IMMEDIATE: Final = 3
_FIRST: Final = 1.0
_LONGEST: Final = 300.0
_DELAYS: Final = ("immediate", "first", "max", "backoff")
"""Keys that ask for delayed attempts."""


def retry_plan(
    path: KeyPath, section: RetrySection, *, ordered: bool, durable: bool, stored: bool, problems: Problems
) -> RetryPlan:
    """What `section`, which stands at `path`, says; all attempts follow at once unless it asks for delays.

    `durable`: neither the subscription nor its destination may go by itself. `stored`: the service has a store, perhaps
    one that could not be read; without one the delays are tiers at the broker.
    """
    asked = [key for key in _DELAYS if section.given(key)]
    limit = _limit(path, section, problems)
    if not section.delays and section.immediate in {None, section.attempts}:
        return RetryPlan(section.attempts, section.attempts, limit=limit)
    _check_place(path, asked[0], ordered=ordered, lasting=stored or durable, problems=problems)
    first = _FIRST if section.first is None else section.first.total_seconds()
    longest = max(_LONGEST, first) if section.longest is None else section.longest.total_seconds()
    immediate = min(_IMMEDIATE, max(1, section.attempts - 1)) if section.immediate is None else section.immediate
    _check_numbers(path, section, immediate, first, longest, problems)
    backoff = section.backoff or Backoff.EXPONENTIAL
    plan = RetryPlan(section.attempts, min(immediate, section.attempts), first, longest, backoff, limit)
    return plan if stored or ordered or not first else replace(plan, tiers=tiers_of(plan))


def _limit(path: KeyPath, section: RetrySection, problems: Problems) -> float | None:
    if section.limit is None:
        return None
    if not section.limit:
        problems.add((*path, "limit"), "it must be longer than zero")
    return section.limit.total_seconds()


def _check_place(path: KeyPath, key: str, *, ordered: bool, lasting: bool, problems: Problems) -> None:
    if not ordered and not lasting:
        problem = "a delayed attempt waits at the broker, which may have forgotten the subscription before it is due"
        hint = f"add services.{path[1]}.store, leave the delays out, or make destination and subscription durable"
        problems.add((*path, key), problem, hint)


def _check_numbers(
    path: KeyPath, section: RetrySection, immediate: int, first: float, longest: float, problems: Problems
) -> None:
    attempts = (*path, "attempts")
    if section.immediate is not None and immediate > section.attempts:
        problem = f"found {immediate}, but there {_attempts(section.attempts)}"
        problems.add((*path, "immediate"), problem, because=attempts)
    elif immediate >= section.attempts and section.delays:
        key = next(key for key in _DELAYS[1:] if section.given(key))
        problem = f"there {_attempts(section.attempts)}, none of which is left to be delayed"
        problems.add((*path, key), problem, "more `attempts`, or fewer `immediate`", because=attempts)
    if not first:
        problems.add((*path, "first"), "it must be longer than zero")
    if longest < first:
        problems.add((*path, "max"), "it is shorter than `first`", because=(*path, "first"))


def _attempts(count: int) -> str:
    return "is 1 attempt" if count == 1 else f"are {count} attempts"

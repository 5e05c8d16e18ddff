"""How long an attempt waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from busbridge.routing import RetryPlan


def pause(plan: RetryPlan, ended: int, after: float | None, between: Callable[[float, float], float]) -> float:
    """Seconds until the next attempt, when `ended` of them have failed: `after`, where the handler has said so."""
    if after is not None:
        return after
    return 0.0 if ended < plan.immediate else delay(plan, ended - plan.immediate + 1, between)


def delay(plan: RetryPlan, number: int, between: Callable[[float, float], float]) -> float:
    """Seconds that delayed attempt `number` (the first is 1) waits: drawn by `between` from `first` to its ceiling.

    Drawn at random, so that messages that failed together do not come back together.
    """
    return between(plan.first, plan.ceiling(number))

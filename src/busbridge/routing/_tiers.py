"""Delays without a store: few and fixed, since a broker keeps what waits in one place for each length of waiting.

A place with a single length of waiting is a line: what came first is due first. In one with several, a short wait would
stand behind a long one (T21).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from busbridge.routing._retry_plan import RetryPlan

_GROWTH: Final = 4.0
"""Each tier is so much longer than the one before: half as many places as delays that double."""
_DOUBLINGS: Final = 64
"""Delayed attempts after which no delay is longer than the one before, whatever the plan says."""


def tiers_of(plan: RetryPlan) -> tuple[float, ...]:
    """The tiers that the delayed attempts of `plan` need, in seconds, the shortest first."""
    ladder = _ladder(plan.first, plan.longest)
    waits = (plan.wait(number) for number in range(1, min(plan.delayed, _DOUBLINGS) + 1))
    return tuple(sorted({ladder[bisect_left(ladder, each)] for each in waits}))


def _ladder(first: float, longest: float) -> list[float]:
    """From `first` up to `longest`, in whole milliseconds: the unit in which brokers count."""
    steps = [first]
    while (step := steps[-1] * _GROWTH) <= longest / 2:
        steps.append(step)
    if longest > first:
        steps.append(longest)
    return [math.ceil(round(each * 1000, 6)) / 1000 for each in steps]


def tier_name(seconds: float) -> str:
    """What a tier's place is called: `4s`, `1500ms`. By its length: a configuration that changes it needs another."""
    milliseconds = round(seconds * 1000)
    return f"{milliseconds}ms" if milliseconds % 1000 else f"{milliseconds // 1000}s"

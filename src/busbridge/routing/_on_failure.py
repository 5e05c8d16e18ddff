"""`on_failure` of a subscription: what becomes of a key while a message of it is tried again."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from busbridge.routing._retry_plan import LONGEST_BLOCK

if TYPE_CHECKING:
    from busbridge.routing._config import KeyPath
    from busbridge.routing._problems import Problems
    from busbridge.routing._retry_plan import RetryPlan


class OnFailure(StrEnum):
    """What an ordered subscription does with a key while a message of it waits for its next attempt."""

    BLOCK = "block"
    """The message keeps its place, unsettled; the later ones of its key wait behind it."""
    PARK_KEY = "park_key"
    """The message waits in the store, and so do the later ones of its key, in their order."""


def on_failure(
    path: KeyPath, found: OnFailure | None, retry: RetryPlan, *, ordered: bool, stored: bool, problems: Problems
) -> OnFailure | None:
    """What the subscription at `path` does; None where it is not ordered: then other messages simply go on.

    Blocking is what happens where nothing is said: it keeps the order, needs no store, and loses nothing.
    """
    where = (*path, "on_failure")
    if not ordered:
        if found is not None:
            problem = "it says what keeps the order of a key, and the subscription is not ordered"
            problems.add(where, problem, "leave it out: other messages go on", because=(*path, "ordered"))
        return None
    if found is OnFailure.PARK_KEY and not stored:
        problem = "messages are parked in a store, and the service has none"
        problems.add(where, problem, f"add services.{path[1]}.store, or say `block`")
    if not stored and retry.span > LONGEST_BLOCK:
        problem = f"its delays may last {retry.span:g}s in all, and a key may block for {LONGEST_BLOCK:g}s"
        hint = f"a shorter `max`, fewer attempts, or a services.{path[1]}.store, where it is parked after that"
        problems.add((*path, "retry"), problem, hint)
    return found or OnFailure.BLOCK

"""Timers that nobody takes: a handler was renamed, or is gone, while attempts waited for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from busbridge.outbox import scheduled_place

if TYPE_CHECKING:
    from collections.abc import Iterable

    from busbridge.runtime._service import Service
    from busbridge.store import WaitingTimers


def strangers(waiting: Iterable[WaitingTimers], service: Service[Any]) -> list[WaitingTimers]:
    """Of what waits among the timers of a service, what no handler of it is called."""
    known = {scheduled_place(service.name)}
    for subscription in service.subscriptions.values():
        known.update(f"{service.name}.{subscription.name}/{handler.name}" for handler in subscription.handlers)
    return [each for each in waiting if each.place not in known]

"""The `pause` section of a subscription."""

from __future__ import annotations

from typing import TYPE_CHECKING

from busbridge.routing._pause_plan import PausePlan

if TYPE_CHECKING:
    from busbridge.routing._config import KeyPath
    from busbridge.routing._model import PauseSection
    from busbridge.routing._problems import Problems


def pause_plan(path: KeyPath, section: PauseSection, problems: Problems) -> PausePlan:
    """What `section`, which stands at `path`, says."""
    if section.probe is None:
        return PausePlan(section.after)
    if not section.probe:
        problems.add((*path, "probe"), "it must be longer than zero")
    return PausePlan(section.after, section.probe.total_seconds())

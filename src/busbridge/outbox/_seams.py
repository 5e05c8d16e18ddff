"""Points between the steps that make an effect happen once, by name, where a test may end the process."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def ignored(name: str) -> None:
    """Does nothing."""


hook: Callable[[str], None] = ignored
"""What is called at each seam. Only a test ever puts something else here."""


def reached(name: str) -> None:
    """Says that a seam was reached.

    The seams: `received`, `in_transaction`, `before_commit`, `after_commit`, `before_settle`, `relay_before_publish`,
    `relay_after_publish`, `timer_claimed`, `before_release`, `after_release`, `redrive_published`.
    """
    hook(name)

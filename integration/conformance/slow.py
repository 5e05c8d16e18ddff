"""Rows that take long: they kill a broker, or wait until a silent session is given up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from busbridge.testing.conformance import Case

_SLOW = ("C02", "C31", "C32")


def marks(case: str) -> list[pytest.MarkDecorator]:
    """What a test of the case of that id is marked with."""
    return [pytest.mark.faults] if case.startswith(_SLOW) else []


def with_marks(cases: Iterable[Case]) -> list[Any]:
    """The cases as parameters; those that take long belong to the tier `faults`."""
    return [pytest.param(each, id=each.id, marks=marks(each.id)) for each in cases]

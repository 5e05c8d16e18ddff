"""The in-memory transport keeps every row it offers."""

from __future__ import annotations

import asyncio

import pytest

from busbridge.testing.conformance import ROWS, run
from tests.conformance.memory_rig import MemoryRig

CASES = [case for row in ROWS for case in row.cases()]
OFFERED = [case for case in CASES if case.offered(MemoryRig.capabilities, MemoryRig().faults)]


@pytest.mark.parametrize("case", OFFERED, ids=lambda case: case.id)
def test_keeps(case):
    asyncio.run(run(case, MemoryRig()))

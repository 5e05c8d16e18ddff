"""The rows are sharp: each saboteur is noticed, and each row notices one."""

from __future__ import annotations

import asyncio

import pytest

from busbridge.testing.conformance import ROWS, RowFailed, run
from tests.conformance.memory_rig import MemoryRig
from tests.conformance.saboteurs import SABOTEURS

CASES = {case.id: case for row in ROWS for case in row.cases()}
BY_NATURE_BLUNT = {
    "order_survives_forced_error",  # its allowance is wide on purpose: what the broker had sent ahead may come late
    "confirmed_is_durable",  # the in-memory broker can't be killed
    "restart_under_load",  # the in-memory broker can't be restarted; the adapters' saboteurs try it
    "unknown_outcome_is_reported",  # nor is there a network before it
    "partition_heals",  # likewise
    "silent_member_is_fenced",  # likewise
    "failing_handler_is_tried_again",  # the runtime's promise, which its own tests break
    "stopping_service_finishes",  # likewise
}


class BentRig(MemoryRig):
    def __init__(self, saboteur):
        super().__init__(patience=0.4)
        self.saboteur = saboteur

    def make(self, settings):
        return self.saboteur(super().make(settings))


@pytest.mark.parametrize(
    ("saboteur", "case"),
    [
        pytest.param(each, CASES[name], id=f"{each.__name__}-{name}")
        for each, names in SABOTEURS.items()
        for name in names
    ],
)
def test_is_noticed(saboteur, case):
    with pytest.raises(RowFailed):
        asyncio.run(run(case, BentRig(saboteur)))


def test_every_row_notices_a_saboteur():
    sharp = {CASES[name].row.name for names in SABOTEURS.values() for name in names}
    assert {row.name for row in ROWS} - sharp == BY_NATURE_BLUNT

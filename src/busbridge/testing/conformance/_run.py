"""Runs a case: a row on a place, against a rig."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from busbridge.testing.conformance._bench import Bench
from busbridge.testing.conformance._leaks import Leaks
from busbridge.testing.conformance._row import RowFailed

if TYPE_CHECKING:
    from busbridge.testing.conformance._rig import Rig
    from busbridge.testing.conformance._row import Case

_ROW_PATIENCES = 8
"""How many times the rig's patience a whole row may take."""


async def run(case: Case, rig: Rig) -> None:
    """Runs a case that the rig offers. Raises RowFailed, with the ledger, if the transport does not keep the guarantee.

    Afterwards nothing is left: clients are closed, what they made on the broker is removed, and a task, thread or
    socket that stays behind fails the row.
    """
    leaks = Leaks()
    bench = Bench(rig, case.place)
    try:
        async with asyncio.timeout(_ROW_PATIENCES * rig.patience):
            await case.row.run(bench)
    except (RowFailed, TimeoutError) as error:
        detail = str(error) or f"it did not end within {_ROW_PATIENCES * rig.patience:g} s"
        raise RowFailed(f"{case.id}: {detail}", _lines(bench)) from error
    finally:
        await _put_away(bench)
    await leaks.check(rig.patience)


async def _put_away(bench: Bench) -> None:
    try:
        async with asyncio.timeout(bench.rig.patience):
            await bench.close()
    except TimeoutError as error:
        raise RowFailed(f"putting everything away did not end within {bench.rig.patience:g} s") from error


def _lines(bench: Bench) -> list[str]:
    return [f"{each.plan.name}: {line}" for each in bench.subscriptions for line in each.ledger.lines()]

"""What is wrong with the stores that a configuration declares, found without connecting."""

# ruff: noqa: PLC0415 - without a store nothing of SQL is imported

from __future__ import annotations

from typing import TYPE_CHECKING

from busbridge.errors import Fault, MissingExtra

if TYPE_CHECKING:
    from busbridge.routing import Reading, StorePlan


def store_faults(reading: Reading) -> list[Fault]:
    """The faults of stores whose database's driver is not installed."""
    config = reading.config
    found = ((name, _missing(plan.store)) for name, plan in config.services.items() if plan.store is not None)
    return [Fault(said, config.locate(("services", name, "store", "url"))) for name, said in found if said]


def _missing(plan: StorePlan) -> str | None:
    from busbridge.store import check_driver

    try:
        check_driver(plan.shown.partition("://")[0])
    except MissingExtra as error:
        return str(error)
    return None

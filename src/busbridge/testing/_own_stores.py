"""Stores that live as long as a test."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from pydantic import SecretStr

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from busbridge.routing import Config, ServicePlan


def with_own_stores(stack: AsyncExitStack, config: Config) -> Config:
    """The configuration with an empty SQLite file in the place of each store it declares; the files go with `stack`."""
    if not any(each.store for each in config.services.values()):
        return config
    folder = Path(stack.enter_context(TemporaryDirectory(prefix="busbridge-")))
    services = {name: _with_own_store(plan, folder / f"{name}.db") for name, plan in config.services.items()}
    return replace(config, services=services)


def _with_own_store(plan: ServicePlan, file: Path) -> ServicePlan:
    if plan.store is None:
        return plan
    url = f"sqlite:///{file}"
    return replace(plan, store=replace(plan.store, url=SecretStr(url), shown=url, upgrade=True))

"""`module:service` on the command line to the service it names."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import typer

from busbridge.runtime import Service

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType


def find_services(targets: Iterable[str]) -> list[Service[Any]]:
    """The services that `targets` name, each once.

    Modules are looked for in the working directory first. Raises typer.BadParameter where there is no such service;
    what a module raises while it is imported goes through.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    return list(dict.fromkeys(_service(target) for target in targets))


def _service(target: str) -> Service[Any]:
    module_name, _, name = target.partition(":")
    module = _module(module_name, target)
    found = getattr(module, name, None)
    if _is_service(found):
        return found
    services = sorted(f"{module_name}:{each}" for each, value in vars(module).items() if _is_service(value))
    there = f"there are: {', '.join(services)}" if services else f"{module_name} has none"
    raise typer.BadParameter(f"{target!r} names no service; {there}")


def _is_service(value: object) -> TypeGuard[Service[Any]]:
    return isinstance(value, Service)


def _module(name: str, target: str) -> ModuleType:
    if not all(part.isidentifier() for part in name.split(".")):
        raise typer.BadParameter(f"{target!r} is not MODULE:SERVICE, such as shop.billing:billing")
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        # A module that is there but misses one of its own imports is a fault of that module: its traceback helps.
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise typer.BadParameter(f"there is no module {error.name!r} in {Path.cwd()} or installed") from None

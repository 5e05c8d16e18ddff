"""`module:service` on the command line to the service it names."""

from __future__ import annotations

import importlib
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import typer

from busbridge.errors import BusbridgeError
from busbridge.runtime import Service

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType


def find_services(targets: Iterable[str]) -> list[Service[Any]]:
    """The services that `targets` name, each once.

    Modules are looked for in the working directory first. Raises typer.BadParameter where there is no such service, or
    its module can't be imported. Errors of this library that a module raises go through: they say where they arose.
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
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise typer.BadParameter(f"there is no module {error.name!r} in {Path.cwd()} or installed") from None
        raise _broken(name, error) from None
    except BusbridgeError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a user's module does while it is imported
        raise _broken(name, error) from None


def _broken(name: str, error: Exception) -> typer.BadParameter:
    """What went wrong in a module, with its own part of the traceback: what leads there is ours and Python's."""
    trace = error.__traceback__
    while trace is not None and _is_importing(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    told = "".join(traceback.format_exception(error.with_traceback(trace)))
    return typer.BadParameter(f"module {name!r} can't be imported\n{told.rstrip()}")


def _is_importing(file: str) -> bool:
    return file in {__file__, importlib.__file__} or file.startswith("<frozen importlib")

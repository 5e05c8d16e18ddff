"""What is public: complete lists, final classes, and an import that is cheap."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys
from abc import ABC
from typing import Protocol

import pytest
from pydantic import BaseModel

import busbridge

PACKAGES = [
    "busbridge",
    *(f"busbridge.{each.name}" for each in pkgutil.iter_modules(busbridge.__path__) if each.ispkg),
    "busbridge_kafka",
    "busbridge_rabbitmq",
]
OPEN = {"Delivery", "Session", "Prepared"}
"""Bases of the transports' own classes, and values without behaviour."""


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_list_is_complete_and_sorted(package):
    module = importlib.import_module(package)
    assert list(module.__all__) == sorted(module.__all__, key=_order)
    for name in module.__all__:
        assert getattr(module, name, None) is not None, name
    assert not [name for name in vars(module) if not name.startswith("_") and _is_ours(module, name)]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_states_its_contract(package):
    module = importlib.import_module(package)
    for name in module.__all__:
        thing = getattr(module, name)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert thing.__doc__, name


@pytest.mark.parametrize("package", PACKAGES)
def test_concrete_classes_are_final(package):
    """They are extended by composing; abstract ones, protocols, errors and contracts are the only bases."""
    module = importlib.import_module(package)
    classes = [each for each in vars(module).values() if inspect.isclass(each) and each.__module__.startswith(package)]
    assert [each.__name__ for each in classes if not _may_be_a_base(each)] == []


def test_importing_busbridge_imports_no_client_and_nothing_that_only_a_command_needs():
    code = "import sys, busbridge; print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"pika", "confluent_kafka", "yaml", "pydantic_settings", "typer", "rich", "opentelemetry", "pytest"}
    assert heavy.isdisjoint(out)


def _order(name: str) -> tuple[int, str]:
    """Constants, classes, functions: the order that the linter keeps `__all__` in."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


def _is_ours(module: object, name: str) -> bool:
    thing = getattr(module, name)
    return not inspect.ismodule(thing) and name not in module.__all__ and name not in {"annotations", "TYPE_CHECKING"}


def _may_be_a_base(each: type) -> bool:
    if each.__name__ in OPEN or getattr(each, "__final__", False):
        return True
    if issubclass(each, BaseException | BaseModel | str | tuple) or Protocol in each.__mro__ or ABC in each.__mro__:
        return True
    return hasattr(each, "__dataclass_fields__")

"""What is public: complete lists, final classes, and an import that is cheap."""

from __future__ import annotations

import ast
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
    public = [getattr(module, name) for name in module.__all__]
    classes = [each for each in public if inspect.isclass(each) and each.__module__.startswith(package)]
    assert [each.__name__ for each in classes if not _may_be_a_base(each)] == []


def test_importing_busbridge_imports_nothing_that_takes_time():
    assert {"asyncio", "pydantic", "pydantic_core", "dataclasses", "logging"}.isdisjoint(_imported("import busbridge"))


def test_the_public_names_import_no_client_and_nothing_that_only_a_command_needs():
    clients = {"pika", "confluent_kafka", "sqlalchemy"}
    heavy = {"yaml", "pydantic_settings", "typer", "rich", "opentelemetry", "pytest"}
    assert {*clients, *heavy, "busbridge.memory"}.isdisjoint(_imported("from busbridge import *"))


def test_a_contract_imports_nothing_that_only_a_running_service_needs():
    assert {"busbridge.routing", "busbridge.runtime"}.isdisjoint(_imported("from busbridge import Contract"))


def test_type_checkers_read_the_imports_that_happen():
    """What stands under TYPE_CHECKING, what `__getattr__` imports and `__all__` name the same things."""
    tree = ast.parse(inspect.getsource(busbridge))
    read = {
        each.module: {one.name for one in each.names} for each in ast.walk(tree) if isinstance(each, ast.ImportFrom)
    }
    del read["typing"]
    assert read == {f"busbridge.{module}": names for module, names in busbridge._NAMES.items()}
    assert sorted(busbridge.__all__) == sorted(name for names in read.values() for name in names)


@pytest.mark.parametrize("name", busbridge.__all__)
def test_every_name_is_found_when_it_is_asked_for_first(name):
    (module,) = (each for each, names in busbridge._NAMES.items() if name in names)
    assert busbridge.__getattr__(name) is getattr(importlib.import_module(f"busbridge.{module}"), name)


@pytest.mark.parametrize(
    "code",
    [
        "from busbridge import Bus",
        "from busbridge import *; Bus, load",
        "import busbridge; busbridge.Bus",
        "import busbridge; busbridge.errors.Fault, busbridge.runtime.serve",
        "import busbridge; assert {*busbridge.__all__} <= {*dir(busbridge)}",
        "import busbridge, pickle; assert pickle.loads(pickle.dumps(busbridge.Bus)) is busbridge.Bus",
    ],
)
def test_public_names_are_reached_in_every_usual_way(code):
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_wrong_name_is_told_in_the_usual_words():
    command = [sys.executable, "-c", "import busbridge; busbridge.Buss"]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    assert "AttributeError: module 'busbridge' has no attribute 'Buss'. Did you mean: 'Bus'?" in done.stderr


def _imported(code: str) -> list[str]:
    """The modules that are there when `code` has run in a process of its own."""
    code = f"{code}\nimport sys; print(*sys.modules)"
    return subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True).stdout.split()


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

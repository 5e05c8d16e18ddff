"""The registry: who reads which version, and what is seen wrong at start."""

from __future__ import annotations

from typing import Any

import pytest

from busbridge.contract import Contract, Registry
from busbridge.errors import ConfigurationError, UnknownContract, UnknownVersion


class Order1(Contract, name="test.order", version=1):
    pass


class Order3(Contract, name="test.order", version=3, readable_by=2):
    pass


class Order4(Contract, name="test.order", version=4, readable_by=4):
    pass


def lift(body: dict[str, Any]) -> dict[str, Any]:
    return body


Order3.upcaster(from_version=1)(lift)
Order3.upcaster(from_version=2)(lift)

REGISTRY = Registry([Order1, Order3, Order4])


def test_classes_are_found_by_name_and_version():
    assert REGISTRY.get("test.order", 3) is Order3
    assert REGISTRY.get("test.order", 2) is None
    assert REGISTRY.versions("test.order") == (1, 3, 4)
    assert REGISTRY.versions("test.other") == ()
    assert list(REGISTRY) == [Order1, Order3, Order4]
    assert len(REGISTRY) == 3


@pytest.mark.parametrize(
    ("version", "readable_by", "handled", "contract"),
    [
        pytest.param(1, None, [1, 3], Order1, id="its own version"),
        pytest.param(2, None, [1, 3], Order3, id="the nearest higher one"),
        pytest.param(1, None, [3], Order3, id="a higher one, over several steps"),
        pytest.param(4, 3, [1, 3], Order3, id="newer, but readable"),
        pytest.param(9, 1, [1, 3], Order3, id="newer, and the highest handled version reads it"),
    ],
)
def test_who_reads_a_message(version: int, readable_by: int | None, handled: list[int], contract: type[Contract]):
    assert REGISTRY.reader("test.order", version, readable_by, handled).contract is contract


@pytest.mark.parametrize(
    ("version", "readable_by", "handled"),
    [
        pytest.param(4, 4, [1, 3], id="newer, and readable by newer ones only"),
        pytest.param(4, None, [1, 3], id="newer, and nothing said"),
        pytest.param(3, 1, [4], id="older, and the step is missing"),
        pytest.param(0, None, [1], id="no version at all"),
        pytest.param(None, 1, [1], id="a version that is not stated"),
        pytest.param(1, 0, [], id="nothing handled"),
    ],
)
def test_what_nobody_reads(version: int | None, readable_by: int | None, handled: list[int]):
    with pytest.raises(UnknownVersion) as caught:
        REGISTRY.reader("test.order", version, readable_by, handled)
    assert (caught.value.version, caught.value.known) == (version, tuple(handled))


def test_a_name_that_nobody_knows():
    with pytest.raises(UnknownContract, match=r"test\.other"):
        REGISTRY.reader("test.other", 1, None, [1])


def test_registries_share_nothing():
    Registry([Order1])
    assert Registry([]).versions("test.order") == ()


def test_one_class_may_be_given_twice():
    assert len(Registry([Order1, Order1])) == 1


def test_every_fault_is_reported_at_once():
    class Base(Contract):
        pass

    class Twin(Contract, name="test.order", version=1):
        pass

    class Order5(Contract, name="test.order", version=5, readable_by=5):
        pass

    Order5.upcaster(from_version=1)(lambda body: body)
    Order5.upcaster(from_version=2)(lift)

    with pytest.raises(ConfigurationError) as caught:
        Registry([Order1, Order3, Base, Twin, Order5])
    abstract, twins, steps = (str(fault) for fault in caught.value.faults)
    assert "Base: an abstract base is no contract" in abstract
    assert "two contracts are test.order@1: " in twins
    assert "Order1 (" in twins
    assert "Twin (" in twins
    assert "two different upcasters for one step: upcaster lift (" in steps
    assert "<lambda>" in steps


def test_a_missing_step_is_seen_at_start():
    (fault,) = REGISTRY.gaps({"test.order": [4]})
    assert fault.problem == "'test.order': a message of version 3 can't be lifted to version 4"
    assert fault.hint == "write an upcaster(from_version=3) on the newest class"


def test_no_step_is_missing_below_a_version_that_is_handled_itself():
    assert REGISTRY.gaps({"test.order": [1, 3, 4]}) == []


def test_versions_that_nothing_knows_of_are_no_gap():
    assert Registry([Order4]).gaps({"test.order": [4]}) == []


def test_a_gap_between_two_steps_is_seen():
    class Order9(Contract, name="test.order", version=9, readable_by=9):
        pass

    Order9.upcaster(from_version=6)(lift)
    Order9.upcaster(from_version=8)(lift)
    (fault,) = Registry([Order9]).gaps({"test.order": [9]})
    assert "version 7" in fault.problem

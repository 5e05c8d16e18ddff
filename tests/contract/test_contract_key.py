"""The key of a message: one canonical text, or no contract."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Annotated, Any, Literal, NewType
from uuid import UUID

import pytest
from pydantic import Field, SecretStr, create_model

from busbridge.contract import Contract, Writer
from busbridge.errors import ContractError, InvalidMessage

OrderId = NewType("OrderId", UUID)


class Region(StrEnum):
    NORTH = "north"


class Level(IntEnum):
    HIGH = 3


class Mixed(Enum):
    HALF = 0.5


def keyed_by(annotation: Any) -> type[Contract]:
    keywords = {"name": "test.keyed", "version": 1, "key": "key"}
    return create_model("Keyed", __base__=Contract, __cls_kwargs__=keywords, key=(annotation, ...))


@pytest.mark.parametrize(
    ("annotation", "value", "text"),
    [
        (str, "order-1", "order-1"),
        (int, 42, "42"),
        (UUID, UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (OrderId, UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (date, date(2026, 1, 31), "2026-01-31"),
        (Region, Region.NORTH, "north"),
        (Level, Level.HIGH, "3"),
        (Literal["a", 1], 1, "1"),
        (Annotated[str, Field(min_length=1)], "é", "é"),
    ],
)
def test_the_key_is_the_canonical_text_of_the_field(annotation: Any, value: Any, text: str):
    contract = keyed_by(annotation)
    assert Writer(contract).key(contract(key=value)) == text


@pytest.mark.parametrize(
    "annotation", [float, bool, bytes, Decimal, datetime, SecretStr, str | None, list[str], Mixed, Literal[True], Any]
)
def test_a_type_whose_text_is_not_canonical_can_not_be_a_key(annotation: Any):
    with pytest.raises(ContractError, match="key='key'"):
        keyed_by(annotation)


def test_a_contract_without_a_key_gives_none():
    class Keyless(Contract, name="test.keyless", version=1):
        pass

    assert Writer(Keyless).key(Keyless()) is None


def test_an_empty_key_is_refused():
    contract = keyed_by(str)
    with pytest.raises(InvalidMessage, match=r"test\.keyed@1: the key field 'key' is empty"):
        Writer(contract).key(contract(key=""))


@pytest.mark.parametrize("annotation", [str, int, date, Region])
def test_a_key_that_is_none_is_refused_and_not_called_none(annotation: Any):
    contract = keyed_by(annotation)
    with pytest.raises(InvalidMessage, match="the key field 'key' is empty"):
        Writer(contract).key(contract.model_construct(key=None))


def test_a_key_of_a_type_defined_later_is_judged_when_it_is_used():
    class Keyed(Contract, name="test.keyed", version=1, key="key"):
        key: Later

    class Later(StrEnum):
        ONE = "one"

    Keyed.model_rebuild(_types_namespace={"Later": Later})
    assert Writer(Keyed).key(Keyed(key=Later.ONE)) == "one"


def test_a_key_of_a_type_defined_later_that_can_not_be_one_is_an_error_when_it_is_used():
    class Keyed(Contract, name="test.keyed", version=1, key="key"):
        key: Later

    Later = float  # noqa: N806 - stands for a class
    Keyed.model_rebuild(_types_namespace={"Later": Later})
    with pytest.raises(ContractError, match=r"Keyed.*test_contract_key\.py:\d+.*key='key'"):
        Writer(Keyed)

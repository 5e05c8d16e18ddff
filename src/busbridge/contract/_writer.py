"""Writing a message of a contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from busbridge.contract._base import info_of
from busbridge.contract._faults import class_error
from busbridge.contract._key import key_of, key_text, no_key
from busbridge.contract._metadata import key_type_problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from busbridge.contract._base import Contract
    from busbridge.contract._key import KeyOf


@final
class Writer:
    """What publishing needs of a contract: the body and the key of a message. Made once, used for each message.

    ContractError for an abstract base, or a key of a type that only now could be resolved and can't be one.
    """

    __slots__ = ("body", "contract", "info", "key")

    body: Callable[[Contract], bytes]
    """The message as plain JSON that the contract reads back. pydantic's error when it no longer fits the contract."""
    key: KeyOf

    def __init__(self, contract: type[Contract]) -> None:
        self.contract = contract
        self.info = info_of(contract)
        contract.model_rebuild()
        self.body = _body_of(contract)
        self.key = self._key()

    def _key(self) -> KeyOf:
        if self.info.key is None:
            return no_key
        text = key_text(self.contract.model_fields[self.info.key].annotation)
        if text is None:
            raise class_error(self.contract, self.info.location, key_type_problem(self.info.key))
        return key_of(self.info.key, text, self.info.ref)

    def __repr__(self) -> str:
        return f"<Writer of {self.info.ref}>"


def _body_of(contract: type[Contract]) -> Callable[[Contract], bytes]:
    to_json = contract.__pydantic_serializer__.to_json

    def body(message: Contract) -> bytes:  # what a partial would do, in less time
        return to_json(message, by_alias=True, round_trip=True, warnings="error")

    return body

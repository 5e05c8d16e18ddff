"""Reading a body as a message of a contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from pydantic import ValidationError

from busbridge.contract._base import info_of
from busbridge.contract._upcasting import lift
from busbridge.errors import InvalidMessage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busbridge.contract._base import Contract
    from busbridge.contract._upcasting import Step

SHOWN = 5
"""Errors listed in a message: enough to see what is wrong, few enough to fit a header."""


@final
class Reader:
    """Reads bodies of one version as `contract`, which may be a newer one. Made once, used for each message."""

    __slots__ = ("_ref", "_steps", "_validate", "contract")

    def __init__(self, contract: type[Contract], steps: Sequence[Step] = ()) -> None:
        self.contract = contract
        self._ref = info_of(contract).ref
        self._steps = tuple(steps)
        self._validate = contract.__pydantic_validator__.validate_json

    def read(self, body: bytes | None) -> Contract:
        """The message.

        InvalidMessage, with its cause, when the body does not fit the contract, or a validator or an upcaster fails.
        """
        if self._steps:
            body = lift(body, self._steps)
        try:
            return self._validate(body)  # type: ignore[arg-type,no-any-return]  # None is an error of pydantic's
        except ValidationError as error:
            raise InvalidMessage(f"the body is no {self._ref}: {_summary(error)}") from error
        except Exception as error:  # a validator's own, which pydantic lets through; its text may repeat the body
            raise InvalidMessage(f"a validator of {self._ref} failed with {type(error).__qualname__}") from error

    def __repr__(self) -> str:
        lifted = f" from version {self._steps[0].from_version}" if self._steps else ""
        return f"<Reader of {self._ref}{lifted}>"


def _summary(error: ValidationError) -> str:
    """What is wrong and where, without any value of the body."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    shown = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}".removeprefix(": ") for each in found[:SHOWN]]
    return "; ".join(shown) + (f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else "")

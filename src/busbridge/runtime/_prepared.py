"""A message on its way out: encoded, and not yet confirmed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from busbridge.contract import Contract
    from busbridge.runtime._sender import Sender
    from busbridge.telemetry.tracing import PublishSpan
    from busbridge.transport import Entry


class Prepared:
    """A message that was encoded, with its id and the entries that it becomes, one for each destination.

    It keeps the bytes, not the message: thousands are on their way at a time, and the objects that a message is made of
    would be visited by the garbage collector again and again, which costs as much as half of all else.
    """

    __slots__ = ("_body", "_contract", "entries", "id", "spans")

    def __init__(
        self, contract: type[Contract], body: bytes, message_id: str, entries: list[tuple[Sender, Entry]]
    ) -> None:
        self._contract = contract
        self._body = body
        self.id = message_id
        self.entries = entries
        self.spans: dict[str, PublishSpan] | None = None
        """By destination, while traced."""

    @property
    def message(self) -> Contract:
        """The message, read from what is sent. pydantic's error where the contract does not read what it wrote."""
        return self._contract.model_validate_json(self._body)

    def only(self, entries: list[tuple[Sender, Entry]]) -> Prepared:
        """The same message with these entries alone."""
        return Prepared(self._contract, self._body, self.id, entries)

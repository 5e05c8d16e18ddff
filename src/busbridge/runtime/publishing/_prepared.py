"""A message on its way out: encoded, and not yet confirmed."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from busbridge.contract import Contract
    from busbridge.runtime.publishing._sender import Sender
    from busbridge.telemetry.tracing import PublishSpan
    from busbridge.transport import Entry


class Prepared:
    """A message that was encoded, with its id and the entries that it becomes, one for each destination.

    It keeps the bytes, not the message: thousands are on their way at a time, and the objects that a message is made of
    would be visited by the garbage collector again and again, which costs as much as half of all else.
    """

    __slots__ = ("body", "contract", "entries", "id", "spans")

    postponed: ClassVar[bool] = False
    """Whether a timer keeps it, and there is nothing to send yet."""

    def __init__(
        self, contract: type[Contract], body: bytes, message_id: str, entries: list[tuple[Sender, Entry]]
    ) -> None:
        self.contract = contract
        self.body = body
        self.id = message_id
        self.entries = entries
        self.spans: dict[str, PublishSpan] | None = None
        """By destination, while traced."""

    @property
    def message(self) -> Contract:
        """The message, read from what is sent. pydantic's error where the contract does not read what it wrote."""
        return self.contract.model_validate_json(self.body)

    def only(self, entries: list[tuple[Sender, Entry]]) -> Prepared:
        """The same message with these entries alone."""
        return Prepared(self.contract, self.body, self.id, entries)

"""A dead letter as JSON, with nothing of it lost: what is no text is written in base64."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from busbridge.runtime import Letter

RECORD = (
    "reason", "error_type", "error", "stack", "service", "version", "handler", "destination", "origin", "position",
    "attempts", "first_time", "time", "redrive",
)  # fmt: skip


def as_json(letter: Letter) -> dict[str, Any]:
    """Everything that is known of it."""
    record = letter.record
    return {
        "id": letter.id,
        "message_id": letter.message_id,
        "contract": letter.contract,
        "subscription": letter.subscription,
        **{name: getattr(record, name) for name in RECORD},
        "key": plain(letter.buried.key),
        "headers": [[name, plain(value)] for name, value in record.headers],
        "body": plain(record.body),
    }


def plain(value: Any) -> Any:
    """Text as it is, bytes that are text as text, all else of AMQP as JSON has it; `{"base64": ...}` for the rest."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"base64": b64encode(value).decode()}
    if isinstance(value, dict):
        return {str(name): plain(each) for name, each in cast("dict[object, object]", value).items()}
    if isinstance(value, list):
        return [plain(each) for each in cast("list[object]", value)]
    return str(value)

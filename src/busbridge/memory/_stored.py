"""A message as the broker keeps it, and the checks that decide whether it may be kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from busbridge.errors import MessageRefused
from busbridge.routing import Kind
from busbridge.transport import Standing

if TYPE_CHECKING:
    from busbridge.transport import Entry, Headers

_NEVER_PUT_OFF: Final = Standing()


@final
class Stored:
    """One copy of a message in one place. Its parts are immutable, so that nothing is shared with who published it."""

    __slots__ = ("body", "headers", "key", "redelivered", "sequence", "since", "standing")

    def __init__(
        self,
        body: bytes | None,
        headers: Headers,
        key: str | None,
        since: float = 0.0,
        *,
        standing: Standing = _NEVER_PUT_OFF,
    ) -> None:
        self.body = body
        self.headers = headers
        self.key = key
        self.since = since
        self.sequence = 0
        self.redelivered = False
        self.standing = standing

    def __repr__(self) -> str:
        size = "no body" if self.body is None else f"{len(self.body)} bytes"
        return f"<Stored {size}, {len(self.headers)} headers>"


def refusal(entry: Entry, limit: int) -> MessageRefused | None:
    """Why a real broker could not carry the entry; None if it could."""
    name = entry.destination.name
    body = entry.body
    if body is None:
        if entry.destination.kind is not Kind.STREAM:
            return MessageRefused("invalid", name, "only a stream carries a message without a body")
    elif type(body) is not bytes:
        return MessageRefused("invalid", name, f"a body is bytes, not {type(body).__name__}")
    elif len(body) > limit:
        return MessageRefused("too_large", name, f"{len(body)} bytes, and {limit} are allowed")
    for header, value in entry.headers:
        if type(value) is str and value.isascii():
            continue  # nearly all of them: a call for each would cost more than everything else done to a message here
        if problem := _header_problem(header, value):
            return MessageRefused("invalid", name, problem)
    return None


def _header_problem(name: str, value: object) -> str | None:
    if isinstance(value, str):
        return None if value.isascii() or _is_unicode(value) else f"the value of header {name!r} is no Unicode text"
    if value is None or isinstance(value, bytes):
        return None
    return f"the value of header {name!r} is {type(value).__name__}, not str or bytes"


def _is_unicode(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True

"""Statements that would end a transaction which is not the user's to end."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from busbridge.errors import HandlerError

_ENDS: Final = re.compile(
    r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*"
    r"(BEGIN|START\s+TRANSACTION|COMMIT|END|ABORT|PREPARE\s+TRANSACTION"
    r"|ROLLBACK(?!\s+(?:(?:WORK|TRANSACTION)\s+)?TO\b))\b",
    re.IGNORECASE | re.DOTALL,
)
"""Savepoints are the user's: SAVEPOINT, RELEASE and ROLLBACK TO."""


@lru_cache(maxsize=512)
def refuse_ending(statement: str) -> None:
    """Raises HandlerError for a statement that begins or ends a transaction.

    Those that do not are remembered: the same few are executed for each message.
    """
    if found := _ENDS.match(statement):
        raise HandlerError(
            f"{found[1].upper()} is not yours to execute here: the transaction is committed when the handler has"
            " returned, or its block has ended, and rolled back when that raises; for a part of it use begin_nested()"
        )

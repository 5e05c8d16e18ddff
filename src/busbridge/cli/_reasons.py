"""Why a message died, on the command line: a word of a closed list."""

from __future__ import annotations

import typer

from busbridge.retry import BROKERS_OWN, Reason
from busbridge.routing._faults import nearest


def parsed(text: str) -> str:
    """The reason, empty for any. Raises typer.BadParameter for a word that is none."""
    known = [*(each.value for each in Reason), *BROKERS_OWN]
    if not text or text in known:
        return text
    close = nearest(text, known)
    hint = f"did you mean {close}?" if close else f"there are: {', '.join(known)}"
    raise typer.BadParameter(f"nothing dies for the reason {text!r}: {hint}")

"""Ages on the command line, as durations are written in the configuration: `90s`, `30m`, `2h`, `1d12h`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from pydantic import TypeAdapter, ValidationError

from busbridge.routing import Duration

if TYPE_CHECKING:
    from datetime import timedelta


def parsed(text: str) -> timedelta:
    """The age. Raises typer.BadParameter."""
    try:
        age: timedelta = TypeAdapter(Duration).validate_python(text)
    except ValidationError as error:
        said = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        raise typer.BadParameter(f"{text!r}: {said}") from error
    return age

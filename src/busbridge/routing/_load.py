"""Loading: sources to layers, layers to one document, the document to a `Config`, or every fault at once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeAlias

from busbridge.routing._config import Config

if TYPE_CHECKING:
    from collections.abc import Mapping

Source: TypeAlias = "str | os.PathLike[str] | Mapping[str, object] | Config"
"""What a configuration is loaded from: the path of a YAML file, a mapping of the same shape, or one that is loaded."""


def load(*sources: Source, environ: Mapping[str, str] | None = None) -> Config:
    """The configuration in `sources`, later ones over earlier ones, checked whole.

    `environ` (default: the process's) gives `${NAME}` its value and may override any key:
    `BUSBRIDGE_TRANSPORTS__RABBITMQ__URL`. A single `Config` is returned as it is. Reads files, opens no connection.
    Raises ConfigurationError with every fault found, and nothing else whatever the sources hold.
    """
    if len(sources) == 1 and isinstance(sources[0], Config):
        return sources[0]
    # What parses and validates is slow to import: only who loads pays for it.
    from busbridge.routing._checked import checked  # noqa: PLC0415
    from busbridge.routing._layers import layered  # noqa: PLC0415

    return checked(layered(sources, os.environ if environ is None else environ))

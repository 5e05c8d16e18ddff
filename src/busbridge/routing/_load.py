"""Loading: sources to layers, layers to one document, the document to a `Config`, or every fault at once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeAlias

from busbridge.errors import ConfigurationError
from busbridge.routing._config import Config
from busbridge.routing._reading import Reading

if TYPE_CHECKING:
    from collections.abc import Mapping

Source: TypeAlias = "str | os.PathLike[str] | Mapping[str, object] | Config"
"""What a configuration is loaded from: the path of a YAML file, a mapping of the same shape, or one that is loaded."""


def load(*sources: Source, environ: Mapping[str, str] | None = None) -> Config:
    """The configuration in `sources`, later ones over earlier ones, checked whole.

    `environ` (default: the process's) gives `${NAME}` its value and may override any key:
    `BUSBRIDGE_TRANSPORTS__RABBITMQ__URL`. A single `Config` is returned as it is. Reads files, opens no connection.
    Raises ConfigurationError with every fault of the configuration, and nothing else whatever the sources hold.

    It knows no service. Give the sources themselves to `Bus`, and the faults of both come in one error; a bus that is
    given what `load` returned tells those of its service in a second one.
    """
    reading = read(*sources, environ=environ)
    if reading.faults:
        raise ConfigurationError(reading.faults)
    return reading.config


def read(*sources: Source, environ: Mapping[str, str] | None = None) -> Reading:
    """As `load`, but never raises: for who has more to check before all faults are raised together."""
    if len(sources) == 1 and isinstance(sources[0], Config):
        return Reading(sources[0])
    # What parses and validates is slow to import: only who loads pays for it.
    from busbridge.routing._checked import checked  # noqa: PLC0415
    from busbridge.routing._layers import layered  # noqa: PLC0415

    return checked(layered(sources, os.environ if environ is None else environ))

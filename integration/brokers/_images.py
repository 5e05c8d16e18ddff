"""Which image a broker runs on: the official one where it can be had, else a stand-in that is built here."""

from __future__ import annotations

import os
import selectors
import subprocess
from dataclasses import dataclass

from integration.brokers import _stand_in
from integration.brokers._docker import image_exists
from integration.brokers._progress import say

_ANSWER_SECONDS = 15.0  # a registry says what it has within this time, or is not there
_PULL_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Image:
    """One broker's images: the official tag, the variable that names another one, and the build of the stand-in."""

    official: str
    variable: str
    stand_in: _stand_in.StandIn


IMAGES = {
    "rabbitmq": Image("rabbitmq:4-management", "RABBITMQ_IMAGE", _stand_in.StandIn("rabbitmq", "4", "trixie")),
    "rabbitmq-3.10": Image(
        "rabbitmq:3.10-management", "RABBITMQ_3_10_IMAGE", _stand_in.StandIn("rabbitmq", "3.10", "bookworm")
    ),
    "kafka": Image("apache/kafka:4.1.1", "KAFKA_IMAGE", _stand_in.StandIn("kafka", "4.1.1", "trixie")),
    "postgresql": Image("postgres:17", "POSTGRESQL_IMAGE", _stand_in.StandIn("postgresql", "17", "trixie")),
}


def image_for(broker: str) -> str:
    """The name of an image for that broker that is on this machine when this returns.

    In this order: the image that the variable names, the official one (pulled if need be), the stand-in (built if need
    be). Raises BrokersUnavailableError if none can be had.
    """
    image = IMAGES[broker]
    named = os.environ.get(image.variable)
    if named:
        return named
    if image_exists(image.official) or _pull(image.official):
        return image.official
    return _stand_in.ensure(image.stand_in)


def _pull(image: str) -> bool:
    """True if the image was pulled. A registry that says nothing within a short time counts as absent."""
    say(f"pulling {image}")
    command = ["docker", "pull", image]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            pulled = _answers(process) and _finishes(process)
        finally:
            process.kill()
    if not pulled:
        say(f"no registry has {image}")
    return pulled


def _answers(process: subprocess.Popen[str]) -> bool:
    with selectors.DefaultSelector() as selector:
        assert process.stdout is not None
        selector.register(process.stdout, selectors.EVENT_READ)
        return bool(selector.select(_ANSWER_SECONDS))


def _finishes(process: subprocess.Popen[str]) -> bool:
    try:
        process.communicate(timeout=_PULL_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return process.returncode == 0

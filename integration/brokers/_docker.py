"""The `docker` command as functions. Every failure is a DockerError with the output of the command."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from integration.brokers._errors import DockerError

if TYPE_CHECKING:
    from collections.abc import Sequence

_COMMAND_SECONDS = 120.0  # nothing but a build or a pull takes longer, and these bring their own limit


def docker(*args: str, timeout: float = _COMMAND_SECONDS) -> str:
    """Runs `docker ARGS` and returns its standard output, stripped. Raises DockerError if it fails or hangs."""
    command = ["docker", *args]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DockerError(f"{_shown(command)}: {error}") from error
    if done.returncode:
        raise DockerError(f"{_shown(command)}: exit {done.returncode}: {(done.stderr or done.stdout).strip()}")
    return done.stdout.strip()


def docker_works() -> bool:
    """True if the command is there and its engine answers."""
    try:
        docker("version", "--format", "{{.Server.Version}}", timeout=20)
    except DockerError:
        return False
    return True


def image_exists(image: str) -> bool:
    """True if the image is on this machine."""
    return bool(docker("image", "ls", "--quiet", image))


def containers_with(*filters: str) -> list[str]:
    """The ids of all containers, running or not, that match every filter of `docker ps`."""
    options = [part for item in filters for part in ("--filter", item)]
    return docker("ps", "--all", "--quiet", "--no-trunc", *options).split()


def _shown(command: Sequence[str]) -> str:
    return " ".join(command)

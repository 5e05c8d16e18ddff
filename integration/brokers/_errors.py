"""What goes wrong on the way to a broker."""

from __future__ import annotations


class BrokersUnavailableError(Exception):
    """No broker could be had. The message says what was tried and what a person can do about it."""


class DockerError(Exception):
    """A `docker` command failed. The message has the command and what it printed."""

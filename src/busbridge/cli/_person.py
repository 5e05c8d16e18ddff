"""Who gives a command: written down with what was done."""

from __future__ import annotations

import getpass
import socket


def who() -> str:
    """`user@host`, or the host alone."""
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):  # a user without a name, as in a container
        return socket.gethostname()

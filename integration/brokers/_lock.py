"""Work that two runs on one machine must not do at the same time: starting the engine, building an image."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def machine_lock(name: str) -> Iterator[None]:
    """Holds the user's lock of that name; waits for whoever has it. A lock ends with its process, however that ends."""
    with (cache_folder() / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def cache_folder() -> Path:
    """The user's cache folder for busbridge's brokers, created if missing."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "busbridge"
    folder.mkdir(parents=True, exist_ok=True)
    return folder

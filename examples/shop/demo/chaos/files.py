"""Where the processes of a run and who watches them find each other's files: in the folder of the databases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

ORDERS: Final = "orders.jsonl"
"""What is to be placed."""
JOURNAL: Final = "journal"
"""What became of the deliveries."""


def serving_mark(folder: Path, process: int) -> Path:
    """The file that says that a process has begun to serve."""
    return folder / f"{process}.serving"

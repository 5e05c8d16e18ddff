"""The databases of one run, and the end of a command whose books are wrong."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence


@contextmanager
def own_databases() -> Generator[None]:
    """A folder for the services' databases, which SHOP_DATA names, and which goes with the block."""
    before = os.environ.get("SHOP_DATA")
    with TemporaryDirectory(prefix="shop-") as folder:
        os.environ["SHOP_DATA"] = folder
        try:
            yield
        finally:
            del os.environ["SHOP_DATA"]
    if before is not None:
        os.environ["SHOP_DATA"] = before


def end_where_wrong(differences: Sequence[str]) -> None:
    """Ends the process with 1, and the differences on standard error, if there are any."""
    if differences:
        sys.exit("\n".join(["the books do not balance:", *(f"  {each}" for each in differences)]))

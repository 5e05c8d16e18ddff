"""The `busbridge` command: run services, check and show what goes where."""

from busbridge.cli._main import main

__all__ = ["main"]

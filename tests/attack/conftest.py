"""Services and a configuration that the attacks share."""

from __future__ import annotations

from tests.runtime.conftest import config

__all__ = ["config"]

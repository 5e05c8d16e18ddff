"""The pipeline with one promise broken, entered in the child (T27)."""

from __future__ import annotations

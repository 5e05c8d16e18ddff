"""Contracts as JSON Schema, for the catalog and for everyone who does not speak Python."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from busbridge.contract._base import info_of
from busbridge.contract._info import CATALOG

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from busbridge.contract._base import Contract

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema(contract: type[Contract], catalog: str = CATALOG) -> dict[str, Any]:
    """The JSON Schema (2020-12) of the bodies that this contract reads; `$id` is what travels as `dataschema`.

    `x-readable-by` and `x-key` carry the rest of the metadata. ContractError for an abstract base.
    """
    info = info_of(contract)
    head: dict[str, Any] = {"$schema": DIALECT, "$id": info.schema_uri(catalog)}
    if info.version > 1:
        head["x-readable-by"] = info.readable_by
    if info.key:
        head["x-key"] = info.key
    return head | contract.model_json_schema()


def export(contracts: Iterable[type[Contract]], folder: Path, catalog: str = CATALOG) -> list[Path]:
    """Writes each schema to `folder/<name>/<version>.json`. Returns the new and changed files. OSError as it comes."""
    return [path for contract in contracts if (path := _write(contract, folder, catalog))]


def _write(contract: type[Contract], folder: Path, catalog: str) -> Path | None:
    info = info_of(contract)
    path = folder / info.name / f"{info.version}.json"
    text = json.dumps(json_schema(contract, catalog), indent=2, ensure_ascii=False) + "\n"
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path

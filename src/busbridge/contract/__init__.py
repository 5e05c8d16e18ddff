"""Contracts: what may be said, in which versions, and who can read it."""

from busbridge.contract._base import Contract, info_of
from busbridge.contract._info import CATALOG, NAME_GRAMMAR, ContractInfo, is_name, parse_ref
from busbridge.contract._reader import Reader
from busbridge.contract._registry import Registry
from busbridge.contract._schema import export, json_schema
from busbridge.contract._upcasting import JsonObject, Upcaster
from busbridge.contract._writer import Writer

__all__ = [
    "CATALOG",
    "NAME_GRAMMAR",
    "Contract",
    "ContractInfo",
    "JsonObject",
    "Reader",
    "Registry",
    "Upcaster",
    "Writer",
    "export",
    "info_of",
    "is_name",
    "json_schema",
    "parse_ref",
]

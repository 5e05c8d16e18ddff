"""What a contract is called: its name, version and what follows from them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

NAME_GRAMMAR = "lower-case words of letters, digits and single hyphens, joined by dots, such as `shop.order-created`"
NAME_LENGTH = 200
"""A name is a routing key, of which AMQP takes 255 bytes."""

CATALOG = "busbridge:contracts/"
"""What the URI of a contract's schema begins with, unless the configuration says otherwise."""

_WORD = "[a-z][a-z0-9]*(?:-[a-z0-9]+)*"


@dataclass(frozen=True, slots=True)
class ContractInfo:
    """The metadata of a contract: what makes a pydantic model a thing that services may say to each other."""

    name: str
    version: int
    readable_by: int
    """The lowest version whose readers may read a message of this one."""
    key: str | None = None
    """The field whose value keeps messages in order: same value, same partition."""
    location: str = field(default="", compare=False)
    """`file:line` of the class."""

    @property
    def ref(self) -> str:
        """Name and version in one word: `shop.order-created@2`."""
        return f"{self.name}@{self.version}"

    def schema_uri(self, catalog: str = CATALOG) -> str:
        """The URI of this version's JSON Schema: the catalog's, then name and version. It travels as `dataschema`."""
        return f"{catalog}{self.name}/{self.version}"


def is_name(text: str) -> bool:
    """Whether `text` can name a contract: it must do as a CloudEvents type and as a routing key."""
    return len(text) <= NAME_LENGTH and re.fullmatch(rf"{_WORD}(?:\.{_WORD})*", text) is not None


def parse_ref(ref: str) -> tuple[str, int]:
    """Name and version of `shop.order-created@2`. ValueError, with the reason, where it is no such thing."""
    name, _, version = ref.partition("@")
    if not is_name(name):
        raise ValueError(f"{name!r} is no name of a contract: it takes {NAME_GRAMMAR}")
    if not re.fullmatch("[1-9][0-9]{0,8}", version):
        raise ValueError(f"{ref!r} states no version: write `{name}@1`")
    return name, int(version)

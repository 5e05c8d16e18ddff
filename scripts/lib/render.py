"""Renders the tables of README and docs from the code; with --check, fails if one is stale instead.

A table stands in a page between two comments, `<!-- NAME: rendered by ... -->` and `<!-- /NAME -->`.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from busbridge.memory import MemoryTransport
from busbridge.outbox import Action, decision_table
from busbridge.routing import reference
from busbridge.testing.conformance import Faults, capability_table, conformance_table
from busbridge.transport import Capabilities
from busbridge_kafka import KafkaTransport
from busbridge_kafka._options import REFUSED
from busbridge_rabbitmq import RabbitMQTransport
from busbridge_rabbitmq._options import Options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from busbridge.routing import Key

TRANSPORTS: Final = {"memory": MemoryTransport, "RabbitMQ": RabbitMQTransport, "Kafka": KafkaTransport}


async def _anyhow(*_: object) -> None:
    """A fault: that a rig can cause it is all that is asked here."""


def _line() -> NoReturn:
    """Another."""
    raise NotImplementedError


FAULTS: Final = {
    "memory": Faults(sever=_anyhow),
    "RabbitMQ": Faults(sever=_anyhow, restart=_anyhow, kill=_anyhow, line=_line),
    "Kafka": Faults(restart=_anyhow, kill=_anyhow, line=_line),
}
"""What the rigs of the three transports do to their brokers."""

_MARKED: Final = re.compile(
    r"(?P<begin><!-- (?P<name>[\w-]+): rendered by [^>]*-->\n).*?(?P<end><!-- /(?P=name) -->)", re.DOTALL
)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def capabilities() -> str:
    """What each transport can do."""
    return capability_table({name: each.capabilities for name, each in TRANSPORTS.items()}) + "\n"


def capability_meanings() -> str:
    """What each capability means."""
    return table(["capability", "meaning"], ([_words(name), text] for name, text in _documented(Capabilities)))


def conformance() -> str:
    """What each transport is tested for."""
    return conformance_table({name: (each.capabilities, FAULTS[name]) for name, each in TRANSPORTS.items()}) + "\n"


def decisions() -> str:
    """What is done with a message, by what the inbox knows of it and how it comes."""
    head, *rows = decision_table()
    return table(head, rows)


def decision_meanings() -> str:
    """What each action of that table means."""
    return table(["action", "meaning"], ([Action[name].value, text] for name, text in _documented(Action)))


def yaml_keys(prefix: str) -> str:
    """The keys of the YAML right below a prefix, and those below them that no other table shows."""
    longer = [each for each in PREFIXES.values() if each.startswith(prefix) and each != prefix]
    keys = (each for each in reference() if each.path.startswith(prefix) and not each.path.startswith(tuple(longer)))
    return table(["key", "value", ""], (_key_row(each, prefix) for each in keys))


def rabbitmq_client() -> str:
    """The settings of RabbitMQ's `client:`."""
    defaults = Options()
    rows = ([f"`{name}`", f"`{getattr(defaults, name)}`", text] for name, text in _documented(Options))
    return table(["setting", "default", ""], rows)


def kafka_client() -> str:
    """The settings of librdkafka that are refused."""
    reasons: dict[str, list[str]] = {}
    for name, reason in REFUSED.items():
        reasons.setdefault(reason, []).append(f"`{name}`")
    return table(["settings", "refused because"], ([", ".join(names), reason] for reason, names in reasons.items()))


PREFIXES: Final = {
    "top": "",
    "transports": "transports.<name>.",
    "destinations": "destinations.<name>.",
    "routes": "routes.<name>.",
    "services": "services.<name>.",
    "subscriptions": "services.<name>.subscriptions.<name>.",
    "publish": "publish.",
    "stop": "stop.",
}
"""The tables of the YAML's keys, and what the keys of each begin with."""
RENDERERS: Final[dict[str, Callable[[], str]]] = {
    "capabilities": capabilities,
    "capability-meanings": capability_meanings,
    "conformance": conformance,
    "decisions": decisions,
    "decision-meanings": decision_meanings,
    **{f"yaml-{name}": partial(yaml_keys, prefix) for name, prefix in PREFIXES.items()},
    "rabbitmq-client": rabbitmq_client,
    "kafka-client": kafka_client,
}


def _words(name: str) -> str:
    return name.replace("_", " ")


def _key_row(key: Key, prefix: str) -> list[str]:
    required = "Required. " if key.required else ""
    return [f"`{key.path.removeprefix(prefix)}`", key.values, f"{required}{key.description}"]


def _documented(kind: type[Any]) -> Iterator[tuple[str, str]]:
    """The fields or members of a class and the docstrings that follow them, which Python itself does not keep."""
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(body, ast.ClassDef)
    for each, after in zip(body.body, [*body.body[1:], None], strict=True):
        if isinstance(each, ast.AnnAssign | ast.Assign):
            target = each.target if isinstance(each, ast.AnnAssign) else each.targets[0]
            if isinstance(target, ast.Name):
                yield target.id, _text(after)


def _text(node: ast.stmt | None) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return " ".join(str(node.value.value).split())
    return ""


def rendered(text: str) -> str:
    """The page with its tables as they should be. KeyError for a table that nothing renders."""
    return _MARKED.sub(lambda found: f"{found['begin']}{RENDERERS[found['name']]()}{found['end']}", text)


def main() -> int:
    stale = False
    for page in [Path("README.md"), *sorted(Path("docs").rglob("*.md"))]:
        text = page.read_text(encoding="utf-8")
        wanted = rendered(text)
        if text == wanted:
            continue
        if "--check" in sys.argv[1:]:
            print(f"{page}: a table is stale; scripts/lib/render.py renders it", file=sys.stderr)
            stale = True
        else:
            page.write_text(wanted, encoding="utf-8")
    return int(stale)


if __name__ == "__main__":
    sys.exit(main())

"""Dead letters on the terminal."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich import box
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from busbridge.cli._dead_letter_json import RECORD, as_json

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta

    from busbridge.runtime import Group, Letter
    from busbridge.store import ActionRow


def group_table(groups: Iterable[Group]) -> Table:
    """How many died of what."""
    table = _table("subscription", "reason", "error", "count", "oldest", "newest")
    table.columns[3].justify = "right"
    for each in groups:
        cells = each.subscription, each.reason or "-", each.error_type or "-", str(each.count)
        table.add_row(*map(escape, cells), _ago(each.oldest), _ago(each.newest))
    return table


def letter_table(letters: Iterable[Letter]) -> Table:
    """Each in a line."""
    table = _table("id", "subscription", "message", "reason", "error", "attempts", "died")
    for each in letters:
        record = each.record
        cells = each.id, each.subscription, each.message_id or "-", record.reason or "-", record.error[:80] or "-"
        table.add_row(*map(escape, cells), str(record.attempts), _ago(each.time))
    return table


def action_table(rows: Iterable[ActionRow]) -> Table:
    """What operators did."""
    table = _table("when", "who", "what", "subscription", "which", "state", "done", "refused")
    for each in rows:
        when = datetime.fromtimestamp(each.time, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        cells = when, each.who or "-", each.what, each.subscription or "all", each.which, each.state
        table.add_row(*map(escape, cells), str(each.done), str(each.refused))
    return table


def one_letter(letter: Letter) -> Table:
    """One with all that is known of it."""
    told = as_json(letter)
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name in ("id", "message_id", "contract", "subscription", *RECORD, "key"):
        if told[name] not in ("", None):
            table.add_row(name.replace("_", " "), Text(_shown(told[name])))
    for name, value in told["headers"]:
        table.add_row("header", Text(f"{name}: {_shown(value)}"))
    table.add_row("body", Text(_shown(told["body"])))
    return table


def _table(*columns: str) -> Table:
    table = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)
    for column in table.columns:
        column.overflow = "fold"
    return table


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _ago(moment: datetime | None) -> str:
    return "-" if moment is None else f"{_largest(datetime.now(UTC) - moment)} ago"


def _largest(age: timedelta) -> str:
    seconds = max(0, int(age.total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"

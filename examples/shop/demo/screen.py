"""What the terminal shows: one table, alive while the shop works and complete at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.progress_bar import ProgressBar
from rich.table import Table

if TYPE_CHECKING:
    from examples.shop.demo.tally import Line, Tally


def table_of(tally: Tally) -> Table:
    """The tally so far, a row for each subscription.

    `retries` are attempts after the first; `copies` are deliveries of what had been handled before.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("subscription", no_wrap=True)
    table.add_column("")
    for heading in ("handled", "retries", "copies", "seconds", "per s"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, line in list(tally.lines.items()):
        table.add_row(name, ProgressBar(line.expected, len(line.messages), width=8), *_numbers(line))
    return table


def _numbers(line: Line) -> list[str]:
    handled, seconds = len(line.messages), line.seconds
    rate = f"{handled / seconds:,.0f}" if seconds else ""
    return [f"{handled:,}/{line.expected:,}", f"{line.repeated:,}", f"{line.copies:,}", f"{seconds:.1f}", rate]


def remarks_on(tally: Tally) -> list[str]:
    """What the table has no column for: how checkout did, how replicas shared their work, what was read again."""
    shared = (
        f"{name} was shared by {len(line.shares)} workers: {' + '.join(f'{share:,}' for share in line.shares)}."
        for name, line in tally.lines.items()
        if len(line.shares) > 1
    )
    return [*filter(None, [tally.placed]), *shared, *filter(None, [tally.rebuilt])]

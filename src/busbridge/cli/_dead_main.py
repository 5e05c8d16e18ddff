"""`busbridge dead` and its options."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is quick

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

app = typer.Typer(
    help="Dead letters of a service: see what failed and why, send it again, discard it.", no_args_is_help=True
)

_Target: TypeAlias = Annotated[str, typer.Argument(metavar="MODULE:SERVICE", help="As shop.billing:billing.")]
_Files: TypeAlias = Annotated[
    list[Path] | None,
    typer.Option("-c", "--config", metavar="FILE", help="Configuration; repeated, later files win. [busbridge.yaml]"),
]
_Subscription: TypeAlias = Annotated[str, typer.Option("--subscription", help="Only of this subscription.")]


def _reason(text: str) -> str:
    from busbridge.cli._reasons import parsed

    return parsed(text)


_Reason: TypeAlias = Annotated[
    str,
    typer.Option("--reason", parser=_reason, metavar="REASON", help="Only dead for this reason, such as failed."),
]
_Exception: TypeAlias = Annotated[
    str, typer.Option("--exception", help="Only of this class of error, with its module or without.")
]


def _age(text: str) -> timedelta:
    from busbridge.cli._ages import parsed

    return parsed(text)


_Older: TypeAlias = Annotated[
    timedelta | None,
    typer.Option("--older-than", parser=_age, metavar="AGE", help="Only given up at least so long ago: 30m, 2h, 3d."),
]
_Newer: TypeAlias = Annotated[
    timedelta | None, typer.Option("--newer-than", parser=_age, metavar="AGE", help="Only given up within this time.")
]
_Ids: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--id", help="Only this one, by its own id or its message's; repeated for several."),
]
_Json: TypeAlias = Annotated[bool, typer.Option("--json", help="As JSON.")]
_Limit: TypeAlias = Annotated[int | None, typer.Option("--limit", min=1, help="At most so many.")]
_Beyond: TypeAlias = Annotated[
    bool, typer.Option("--beyond-window", help="Also what is older than the store's window.")
]
_Yes: TypeAlias = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@app.command("list")
def list_(
    target: _Target,
    config: _Files = None,
    subscription: _Subscription = "",
    reason: _Reason = "",
    exception: _Exception = "",
    older_than: _Older = None,
    newer_than: _Newer = None,
    ids: _Ids = None,
    limit: _Limit = None,
    each: Annotated[bool, typer.Option("--each", help="Each for itself, with its id, instead of groups.")] = False,  # noqa: FBT002
    as_json: _Json = False,  # noqa: FBT002
) -> None:
    """Count dead letters by subscription, reason and class of error."""
    from busbridge.cli import _dead
    from busbridge.runtime import Which

    which = Which(
        subscription=subscription,
        reason=reason,
        exception=exception,
        older_than=older_than,
        newer_than=newer_than,
        ids=frozenset(ids or ()),
    )
    _dead.show_list(target, config or (), which, limit, each=each, as_json=as_json)


@app.command()
def show(
    target: _Target,
    id: Annotated[str, typer.Argument(help="Of the dead letter, or of its message.")],  # noqa: A002 - what it is called
    config: _Files = None,
    subscription: _Subscription = "",
    as_json: _Json = False,  # noqa: FBT002
) -> None:
    """Show one dead letter: its record, its headers, its body."""
    from busbridge.cli import _dead

    _dead.show(target, config or (), id, subscription, as_json=as_json)


@app.command()
def export(
    target: _Target,
    config: _Files = None,
    subscription: _Subscription = "",
    reason: _Reason = "",
    exception: _Exception = "",
    older_than: _Older = None,
    newer_than: _Newer = None,
    ids: _Ids = None,
    limit: _Limit = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="A file. [standard output]")] = None,
) -> None:
    """Write dead letters as JSON, one a line; what is no text is written in base64. They stay where they are."""
    from busbridge.cli import _dead
    from busbridge.runtime import Which

    which = Which(
        subscription=subscription,
        reason=reason,
        exception=exception,
        older_than=older_than,
        newer_than=newer_than,
        ids=frozenset(ids or ()),
    )
    _dead.export(target, config or (), which, limit, output)


@app.command()
def redrive(
    target: _Target,
    config: _Files = None,
    subscription: _Subscription = "",
    reason: _Reason = "",
    exception: _Exception = "",
    older_than: _Older = None,
    newer_than: _Newer = None,
    ids: _Ids = None,
    limit: _Limit = None,
    rate: Annotated[float | None, typer.Option("--rate", min=0.01, help="At most so many a second.")] = None,
    canary: Annotated[
        int, typer.Option("--canary", min=0, help="Send so many first; the rest once they are handled.")
    ] = 0,
    wait: Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait for the canary.")] = 30.0,
    beyond_window: _Beyond = False,  # noqa: FBT002
    yes: _Yes = False,  # noqa: FBT002
) -> None:
    """Send dead letters again, each to the subscription that could not handle it, and to nobody else."""
    from busbridge.cli import _dead
    from busbridge.runtime import Which

    which = Which(
        subscription=subscription,
        reason=reason,
        exception=exception,
        older_than=older_than,
        newer_than=newer_than,
        ids=frozenset(ids or ()),
    )
    how = _dead.How(limit=limit, rate=rate, canary=canary, wait=wait, beyond_window=beyond_window, yes=yes)
    _dead.redrive(target, config or (), which, how)


@app.command()
def discard(
    target: _Target,
    config: _Files = None,
    subscription: _Subscription = "",
    reason: _Reason = "",
    exception: _Exception = "",
    older_than: _Older = None,
    newer_than: _Newer = None,
    ids: _Ids = None,
    limit: _Limit = None,
    yes: _Yes = False,  # noqa: FBT002
) -> None:
    """Remove dead letters for good."""
    from busbridge.cli import _dead
    from busbridge.runtime import Which

    which = Which(
        subscription=subscription,
        reason=reason,
        exception=exception,
        older_than=older_than,
        newer_than=newer_than,
        ids=frozenset(ids or ()),
    )
    _dead.discard(target, config or (), which, _dead.How(limit=limit, yes=yes))


@app.command()
def actions(target: _Target, config: _Files = None, limit: _Limit = None) -> None:
    """List what was done to dead letters, newest first: by whom, when, how many. Needs a store."""
    from busbridge.cli import _dead

    _dead.actions(target, config or (), limit or 20)

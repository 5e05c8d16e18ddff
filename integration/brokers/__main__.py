"""`python3 -m integration.brokers`: brokers for scripts and people."""

from __future__ import annotations

import argparse
import sys

from integration.brokers import (
    IMAGES,
    KINDS,
    BrokerSet,
    BrokersUnavailableError,
    DockerError,
    ensure_compose,
    ensure_engine,
    exports,
    image_for,
)

_DEFAULT_KINDS = ["rabbitmq", "kafka"]


def main() -> int:
    """Runs one command; 0 if it did what it says, else the reason is on standard error."""
    arguments = _parser().parse_args()
    try:
        _COMMANDS[arguments.command](BrokerSet(arguments.set), arguments.kind or _DEFAULT_KINDS)
    except (BrokersUnavailableError, DockerError) as error:
        print(f"brokers: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("brokers: interrupted", file=sys.stderr)
        return 130
    return 0


def _up(brokers: BrokerSet, kinds: list[str]) -> None:
    print("\n".join(exports(brokers.up(kinds))))


def _down(brokers: BrokerSet, kinds: list[str]) -> None:
    brokers.down()


def _env(brokers: BrokerSet, kinds: list[str]) -> None:
    print("\n".join(exports(brokers.running())))


def _restart(brokers: BrokerSet, kinds: list[str]) -> None:
    for kind, broker in brokers.running().items():
        if kind in kinds:
            broker.restart()


def _status(brokers: BrokerSet, kinds: list[str]) -> None:
    for kind, broker in brokers.running().items():
        answer = "answers" if broker.answers() else "does not answer"
        print(f"{kind}: {broker.url} {broker.container.state}, {answer}")


def _images(brokers: BrokerSet, kinds: list[str]) -> None:
    ensure_engine()
    ensure_compose()
    for kind in kinds:
        print(f"export {IMAGES[kind].variable}='{image_for(kind)}'")


_COMMANDS = {"up": _up, "down": _down, "env": _env, "restart": _restart, "status": _status, "images": _images}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m integration.brokers",
        description="up: finds or makes brokers, prints their URLs as shell exports. down: removes their containers. "
        "env: the exports of a set that is up. restart: stops and starts its brokers. "
        "status: what runs. images: makes `docker compose` and the images "
        "ready, prints the variables that docker-compose.yml reads.",
    )
    parser.add_argument("command", choices=_COMMANDS)
    parser.add_argument("kind", nargs="*", type=_kind, help=f"{', '.join(KINDS)} (default: {' '.join(_DEFAULT_KINDS)})")
    parser.add_argument("--set", default="busbridge", help="the set's name; sets of other names are left alone")
    return parser


def _kind(value: str) -> str:
    """`choices` would refuse an empty list of kinds on Python 3.11."""
    if value not in KINDS:
        raise argparse.ArgumentTypeError(f"{value!r} is none of {', '.join(KINDS)}")
    return value


if __name__ == "__main__":
    sys.exit(main())

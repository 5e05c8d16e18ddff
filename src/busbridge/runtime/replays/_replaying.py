"""From what is asked for to a replay run, every mistake told where it stands."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from busbridge.envelope import new_id
from busbridge.errors import ConfigurationError, Fault
from busbridge.routing import ReplayPublish
from busbridge.runtime.replays._replay import Replay
from busbridge.runtime.replays._streams import start_of, stream_of, until_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from busbridge.routing import Config, StartAt, SubscriptionPlan
    from busbridge.runtime._transports import Transports
    from busbridge.runtime._works import Works
    from busbridge.runtime.replays._read import Start
    from busbridge.transport import Until


Publish: TypeAlias = "Literal['refuse', 'send', 'drop']"


class Asked(NamedTuple):
    """A run as it is asked for, which the configuration allows."""

    plan: SubscriptionPlan
    start: StartAt
    until: Until
    publish: ReplayPublish | None
    run: str | None


def asked(
    service: str,
    config: Config,
    transports: Transports,
    subscription: str,
    start: Start,
    until: Until,
    publish: Publish | None,
    run: str | None,
) -> Asked:
    """What is asked for, checked without any connection. Raises ConfigurationError, ValueError."""
    plan = _plan(service, subscription, config)
    _check_stream(plan, config, transports)
    if run is not None and config.services[service].store is None:
        problem = f"service {service!r} has no store, which would know how far replay run {run!r} has come"
        where = config.locate(("services", service))
        raise ConfigurationError([Fault(problem, where, f"add services.{service}.store")])
    if until is None:
        raise ValueError("a replay ends at 'now' or before a time: what is published later is for the subscription")
    mode = None if publish is None else ReplayPublish(publish)
    return Asked(plan, start_of(start), until_of(until), mode, run)


def replay_of(works: Works, asked: Asked) -> Replay:
    """A run that has not begun."""
    run, grace = asked.run or new_id(), works.config.stop_grace
    return Replay(works, asked.plan, run, asked.start, asked.until, asked.publish, grace=grace)


def _plan(service: str, name: str, config: Config) -> SubscriptionPlan:
    declared = config.services.get(service)
    known: Mapping[str, SubscriptionPlan] = declared.subscriptions if declared else {}
    if name in known:
        return known[name]
    near = get_close_matches(name, list(known), n=1)
    hint = f"did you mean {near[0]!r}?" if near else None
    where = config.locate(("services", service, "subscriptions"))
    raise ConfigurationError([Fault(f"service {service!r} has no subscription {name!r}", where, hint)])


def _check_stream(plan: SubscriptionPlan, config: Config, transports: Transports) -> None:
    try:
        stream_of(plan.destination.name, config, transports)
    except ConfigurationError as error:
        path = ("services", plan.service, "subscriptions", plan.name, "from")
        problem = f"subscription {plan.name!r} can't be replayed: {error.faults[0].problem}"
        raise ConfigurationError([Fault(problem, config.locate(path))]) from None

"""From what is asked for to a replay run, every mistake told where it stands."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal, TypeAlias

from busbridge.envelope import new_id
from busbridge.errors import ConfigurationError, Fault
from busbridge.routing import ReplayPublish
from busbridge.runtime.replays._replay import Replay
from busbridge.runtime.replays._streams import start_of, until_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from busbridge.routing import Config, SubscriptionPlan
    from busbridge.runtime._works import Works
    from busbridge.runtime.replays._read import Start
    from busbridge.runtime.replays._streams import Streams
    from busbridge.transport import Until


Publish: TypeAlias = "Literal['refuse', 'send', 'drop']"


def replay_of(
    works: Works,
    streams: Streams,
    subscription: str,
    start: Start,
    until: Until,
    publish: Publish | None,
    run: str | None,
) -> Replay:
    """A run that has not begun. Raises ConfigurationError, ValueError."""
    config = works.config
    plan = _plan(works.service.name, subscription, config)
    _check_stream(plan, config, streams)
    if run is not None and works.storing is None:
        name = works.service.name
        problem = f"service {name!r} has no store, which would know how far replay run {run!r} has come"
        raise ConfigurationError([Fault(problem, config.locate(("services", name)), f"add services.{name}.store")])
    if until is None:
        raise ValueError("a replay ends at 'now' or before a time: what is published later is for the subscription")
    mode = None if publish is None else ReplayPublish(publish)
    return Replay(works, plan, run or new_id(), start_of(start), until_of(until), mode, grace=config.stop_grace)


def _plan(service: str, name: str, config: Config) -> SubscriptionPlan:
    declared = config.services.get(service)
    known: Mapping[str, SubscriptionPlan] = declared.subscriptions if declared else {}
    if name in known:
        return known[name]
    near = get_close_matches(name, list(known), n=1)
    hint = f"did you mean {near[0]!r}?" if near else None
    where = config.locate(("services", service, "subscriptions"))
    raise ConfigurationError([Fault(f"service {service!r} has no subscription {name!r}", where, hint)])


def _check_stream(plan: SubscriptionPlan, config: Config, streams: Streams) -> None:
    try:
        streams.stream(plan.destination.name)
    except ConfigurationError as error:
        path = ("services", plan.service, "subscriptions", plan.name, "from")
        problem = f"subscription {plan.name!r} can't be replayed: {error.faults[0].problem}"
        raise ConfigurationError([Fault(problem, config.locate(path))]) from None

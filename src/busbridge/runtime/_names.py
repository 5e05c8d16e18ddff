"""The names of services: given twice, or spelt in another way in the configuration."""

from __future__ import annotations

from collections import Counter
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from busbridge.errors import Fault

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from busbridge.routing import Reading, ServicePlan
    from busbridge.runtime._service import Service

_NEAR: Final = 0.6
_VERY_NEAR: Final = 0.8
"""Where nothing else is wrong: one letter in a short name, and few names that differ on purpose."""


def twice_given(services: Collection[Service[Any]]) -> Iterator[Fault]:
    """The faults of services that have one name: they would share subscriptions, inbox and outbox."""
    for name, count in Counter(each.name for each in services).items():
        if count > 1:
            yield Fault(f"{count} services are named {name!r}", hint="replicas of one are processes of their own")


def misspelt(services: Collection[Service[Any]], reading: Reading, *, alone: bool = False) -> dict[Service[Any], str]:
    """By service that the configuration has not: the section there that may be meant for it.

    A section that is no near match may be of another process. Nor is one guessed for a service that only publishes,
    unless it has nothing but a store, which would be left out in silence; and for none of these where services are
    `alone`, others that belong to them unknown.
    """
    given = {each.name for each in services}
    others = {name: plan for name, plan in reading.config.services.items() if name not in given}
    missing = (each for each in services if each.name not in reading.config.services)
    read = (each for each in missing if not reading.unread.hides(("services", each.name)))
    found = ((each, _section(each, others, alone=alone)) for each in read)
    return {service: section for service, section in found if section is not None}


def misspelt_faults(found: Mapping[Service[Any], str], reading: Reading) -> Iterator[Fault]:
    """A fault at each section that `misspelt` found."""
    for service, section in found.items():
        problem = f"the configuration has no service {service.name!r}, and none that was given is named {section!r}"
        hint = f"did you mean {service.name!r}?"
        if not service.subscriptions:
            hint += f" if not, add an empty section `{service.name}:`"
        yield Fault(problem, reading.config.locate(("services", section)), hint)


def _section(service: Service[Any], others: Mapping[str, ServicePlan], *, alone: bool) -> str | None:
    if service.subscriptions:
        return next(iter(get_close_matches(service.name, others, 1, _NEAR)), None)
    stores = [] if alone else [name for name, plan in others.items() if plan.store and not plan.subscriptions]
    return next(iter(get_close_matches(service.name, stores, 1, _VERY_NEAR)), None)

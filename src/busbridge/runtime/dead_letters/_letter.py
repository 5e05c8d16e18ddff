"""A dead letter as an operator sees it, and which ones are meant."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, final

from busbridge.envelope import decode
from busbridge.errors import InvalidEnvelope
from busbridge.retry import read_record

if TYPE_CHECKING:
    from datetime import timedelta

    from busbridge.routing import SubscriptionPlan
    from busbridge.transport import Buried


@final
class Letter:
    """One dead letter: what its record says, and the message as it was published."""

    def __init__(self, buried: Buried, plan: SubscriptionPlan) -> None:
        self.buried = buried
        self.plan = plan
        self.record = read_record(buried.body, buried.headers)

    @property
    def subscription(self) -> str:
        """The subscription whose dead letter it is."""
        return self.plan.name

    @cached_property
    def id(self) -> str:
        """Its own id; of one without a record a digest, the same whenever it is looked at."""
        return self.record.id or hashlib.sha256(repr((self.buried.body, self.buried.headers)).encode()).hexdigest()[:16]

    @cached_property
    def message_id(self) -> str:
        """The id of the message; empty where it has none that can be read."""
        return self._attributes.get("id", "")

    @property
    def contract(self) -> str:
        """The contract and version that the message says it is of; empty where it says none."""
        return self._attributes.get("dataschema", self._attributes.get("type", ""))

    @cached_property
    def _attributes(self) -> dict[str, str]:
        try:
            return dict(decode(self.record.headers, self.record.body).attributes)
        except InvalidEnvelope:
            return {}

    @cached_property
    def time(self) -> datetime | None:
        """When it was given up; None where the record does not say."""
        try:
            moment = datetime.fromisoformat(self.record.time)
        except ValueError:
            return None
        return moment if moment.tzinfo else None

    def __repr__(self) -> str:
        return f"<Letter {self.id} of {self.plan.group!r}, {self.record.reason or 'no reason'}>"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Which:
    """Which dead letters are meant: those that all of it holds for; what is not given holds for all."""

    subscription: str = ""
    reason: str = ""
    exception: str = ""
    """A class of error, with its module or without."""
    older_than: timedelta | None = None
    """Given up at least so long ago. One that does not say when is not meant by a time."""
    newer_than: timedelta | None = None
    ids: frozenset[str] = frozenset()
    """Their own ids, or the ids of their messages."""

    def takes(self, letter: Letter, now: datetime) -> bool:
        """Whether a dead letter of a subscription that is meant is meant itself."""
        record = letter.record
        return (
            (not self.reason or record.reason == self.reason)
            and (not self.exception or self.exception in {record.error_type, record.error_type.rpartition(".")[2]})
            and (not self.ids or letter.id in self.ids or letter.message_id in self.ids)
            and self._is_of_age(letter, now)
        )

    def _is_of_age(self, letter: Letter, now: datetime) -> bool:
        if self.older_than is None and self.newer_than is None:
            return True
        if letter.time is None:
            return False
        age = now - letter.time
        old = self.older_than is None or age >= self.older_than
        return old and (self.newer_than is None or age <= self.newer_than)

    def __str__(self) -> str:
        """What was asked for, as it is written down with an action."""
        given = {each.name: getattr(self, each.name) for each in fields(self)}
        given["ids"] = ",".join(sorted(self.ids))
        return " ".join(f"{name}={value}" for name, value in given.items() if value) or "all"

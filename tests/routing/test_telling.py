"""What the records of dead letters tell."""

from __future__ import annotations

from busbridge.routing import Telling, load
from tests.routing.helpers import QUEUE, told


def with_dead_letters(keys: object) -> dict[str, object]:
    subscription = {"from": "orders", "dead_letters": keys}
    return {**QUEUE, "services": {"stock": {"subscriptions": {"reserve": subscription}}}}


def telling_of(keys: object) -> Telling:
    (plan,) = load(with_dead_letters(keys), environ={}).subscriptions()
    return plan.telling


def test_the_stack_is_told_and_nothing_redacted_unless_the_file_says_otherwise() -> None:
    assert telling_of(None) == Telling(stack=True, redact=())
    told = telling_of({"stack": False, "redact": [r"\d{16}", "secret"]})
    assert not told.stack
    assert [each.pattern for each in told.redact] == [r"\d{16}", "secret"]
    assert [each.pattern for each in telling_of({"redact": "secret"}).redact] == ["secret"]


def test_what_is_no_regular_expression_is_a_fault_at_its_place() -> None:
    (problem,) = told(with_dead_letters({"redact": ["fine", "(open"]}))
    assert problem.startswith("services.stock.subscriptions.reserve.dead_letters.redact.1: not a regular expression")

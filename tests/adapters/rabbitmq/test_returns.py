"""What RabbitMQ has put on a message that waited is taken off, and nothing else."""

from __future__ import annotations

from pika.spec import BasicProperties

from busbridge.transport import Session
from busbridge_rabbitmq._returns import Returns

OURS = {"queue": "stock.reserve.retry.1s", "reason": "expired", "count": 3}
THEIRS = {"queue": "somewhere.else", "reason": "rejected", "count": 1}
WAITED = {"busbridge-waiting-attempts": "4", "busbridge-first-failed": "2026-01-01T00:00:00Z"}


class Consumer:
    session = Session()


def returned(**headers):
    properties = BasicProperties(headers=headers)
    delivery = Returns(["stock.reserve.retry.1s"]).delivery(Consumer(), 1, properties, b"", redelivered=False)
    return delivery.attempt, dict(delivery.headers), properties.headers


def test_its_attempt_is_what_it_says_and_its_headers_are_those_it_had():
    deaths = {"x-death": [OURS], "x-first-death-queue": OURS["queue"], "x-first-death-reason": "expired",
              "x-last-death-queue": OURS["queue"], "x-last-death-exchange": ""}  # fmt: skip
    attempt, headers, left = returned(**WAITED, **deaths, **{"x-mine": "1"})
    assert attempt == 5
    assert headers == left == {"busbridge-first-failed": WAITED["busbridge-first-failed"], "x-mine": "1"}


def test_deaths_elsewhere_stay():
    """They are a foreign broker's or an operator's, and belong to the message."""
    deaths = {"x-death": [OURS, THEIRS], "x-first-death-queue": THEIRS["queue"], "x-last-death-queue": OURS["queue"]}
    attempt, headers, _ = returned(**WAITED, **deaths)
    assert attempt == 5
    assert headers["x-death"] == [THEIRS]
    assert headers["x-first-death-queue"] == THEIRS["queue"]
    assert "x-last-death-queue" not in headers


def test_what_no_queue_of_ours_let_go_is_new_and_left_alone():
    for deaths in ({}, {"x-death": [THEIRS]}, {"x-death": "nonsense"}, {"x-death": ["nonsense"]}):
        attempt, headers, _ = returned(**WAITED, **deaths)
        assert (attempt, headers) == (1, {**WAITED, **deaths})


def test_a_count_that_makes_no_sense_is_the_first_attempt():
    attempt, _, _ = returned(**{"busbridge-waiting-attempts": "many", "x-death": [OURS]})
    assert attempt == 1

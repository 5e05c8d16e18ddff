"""The watermark of a partition: the contiguous finished prefix, whatever the order of finishing and the gaps."""

from __future__ import annotations

from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from busbridge_kafka._delivery import KafkaDelivery
from busbridge_kafka._partition import Assignment


def begun(*offsets, start=0):
    assignment = Assignment(0, start)
    for offset in offsets:
        assignment.begin(offset)
    return assignment


def test_nothing_begun_commits_what_was_committed():
    assert Assignment(0, 17).watermark == 17


def test_the_head_holds_back_all_that_finished_behind_it():
    assignment = begun(0, 1, 2)
    assignment.finish(1)
    assignment.finish(2)
    assert assignment.watermark == 0
    assignment.finish(0)
    assert assignment.watermark == 3


def test_gaps_of_the_log_hold_nothing_back():
    assignment = begun(3, 7, 8, start=1)
    assignment.finish(3)
    assert assignment.watermark == 7
    assignment.finish(8)
    assignment.finish(7)
    assert assignment.watermark == 9


def test_what_was_released_or_waits_for_another_attempt_is_held_by_nobody_but_stays_unfinished():
    assignment = begun(0, 1)
    assignment.given_back += 1
    assignment.finish(1)
    assert assignment.held == 0
    assert assignment.watermark == 0


def test_what_an_assignment_before_may_have_begun_counts_as_handed_over_before():
    """Kafka says of no message that it comes again: a process that died of one would never be counted (T7)."""
    message = SimpleNamespace(value=lambda: b"", key=lambda: None)
    assignment = Assignment(0, 100, window=10)
    came = {offset: KafkaDelivery(None, assignment, offset, message).redelivered for offset in (100, 109, 110)}
    assert came == {100: True, 109: True, 110: False}


@given(st.lists(st.integers(1, 4), min_size=1, max_size=60), st.randoms())
def test_the_watermark_never_passes_an_unfinished_message_and_reaches_the_end(steps, random):
    offsets = [sum(steps[: index + 1]) for index in range(len(steps))]
    assignment = begun(*offsets)
    unfinished = list(offsets)
    for offset in random.sample(offsets, len(offsets)):
        assignment.finish(offset)
        unfinished.remove(offset)
        assert assignment.watermark == (unfinished[0] if unfinished else offsets[-1] + 1)
        assert assignment.held == len(unfinished)
    assert assignment.span == 0

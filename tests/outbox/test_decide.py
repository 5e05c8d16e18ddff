"""Every cell of the table: what the inbox knows, how the message comes, what is done (T1)."""

from __future__ import annotations

import pytest

from busbridge.outbox import CRASHES, Action, Arrival, Decision, decide, decision_table
from busbridge.store import InboxKey, InboxRow, InboxState

KEY = InboxKey("stock.reserve/reserve", "shop", "m1")
HANDLE, COUNT, ALONE, CRASHED, DUPLICATE, BURY = Action


def row(state, attempt, crashes=0, redrive=""):
    return InboxRow(KEY, state, attempt, crashes, redrive)


def states(redrive):
    """A row for each state that a message can be in, as its last redrive has left it."""
    return {
        "not known": None,
        "running": row(InboxState.RUNNING, 0, 0, redrive),
        "crashed often": row(InboxState.RUNNING, 0, CRASHES - 1, redrive),
        "running from a timer": row(InboxState.RUNNING, 2, 0, redrive),
        "scheduled": row(InboxState.SCHEDULED, 2, 0, redrive),
        "blocked": row(InboxState.BLOCKED, 2, 0, redrive),
        "handled": row(InboxState.HANDLED, 1, 0, redrive),
        "dead": row(InboxState.DEAD, 3, 0, redrive),
    }


BY_THE_SAME = {
    # state: (first or second copy, delivered again, in order, in order again, its timer, that of an earlier attempt)
    "not known": (HANDLE, COUNT, HANDLE, COUNT, COUNT, COUNT),
    "running": (ALONE, ALONE, ALONE, ALONE, ALONE, ALONE),
    "crashed often": (CRASHED, CRASHED, CRASHED, CRASHED, CRASHED, CRASHED),
    "running from a timer": (DUPLICATE, DUPLICATE, ALONE, ALONE, ALONE, DUPLICATE),
    "scheduled": (DUPLICATE, DUPLICATE, DUPLICATE, DUPLICATE, COUNT, DUPLICATE),
    "blocked": (HANDLE, COUNT, HANDLE, COUNT, DUPLICATE, DUPLICATE),
    "handled": (DUPLICATE, DUPLICATE, DUPLICATE, DUPLICATE, DUPLICATE, DUPLICATE),
    "dead": (BURY, BURY, BURY, BURY, DUPLICATE, DUPLICATE),
}
BY_ANOTHER = {
    # state: (new redrive, new redrive delivered again, copy from before the redrive, timer from before it)
    "not known": (HANDLE, COUNT, COUNT, COUNT),
    "running": (HANDLE, COUNT, DUPLICATE, DUPLICATE),
    "crashed often": (HANDLE, COUNT, DUPLICATE, DUPLICATE),
    "running from a timer": (HANDLE, COUNT, DUPLICATE, DUPLICATE),
    "scheduled": (HANDLE, COUNT, DUPLICATE, DUPLICATE),
    "blocked": (HANDLE, COUNT, DUPLICATE, DUPLICATE),
    "handled": (DUPLICATE, DUPLICATE, DUPLICATE, DUPLICATE),
    "dead": (HANDLE, COUNT, DUPLICATE, DUPLICATE),
}


def same(redrive):
    return (
        Arrival(redrive=redrive),
        Arrival(redelivered=True, redrive=redrive),
        Arrival(kept=True, redrive=redrive),
        Arrival(redelivered=True, kept=True, redrive=redrive),
        Arrival(2, timer=True, redrive=redrive),
        Arrival(1, timer=True, redrive=redrive),
    )


OTHERS = (
    Arrival(redrive="next"),
    Arrival(redelivered=True, redrive="next"),
    Arrival(redelivered=True),
    Arrival(2, timer=True),
)


@pytest.mark.parametrize("redrive", ["", "first"], ids=["itself", "redriven"])
@pytest.mark.parametrize("state", BY_THE_SAME)
@pytest.mark.parametrize("arrival", range(6), ids=["first", "again", "kept", "kept again", "timer", "late timer"])
def test_a_message_that_comes_by_the_same_way(state, arrival, redrive):
    found = decide(states(redrive)[state], same(redrive)[arrival])
    assert found.action is BY_THE_SAME[state][arrival]


@pytest.mark.parametrize("state", BY_ANOTHER)
@pytest.mark.parametrize("arrival", range(4), ids=["redrive", "redrive again", "late copy", "late timer"])
def test_a_message_that_comes_by_another_redrive(state, arrival):
    found = decide(states("first")[state], OTHERS[arrival])
    assert found.action is BY_ANOTHER[state][arrival]


def test_the_table_of_the_documents_is_the_one_that_is_tested():
    head, *lines = decision_table()
    assert len(head) == 1 + len(BY_THE_SAME)
    columns = [[*BY_THE_SAME[state], *BY_ANOTHER[state]] for state in BY_THE_SAME]
    assert [line[1:] for line in lines] == [[each.value for each in line] for line in zip(*columns, strict=True)]


def test_a_message_that_failed_in_a_batch_is_handled_when_its_timer_comes():
    """The naive inbox, which only knows that an id was seen, takes it for a duplicate."""
    scheduled = row(InboxState.SCHEDULED, 3)
    assert decide(scheduled, Arrival(3, timer=True)) == Decision(COUNT, ended=3)


def test_a_crash_between_the_commit_of_a_timer_and_the_settlement_leaves_one_live_copy():
    scheduled = row(InboxState.SCHEDULED, 1)
    assert decide(scheduled, Arrival(redelivered=True)).action is DUPLICATE
    assert decide(scheduled, Arrival(1, timer=True)).action is COUNT


def test_a_message_that_blocks_and_kills_its_process_is_no_duplicate_of_itself():
    """Its attempts come from the broker, so that none of them is an earlier one than what the row knows."""
    running = row(InboxState.RUNNING, 2)
    assert decide(running, Arrival(redelivered=True, kept=True)) == Decision(ALONE, ended=2, crashes=1)


def test_a_redrive_of_a_dead_message_begins_anew():
    dead = row(InboxState.DEAD, 5, CRASHES)
    assert decide(dead, Arrival(redrive="r1")) == Decision(HANDLE, ended=0, crashes=0, redrive="r1")


def test_crashes_are_counted_until_the_message_is_dead():
    """T7: the first one is known by the row that was committed before it."""
    known, actions = decide(None, Arrival(redelivered=True)), []
    while known.action is not CRASHED:
        actions.append(known.action)
        known = decide(row(InboxState.RUNNING, known.ended, known.crashes), Arrival(redelivered=True))
    assert actions == [COUNT, *[ALONE] * (CRASHES - 1)]
    assert known.crashes == CRASHES

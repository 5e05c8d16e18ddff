"""The tests of this folder are sharp: each saboteur is noticed by those named here."""

from __future__ import annotations

import pytest

from integration.rabbitmq import saboteurs, test_consuming, test_leaving, test_ordered, test_publishing

NOTICED_BY = {
    saboteurs.acks_over_a_hole: [test_consuming.test_what_is_finished_behind_a_running_head_does_not_come_back],
    saboteurs.waits_for_a_stuck_head: [test_consuming.test_a_stuck_head_does_not_exhaust_the_prefetch],
    saboteurs.finishes_before_the_dead_letter: [
        test_consuming.test_a_rejected_delivery_is_not_finished_before_its_dead_letter_is_confirmed
    ],
    saboteurs.hands_over_at_once: [test_ordered.test_a_shard_is_handed_over_when_all_that_was_held_is_finished],
    saboteurs.cancels_when_draining: [
        test_leaving.test_a_stop_that_outlasts_its_grace_lets_nothing_overtake_what_it_cut_off
    ],
    saboteurs.ResendsOutOfOrder: [
        test_publishing.test_what_a_cut_line_swallowed_is_sent_again_in_order,
        test_publishing.test_one_bad_publish_in_a_batch_is_refused_alone,
    ],
    saboteurs.ResendsNothing: [test_publishing.test_a_line_cut_between_write_and_confirm_loses_nothing],
    saboteurs.IgnoresReturns: [test_publishing.test_a_message_without_an_id_is_known_when_it_is_returned],
    saboteurs.TakesNacks: [test_publishing.test_a_full_queue_refuses_and_drops_nothing],
    saboteurs.BlamesEveryone: [test_publishing.test_one_bad_publish_in_a_batch_is_refused_alone],
}

NOTICED_ON_A_BROKER_OF_ITS_OWN = {
    saboteurs.closes_in_doubt: [test_leaving.test_what_a_channel_keeps_back_for_a_slow_queue_reaches_it],
}


RACING = {saboteurs.cancels_when_draining}
"""What these do wrong shows only if the broker is in the middle of something: not in every run on a busy machine."""
RACES = 8


def pairs(table):
    return [
        pytest.param(saboteur, each, id=f"{saboteur.__name__}-{getattr(each, '__name__', each)}")
        for saboteur, noticing in table.items()
        for each in noticing
    ]


@pytest.mark.parametrize(("saboteur", "test"), pairs(NOTICED_BY))
def test_a_test_notices(bench, saboteur, test, monkeypatch):
    must_notice(bench, saboteur, test, monkeypatch)


@pytest.mark.parametrize(("saboteur", "test"), pairs(NOTICED_ON_A_BROKER_OF_ITS_OWN))
def test_a_test_with_a_fault_of_the_broker_notices(private_bench, saboteur, test, monkeypatch):
    must_notice(private_bench, saboteur, test, monkeypatch)


def must_notice(bench, saboteur, test, monkeypatch):
    bench.make = saboteur
    monkeypatch.setattr("integration.rabbitmq.bench.SECONDS", 3.0)
    monkeypatch.setattr(test.__module__ + ".SECONDS", 3.0)
    with pytest.raises((AssertionError, TimeoutError, ValueError, ExceptionGroup)):
        for _ in range(RACES if saboteur in RACING else 1):
            bench.prefix = f"{bench.prefix}x"
            test(bench)

"""The tests and rows are sharp: each saboteur is noticed by those named here."""

from __future__ import annotations

import asyncio

import pytest

from busbridge.testing.conformance import ROWS, run
from integration.conformance.rabbitmq_rig import RabbitMQRig
from integration.rabbitmq import saboteurs, test_consuming, test_ordered, test_publishing

CASES = {case.id: case for row in ROWS for case in row.cases()}

NOTICED_BY_ROWS = {
    saboteurs.acks_over_a_hole: ["C08-unfinished_comes_back-queue", "C08-unfinished_comes_back-ordered_queue"],
    saboteurs.settles_stale_deliveries: ["C13-stale_settlement_is_harmless-queue"],
    saboteurs.ignores_the_prefetch: ["C16-in_flight_bound-queue", "C16-in_flight_bound-ordered_queue"],
    saboteurs.IgnoresReturns: ["C03-unroutable_is_refused-topic"],
    saboteurs.TakesNacks: ["C03-full_queue_refuses-queue"],
}

NOTICED_BY_TESTS = {
    saboteurs.acks_over_a_hole: [test_consuming.test_what_is_finished_behind_a_running_head_does_not_come_back],
    saboteurs.waits_for_a_stuck_head: [test_consuming.test_a_stuck_head_does_not_exhaust_the_prefetch],
    saboteurs.finishes_before_the_dead_letter: [
        test_consuming.test_a_rejected_delivery_is_not_finished_before_its_dead_letter_is_confirmed
    ],
    saboteurs.hands_over_at_once: [test_ordered.test_a_shard_is_handed_over_when_all_that_was_held_is_finished],
    saboteurs.ResendsOutOfOrder: [
        test_publishing.test_what_a_cut_line_swallowed_is_sent_again_in_order,
        test_publishing.test_one_bad_publish_in_a_batch_is_refused_alone,
    ],
    saboteurs.ResendsNothing: [test_publishing.test_a_line_cut_between_write_and_confirm_loses_nothing],
    saboteurs.IgnoresReturns: [test_publishing.test_a_message_without_an_id_is_known_when_it_is_returned],
    saboteurs.TakesNacks: [test_publishing.test_a_full_queue_refuses_and_drops_nothing],
    saboteurs.BlamesEveryone: [test_publishing.test_one_bad_publish_in_a_batch_is_refused_alone],
}


def pairs(table):
    return [
        pytest.param(saboteur, each, id=f"{saboteur.__name__}-{getattr(each, '__name__', each)}")
        for saboteur, noticing in table.items()
        for each in noticing
    ]


@pytest.mark.parametrize(("saboteur", "case"), pairs(NOTICED_BY_ROWS))
def test_a_row_notices(rabbitmq, saboteur, case):
    rig = RabbitMQRig(rabbitmq, transport=saboteur)
    rig.patience = 3.0
    with pytest.raises(Exception):  # noqa: B017, PT011  # a row may also fail by what the saboteur makes it trip over
        asyncio.run(run(CASES[case], rig))


@pytest.mark.parametrize(("saboteur", "test"), pairs(NOTICED_BY_TESTS))
def test_a_test_notices(bench, saboteur, test, monkeypatch):
    bench.make = saboteur
    monkeypatch.setattr("integration.rabbitmq.bench.SECONDS", 3.0)
    monkeypatch.setattr(test.__module__ + ".SECONDS", 3.0)
    with pytest.raises((AssertionError, TimeoutError, ValueError)):
        test(bench)

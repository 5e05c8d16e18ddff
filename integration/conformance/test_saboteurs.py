"""The rows are sharp on real brokers too: an adapter with one promise broken is noticed (T27).

What no row can see without a fault between two of the adapter's own steps is left to the adapter's own tests; those
saboteurs are listed with no case.
"""

from __future__ import annotations

import asyncio

import pytest

from busbridge.testing.conformance import ROWS, RowFailed, run
from busbridge_kafka import KafkaTransport
from busbridge_rabbitmq import RabbitMQTransport
from integration.conformance import kafka_saboteurs, network_saboteurs
from integration.conformance.kafka_rig import KafkaRig
from integration.conformance.rabbitmq_rig import RabbitMQRig
from integration.conformance.slow import marks
from integration.rabbitmq import saboteurs as rabbitmq_saboteurs

CASES = {case.id: case for row in ROWS for case in row.cases()}
ON_RABBITMQ = {
    "acks_over_a_hole": ["C08-unfinished_comes_back-queue"],
    "waits_for_a_stuck_head": ["C16-unfinished_message_blocks_no_other-topic"],
    "cancels_when_draining": [],
    "closes_in_doubt": [],
    "finishes_before_the_dead_letter": ["C10-rejected_is_never_lost-queue"],
    "settles_stale_deliveries": ["C13-stale_settlement_is_harmless-queue", "C32-silent_member_is_fenced-queue"],
    "ignores_the_prefetch": ["C16-in_flight_bound-queue"],
    "never_expires": ["C26-expired_is_a_dead_letter-queue"],
    "hands_over_at_once": ["C17-order_survives_graceful_stop-ordered_queue"],
    "ResendsOutOfOrder": ["C17-order_survives_bad_entry-ordered_queue"],
    "ResendsNothing": ["C05-batch_outcomes_itemised-topic"],
    "IgnoresReturns": ["C03-unroutable_is_refused-topic"],
    "TakesNacks": ["C03-full_queue_refuses-queue"],
    "BlamesEveryone": ["C05-batch_outcomes_itemised-topic"],
}
"""Each saboteur of the RabbitMQ adapter, and the cases that must notice it."""
ON_KAFKA = {
    "commits_the_maximum": ["C20-commit_watermark_contiguous-stream"],
    "commits_before_handling": ["C20-commit_watermark_contiguous-stream", "C14-cancel_leaves_unsettled-stream"],
    "finishes_without_a_dead_letter": ["C10-reject_dead_letters_once-stream", "C15-poison_is_quarantined-stream"],
    "revokes_without_draining": ["C17-order_survives_graceful_stop-stream"],
    "ignores_the_prefetch": ["C16-in_flight_bound-stream"],
    "settles_stale_deliveries": ["C32-silent_member_is_fenced-stream"],
    "publishes_in_reverse": ["C17-per_key_order-stream"],
    "reads_one_late": ["C25-read_history-stream", "C25-read_from_and_until-stream"],
    "reads_to_the_last_end": ["C25-read_history-stream"],
}
"""Each saboteur of the Kafka adapter, and the cases that must notice it."""

ON_A_SILENT_NETWORK = {
    "takes_silence_for_success": ["C04-unknown_outcome_is_reported", "C31-partition_heals"],
    "takes_silence_for_refusal": ["C04-unknown_outcome_is_reported", "C31-partition_heals"],
    "waits_past_the_deadline": ["C04-unknown_outcome_is_reported"],
    "gives_up_at_silence": ["C31-partition_heals"],
}
"""What C04 and C31 must notice of any transport."""

COMES_BACK = 60.0
"""Seconds in which all that was confirmed has come, also when its broker was killed: what is late is not lost."""


def pairs(table):
    return [pytest.param(each, case, marks=marks(case)) for each, cases in table.items() for case in cases]


def must_fail(case, rig, patience=8.0):
    """What breaks a promise in a race breaks it now and then: one run of three must show it."""
    rig.patience = patience
    with pytest.raises(RowFailed):
        for _ in range(3):
            asyncio.run(run(CASES[case], rig))


@pytest.mark.parametrize(("saboteur", "case"), pairs(ON_RABBITMQ))
def test_is_noticed_on_rabbitmq(saboteur, case, rabbitmq):
    must_fail(case, RabbitMQRig(rabbitmq, maker=getattr(rabbitmq_saboteurs, saboteur)))


@pytest.mark.parametrize(("saboteur", "case"), pairs(ON_KAFKA))
def test_is_noticed_on_kafka(saboteur, case, request):
    kafka = request.getfixturevalue("private_kafka" if case.startswith("C32") else "kafka")
    must_fail(case, KafkaRig(kafka, maker=getattr(kafka_saboteurs, saboteur)))


@pytest.mark.parametrize(("saboteur", "case"), pairs(ON_A_SILENT_NETWORK))
def test_is_noticed_on_rabbitmq_when_the_network_is_silent(saboteur, case, rabbitmq):
    bend = getattr(network_saboteurs, saboteur)
    maker = lambda settings: bend(RabbitMQTransport(settings))  # noqa: E731 - a line says it
    must_fail(f"{case}-queue", RabbitMQRig(rabbitmq, maker=maker))


@pytest.mark.faults
@pytest.mark.parametrize(("saboteur", "case"), pairs(ON_A_SILENT_NETWORK))
def test_is_noticed_on_kafka_when_the_network_is_silent(saboteur, case, private_kafka):
    bend = getattr(network_saboteurs, saboteur)
    maker = lambda settings: bend(KafkaTransport(settings))  # noqa: E731 - a line says it
    must_fail(f"{case}-stream", KafkaRig(private_kafka, maker=maker))


WHEN_IT_GOES = ["C02-confirmed_is_durable", "C30-restart_under_load"]


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize("case", WHEN_IT_GOES)
def test_is_noticed_on_rabbitmq_when_the_broker_goes(private_rabbitmq, case):
    maker = lambda settings: network_saboteurs.confirms_in_haste(RabbitMQTransport(settings))  # noqa: E731
    rig = RabbitMQRig(private_rabbitmq, maker=maker, restartable=True)
    must_fail(f"{case}-queue", rig, patience=COMES_BACK)


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize("case", WHEN_IT_GOES)
def test_is_noticed_on_kafka_when_the_broker_goes(private_kafka, case):
    rig = KafkaRig(private_kafka, maker=kafka_saboteurs.WantsNoAnswer, restartable=True)
    must_fail(f"{case}-stream", rig, patience=COMES_BACK)

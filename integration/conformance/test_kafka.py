"""The Kafka transport keeps every row it offers."""

from __future__ import annotations

import asyncio

import pytest

from busbridge.testing.conformance import ROWS, Faults, run
from integration.conformance.kafka_rig import KafkaRig
from integration.conformance.slow import with_marks

FAULTS = Faults(restart=lambda: None, kill=lambda: None, line=lambda: None)
OFFERED = [case for row in ROWS for case in row.cases() if case.offered(KafkaRig.capabilities, FAULTS)]
WITH_FAULT = [case for case in OFFERED if case.row.id in {"C02", "C30"}]
ON_THE_LINE = [case for case in OFFERED if case.row.id in {"C04", "C31", "C32"}]


@pytest.mark.parametrize(
    "case", [each for each in OFFERED if each not in WITH_FAULT + ON_THE_LINE], ids=lambda case: case.id
)
def test_keeps(case, kafka):
    asyncio.run(run(case, KafkaRig(kafka)))


@pytest.mark.parametrize("case", with_marks(ON_THE_LINE))
def test_keeps_when_the_network_is_silent(case, private_kafka):
    asyncio.run(run(case, KafkaRig(private_kafka)))


@pytest.mark.parametrize("case", with_marks(WITH_FAULT))
def test_keeps_when_the_broker_goes_and_comes(case, private_kafka):
    asyncio.run(run(case, KafkaRig(private_kafka, restartable=True)))

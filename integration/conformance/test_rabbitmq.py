"""The RabbitMQ transport keeps every row it offers."""

from __future__ import annotations

import asyncio

import pytest

from busbridge.testing.conformance import ROWS, Faults, run
from integration.conformance.rabbitmq_rig import RabbitMQRig
from integration.conformance.slow import with_marks

FAULTS = Faults(restart=lambda: None, kill=lambda: None, sever=lambda plan: None, line=lambda: None)
OFFERED = [case for row in ROWS for case in row.cases() if case.offered(RabbitMQRig.capabilities, FAULTS)]
WITH_FAULT = [case for case in OFFERED if case.row.id in {"C02", "C30"}]


@pytest.mark.parametrize("case", with_marks([each for each in OFFERED if each not in WITH_FAULT]))
def test_keeps(case, rabbitmq):
    asyncio.run(run(case, RabbitMQRig(rabbitmq)))


@pytest.mark.parametrize("case", with_marks(WITH_FAULT))
def test_keeps_when_the_broker_goes_and_comes(case, private_rabbitmq):
    asyncio.run(run(case, RabbitMQRig(private_rabbitmq, restartable=True)))

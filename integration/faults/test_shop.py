"""The shop under fire, as its demonstration runs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from integration.brokers import Kafka, RabbitMQ

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]


def test_no_card_is_charged_twice_though_every_process_of_the_shop_is_killed(
    rabbitmq: RabbitMQ, kafka: Kafka, seed: int, tell: Callable[[str], None]
) -> None:
    environment = {**os.environ, "RABBITMQ_URL": rabbitmq.url, "KAFKA_URL": kafka.url}
    command = [sys.executable, "-m", "examples.shop.demo.chaos", "--seed", str(seed), "--patience", "300"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=580, check=False)
    tell(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Double charges: 0." in done.stdout
    killed = re.search(r"Processes killed: (\d+)", done.stdout)
    assert killed
    assert int(killed[1]) >= 10

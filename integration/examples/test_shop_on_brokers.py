"""The shop on real RabbitMQ and Kafka, as `python -m examples.shop --brokers` runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from examples.shop.demo.orders import purchases

if TYPE_CHECKING:
    from integration.brokers import Kafka, RabbitMQ

ROOT = Path(__file__).parents[2]


def run_shop(rabbitmq: RabbitMQ, kafka: Kafka, *arguments: str) -> str:
    """What it prints; fails where it does."""
    environment = {**os.environ, "RABBITMQ_URL": rabbitmq.url, "KAFKA_URL": kafka.url}
    command = [sys.executable, "-m", "examples.shop", "--brokers", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_all_purchases_go_through_and_the_books_balance(rabbitmq: RabbitMQ, kafka: Kafka) -> None:
    printed = run_shop(rabbitmq, kafka)

    assert "The books balance. Orders: 6,919" in printed


def test_it_runs_again_on_brokers_that_keep_the_history_of_earlier_runs(
    rabbitmq: RabbitMQ, kafka: Kafka, tmp_path: Path
) -> None:
    rows = (f"{each.order_id},{each.customer_id},{each.date},{each.items},{each.total}" for each in purchases()[:200])
    orders = tmp_path / "orders.csv"
    orders.write_text("\n".join(["order_id,customer_id,date,items,total", *rows]))

    for _ in range(2):
        assert "The books balance. Orders: 200" in run_shop(rabbitmq, kafka, "--orders", str(orders))

"""Benches whose Kafka topics are removed."""

from __future__ import annotations

import pytest

from integration.kafka.bench import Bench


@pytest.fixture
def new_bench(kafka):
    benches = []

    def make(**options):
        benches.append(Bench(kafka, **options))
        return benches[-1]

    yield make
    for bench in benches:
        bench.remove()

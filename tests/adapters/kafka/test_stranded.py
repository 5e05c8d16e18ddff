"""A client that knows no broker any more is noticed by its own statistics, and only then."""

from __future__ import annotations

import json

import pytest

from busbridge_kafka._stranded import PATIENCE, Watch


def statistics(*sources):
    return json.dumps({"brokers": {str(number): {"source": source} for number, source in enumerate(sources)}})


class Stranded:
    def __init__(self):
        self.times = 0
        self.hear = Watch(self.count)

    def count(self):
        self.times += 1


@pytest.mark.parametrize("source", ["learned", "configured"])
def test_a_client_that_knows_a_broker_is_not_stranded(source):
    client = Stranded()
    for _ in range(PATIENCE + 1):
        client.hear(statistics(source, "logical", "internal"))
    assert client.times == 0


def test_a_client_without_a_broker_is_stranded_once():
    client = Stranded()
    for _ in range(PATIENCE + 3):
        client.hear(statistics("logical", "internal"))
    assert client.times == 1


def test_a_client_that_finds_a_broker_again_is_not_stranded():
    client = Stranded()
    for _ in range(PATIENCE + 1):
        client.hear(statistics())
        client.hear(statistics("configured"))
    assert client.times == 0

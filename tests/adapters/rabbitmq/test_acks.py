"""Acknowledgements never cover a delivery that is not finished, nor name one that the broker has forgotten."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from busbridge_rabbitmq._acks import Acks


class Broker:
    """A channel's unacknowledged deliveries, as RabbitMQ keeps them: an ack of an unknown tag closes the channel."""

    def __init__(self, count):
        self.unacked = set(range(1, count + 1))

    def ack(self, tag, *, multiple=False):
        assert tag in self.unacked, f"unknown delivery tag {tag}"
        gone = {each for each in self.unacked if each <= tag} if multiple else {tag}
        self.unacked -= gone


@given(st.data())
def test_what_is_acknowledged_is_finished_and_all_that_is_finished_can_be(data):
    count = data.draw(st.integers(1, 30))
    order = data.draw(st.permutations(range(1, count + 1)))
    broker, acks, finished = Broker(count), Acks(), set()
    for tag in order:
        act = data.draw(st.sampled_from(["finish", "requeue"]))
        finished.add(tag)
        if act == "finish":
            acks.finish(tag)
        else:
            acks.forget(tag)
            broker.ack(tag)
        if data.draw(st.booleans()):
            _flush(acks, broker, singly=data.draw(st.booleans()))
        assert set(range(1, count + 1)) - broker.unacked <= finished
    _flush(acks, broker, singly=True)
    assert broker.unacked == set()


def _flush(acks, broker, *, singly):
    if (tag := acks.prefix()) is not None:
        broker.ack(tag, multiple=True)
    for tag in acks.stuck() if singly else ():
        broker.ack(tag)


def test_the_finished_prefix_is_one_cumulative_ack():
    acks = Acks()
    for tag in (2, 3, 1, 5):
        acks.finish(tag)
    assert acks.prefix() == 3
    assert acks.prefix() is None
    assert acks.behind == 1


def test_what_is_finished_behind_a_stuck_head_can_be_acknowledged_singly():
    acks = Acks()
    for tag in (3, 2, 5):
        acks.finish(tag)
    assert acks.prefix() is None
    assert acks.stuck() == [2, 3, 5]
    assert acks.behind == 0
    acks.finish(1)
    assert acks.prefix() == 1

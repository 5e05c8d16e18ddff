"""What is settled reaches its queue before the channel closes, whatever number of commands that takes."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

from busbridge.transport import Session
from busbridge_rabbitmq._settling import Settling


class Channel:
    """Answers at once, hands one message to each consumer, and notes what it was told."""

    def __init__(self):
        self.told = []
        self.raw = SimpleNamespace(
            basic_ack=lambda tag, multiple=False: self.told.append(("ack", tag, multiple)),
            basic_nack=lambda tag, requeue: self.told.append(("nack", tag, requeue)),
            basic_qos="qos",
            basic_consume="consume",
        )

    async def call(self, method, **arguments):
        self.told.append((method,))
        if method == "consume":
            arguments["on_message_callback"](self, SimpleNamespace(delivery_tag=1000), None, b"")

    async def cancel(self, _tag):
        self.told.append(("cancel",))


def settling(test):
    async def run():
        made, channel = Settling(Session(), 100), Channel()
        made.begin(channel)
        await test(made, channel)
        made.end()

    asyncio.run(run())


def give_back(made, tags):
    for tag in tags:
        made.give_back(tag)
    made.settle()


def test_what_goes_back_is_told_before_an_acknowledgement_that_would_cover_it():
    async def test(made, channel):
        made.give_back(1)
        made.accept(2)
        made.settle()
        assert channel.told == [("nack", 1, True), ("ack", 2, True)]

    settling(test)


def test_as_many_commands_as_a_channel_may_keep_are_doubtful():
    async def test(made, _channel):
        give_back(made, range(1, 25))
        assert not made.doubtful
        give_back(made, [25])
        assert made.doubtful

    settling(test)


def test_a_cancelled_consumer_proves_what_was_settled_before_and_nothing_later():
    async def test(made, _channel):
        give_back(made, range(1, 41))
        await made.cancel("tag")
        assert not made.doubtful
        give_back(made, range(41, 81))
        assert made.doubtful

    settling(test)


def test_overtaking_proves_all_and_gives_back_what_it_was_handed():
    async def test(made, channel):
        give_back(made, range(1, 41))
        channel.told.clear()
        await made.overtake("orders")
        assert channel.told == [("qos",), ("consume",), ("cancel",), ("nack", 1000, True)]
        assert not made.doubtful

    settling(test)


def test_acknowledgements_wait_when_leaving():
    """Each would be a command of its own, and nobody waits for room in the prefetch any more."""

    async def test(made, channel):
        made.leaving = True
        for tag in range(1, 51):
            made.accept(tag)
            await asyncio.sleep(0)
        assert channel.told == []
        made.settle()
        assert channel.told == [("ack", 50, True)]

    settling(test)

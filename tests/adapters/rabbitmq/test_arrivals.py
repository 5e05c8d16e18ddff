"""What a connection of ours does with what it receives is what the client's own does, wherever the bytes are split."""

from __future__ import annotations

import asyncio
import itertools

import pika
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pika import frame
from pika.adapters.asyncio_connection import AsyncioConnection
from pika.adapters.utils.io_services_utils import _AsyncTransportBase
from pika.channel import Channel
from pika.exceptions import InvalidFrameError
from pika.spec import Basic, BasicProperties

from busbridge_rabbitmq import _arrivals, _decode
from busbridge_rabbitmq._arrivals import Arrivals
from busbridge_rabbitmq._decode import Decoder
from busbridge_rabbitmq._wire import Wire


class Unplugged:
    """A connection without a socket, with two channels, that notes what it calls and what it sends."""

    def _adapter_connect_stream(self):
        pass

    def _output_marshaled_frames(self, marshaled_frames):
        self.seen.append(("sent", *marshaled_frames))

    def begin(self):
        self.seen = []
        for number in (1, 2):
            channel = self._channels[number] = Channel(self, number, None)
            channel._set_state(Channel.OPEN)
            channel.add_callback(lambda it: self.seen.append(("confirm", it.method.delivery_tag)), [Basic.Ack], False)
            channel.add_on_return_callback(self.called)
            channel._consumers.update({"a": self.called, "b": self.called, "leaving": self.called})
            channel._cancelled.add("leaving")
        return self

    def called(self, channel, method, properties, body):
        self.seen.append((channel.channel_number, type(method), vars(method), vars(properties), body))

    def told(self, pieces):
        for piece in pieces:
            self._on_data_available(piece)
        return self.seen, self.bytes_received


class Ours(Unplugged, Wire):
    pass


class Theirs(Unplugged, AsyncioConnection):
    pass


async def both(pieces):
    loop = asyncio.get_running_loop()
    ours = Ours(pika.ConnectionParameters(), loop.create_future()).begin().told(pieces)
    return ours, Theirs(custom_ioloop=loop).begin().told(pieces)


def same(pieces):
    ours, theirs = asyncio.run(both(pieces))
    assert ours == theirs
    return ours[0]


def message(channel, method, properties, body, most=20):
    pieces = [body[start : start + most] for start in range(0, len(body), most)]
    frames = [frame.Method(channel, method), frame.Header(channel, len(body), properties)]
    return b"".join(each.marshal() for each in (*frames, *(frame.Body(channel, piece) for piece in pieces)))


TEXT = st.text(max_size=10)
VALUES = st.recursive(
    TEXT | st.binary(max_size=10) | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.none(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
)
PROPERTIES = st.builds(
    BasicProperties,
    content_type=st.none() | TEXT,
    content_encoding=st.none() | TEXT,
    headers=st.none() | st.dictionaries(TEXT, VALUES, max_size=4),
    delivery_mode=st.sampled_from([None, 1, 2]),
    priority=st.none() | st.integers(0, 255),
    message_id=st.none() | TEXT,
    user_id=st.none() | TEXT,
)
NAMES = st.sampled_from(["", "orders", b"\xff", "é"]) | TEXT
DELIVER = st.builds(
    Basic.Deliver,
    consumer_tag=st.sampled_from(["a", "a", "a", "b", "leaving", "unknown"]),
    delivery_tag=st.integers(0, 2**64 - 1),
    redelivered=st.booleans(),
    exchange=NAMES,
    routing_key=NAMES,
)
OTHERS = st.one_of(
    st.builds(Basic.Return, st.integers(0, 999), TEXT, NAMES, NAMES),
    st.builds(Basic.GetOk, st.integers(0, 9), st.booleans(), NAMES, NAMES, st.integers(0, 9)),
)
CHANNELS = st.sampled_from([1, 1, 2, 3])
MESSAGES = st.builds(message, CHANNELS, DELIVER | DELIVER | OTHERS, PROPERTIES, st.binary(max_size=50))
FRAMES = st.one_of(
    st.just(frame.Heartbeat().marshal()),
    st.builds(lambda channel, tag: frame.Method(channel, Basic.Ack(tag)).marshal(), CHANNELS, st.integers(0, 9)),
)


def split(stream, at):
    edges = [0, *sorted({each % (len(stream) + 1) for each in at}), len(stream)]
    return [stream[begin:end] for begin, end in itertools.pairwise(edges) if begin < end]


@settings(deadline=None)  # a test of this makes two connections
@given(st.lists(MESSAGES | MESSAGES | FRAMES, max_size=8), st.lists(st.integers(0, 2**16), max_size=12))
def test_any_frames_however_split_are_taken_as_the_client_takes_them(frames, at):
    same(split(b"".join(frames), at))


def typical():
    properties = BasicProperties("application/json", headers={"ce-id": "1", "n": [1, {"x": None}]}, delivery_mode=2)
    deliver = [Basic.Deliver("a", number, number == 2, "", "orders") for number in range(5)]
    return b"".join(
        [
            message(1, deliver[1], properties, b"one"),
            message(1, deliver[2], properties, b""),
            frame.Heartbeat().marshal(),
            message(2, deliver[3], BasicProperties(), b"in several pieces of twenty"),
            frame.Method(1, Basic.Ack(7)).marshal(),
            message(2, deliver[4], properties, b"last"),
        ]
    )


def test_every_split_in_two_is_the_same():
    stream = typical()
    whole = same([stream])
    assert [each[-1] for each in whole] == [b"one", b"", b"in several pieces of twenty", 7, b"last"]
    for at in range(1, len(stream)):
        assert same([stream[:at], stream[at:]]) == whole


def test_byte_by_byte_is_the_same():
    stream = typical()
    assert same([bytes([each]) for each in stream]) == same([stream])


def test_frames_of_two_channels_in_turn_are_put_together():
    def frames(channel):
        deliver = Basic.Deliver("a", channel, False, "", "orders")
        made = frame.Method(channel, deliver), frame.Header(channel, 4, BasicProperties()), frame.Body(channel, b"body")
        return [each.marshal() for each in made]

    mixed = [each for pair in zip(frames(1), frames(2), strict=True) for each in pair]
    assert [each[0] for each in same([b"".join(mixed)])] == [1, 2]


DELIVERED = Basic.Deliver("a", 1, False, "", "orders")


@pytest.mark.parametrize("wrong", range(3))
def test_a_frame_that_does_not_end_as_it_should_is_an_error(wrong):
    three = frame.Method(1, DELIVERED), frame.Header(1, 4, BasicProperties()), frame.Body(1, b"body")
    frames = [each.marshal() for each in three]
    frames[wrong] = frames[wrong][:-1] + b"\0"
    with pytest.raises(InvalidFrameError):
        same([b"".join(frames)])


def taken(stream):
    """What is taken without the client."""
    calls = []
    arrivals = Arrivals(Decoder(), lambda number, _tag: (number, lambda *call: calls.append(call)))
    return arrivals, arrivals.hand_over(stream, 0), calls


def test_whole_messages_need_no_client():
    stream = message(1, DELIVERED, BasicProperties(), b"body") + message(1, DELIVERED, BasicProperties(), b"")
    _, end, calls = taken(stream * 3)
    assert end == 3 * len(stream)
    assert [body for *_, body in calls] == [b"body", b""] * 3


def test_what_comes_behind_them_does():
    stream = message(1, DELIVERED, BasicProperties(), b"body")
    for rest in (message(1, DELIVERED, BasicProperties(), b"x" * 21), frame.Heartbeat().marshal(), stream[:-1]):
        _, end, calls = taken(stream + rest)
        assert end == len(stream)
        assert len(calls) == 1


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr(_arrivals, "_REMEMBERED", 3)
    monkeypatch.setattr(_decode, "_REMEMBERED", 3)
    many = [
        message(1, Basic.Deliver("a", n, False, "e", f"key {n}"), BasicProperties(headers={f"h{n}": "1"}), b"")
        for n in range(20)
    ]
    arrivals, _, calls = taken(b"".join(many))
    assert [method.routing_key for _, method, _, _ in calls] == [f"key {n}" for n in range(20)]
    assert [properties.headers for *_, properties, _ in calls] == [{f"h{n}": "1"} for n in range(20)]
    assert len(arrivals._places) <= 3
    assert len(arrivals._decoder._names) <= 3


def test_the_socket_is_asked_for_more_than_the_client_would():
    class Transport:
        _MAX_RECV_BYTES = _AsyncTransportBase._MAX_RECV_BYTES

    async def connected():
        wire = Ours(pika.ConnectionParameters(), asyncio.get_running_loop().create_future()).begin()
        wire._proto_connection_made(Transport())
        return wire._transport

    assert asyncio.run(connected())._MAX_RECV_BYTES > _AsyncTransportBase._MAX_RECV_BYTES

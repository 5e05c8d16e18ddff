"""Messages that have arrived whole, handed to their consumers without the client's frames and assembler in between.

It does what the client does, in the case that a busy consumer is nearly always in. All else is left to the client:
other methods, a message that is not all there or whose body has several frames, a consumer that is none any more.
"""

# pyright: reportUnknownMemberType=false
# The stubs leave out what the client's methods are made of.

from __future__ import annotations

from struct import Struct, error
from typing import TYPE_CHECKING, Any, Final, final

from pika import data, spec

if TYPE_CHECKING:
    from collections.abc import Callable

    from pika.channel import Channel

    from busbridge_rabbitmq._decode import Decoder

    Callback = Callable[[Channel, spec.Basic.Deliver, spec.BasicProperties, bytes], object]
    ConsumerOf = Callable[[int, str], tuple[Channel, Callback] | None]
    """By the channel's number and the consumer's tag."""

_DELIVER: Final = Struct(">BHIIB").unpack_from
"""The frame of a method, as far as the length of the consumer's tag."""
_HEADER: Final = Struct(">BHI4xQ").unpack_from
_BODY: Final = Struct(">BHI").unpack_from
_DELIVERY_TAG: Final = Struct(">QB").unpack_from
"""And whether it was delivered before."""

_AROUND: Final = spec.FRAME_HEADER_SIZE + spec.FRAME_END_SIZE
_BEFORE_TAG: Final = 12
_BEFORE_PLACE: Final = 9
_BEFORE_PROPERTIES: Final = spec.FRAME_HEADER_SIZE + 12

_REMEMBERED: Final = 1_000
"""Places, since each message of a topic may have a routing key of its own."""

Parts = tuple[int, int, int, int, int]
"""A message's channel, the length of its consumer's tag; where its header and its body begin, and where it ends."""


@final
class Arrivals:
    """Takes whole messages out of what one connection receives."""

    def __init__(self, decoder: Decoder, consumer_of: ConsumerOf) -> None:
        self._decoder = decoder
        self._consumer_of = consumer_of
        self._places: dict[bytes, tuple[Any, Any]] = {}

    def hand_over(self, received: bytes, at: int) -> int:
        """Hands over the messages that begin at `at`, up to one that is not for here. Returns where that begins."""
        while True:
            parts = _find(received, at)
            if parts is None or not self._handed_over(received, at, parts):
                return at
            at = parts[-1]

    def _handed_over(self, received: bytes, at: int, parts: Parts) -> bool:
        number, tag_length, header, body, end = parts
        behind_tag = at + _BEFORE_TAG + tag_length
        tag = received[at + _BEFORE_TAG : behind_tag].decode(errors="replace")
        consumer = self._consumer_of(number, tag)
        if consumer is None:
            return False
        channel, callback = consumer
        delivery_tag, again = _DELIVERY_TAG(received, behind_tag)
        exchange, key = self._place(received[behind_tag + _BEFORE_PLACE : header - 1])
        method = spec.Basic.Deliver(tag, delivery_tag, again & 1 == 1, exchange, key)
        properties = self._decoder.properties(received, header + _BEFORE_PROPERTIES)
        callback(channel, method, properties, received[body + spec.FRAME_HEADER_SIZE : end - 1])
        return True

    def _place(self, raw: bytes) -> tuple[Any, Any]:
        """Exchange and routing key: those of nearly all messages are the same."""
        known = self._places.get(raw)
        if known is None:
            if len(self._places) >= _REMEMBERED:
                self._places.clear()
            exchange, key_at = data.decode_short_string(raw, 0)
            known = self._places[raw] = exchange, data.decode_short_string(raw, key_at)[0]
        return known


def _find(received: bytes, at: int) -> Parts | None:
    """The parts of the message that begins at `at`; None where that is something else, or not all there."""
    try:
        kind, channel, size, method, tag_length = _DELIVER(received, at)
        if kind != spec.FRAME_METHOD or method != spec.Basic.Deliver.INDEX:
            return None
        header = at + _AROUND + size
        kind, its_channel, size, body_size = _HEADER(received, header)
        if kind != spec.FRAME_HEADER or its_channel != channel:
            return None
        end = body = header + _AROUND + size
        if body_size:
            if _BODY(received, body) != (spec.FRAME_BODY, channel, body_size):
                return None
            end += _AROUND + body_size
        if received[header - 1] == received[body - 1] == received[end - 1] == spec.FRAME_END:
            return channel, tag_length, header, body, end
    except (error, IndexError):
        pass  # the rest is on its way
    return None

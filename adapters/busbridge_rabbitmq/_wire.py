"""The client's connection with the changes that our promises need. All that touches its protected names is here."""

# pyright: reportUnknownMemberType=false, reportAttributeAccessIssue=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# The stubs describe the public side only; what is overridden here are hooks that the client's own adapters override.

from __future__ import annotations

import asyncio
import logging
from struct import Struct
from typing import TYPE_CHECKING, Any, final

from pika import frame, spec
from pika.adapters.asyncio_connection import AsyncioConnection
from pika.exceptions import AMQPError, ConnectionOpenAborted, InvalidFrameError

from busbridge_rabbitmq._arrivals import Arrivals
from busbridge_rabbitmq._decode import Decoder
from busbridge_rabbitmq._encode import Encoder

if TYPE_CHECKING:
    from pika import ConnectionParameters
    from pika.channel import Channel
    from pika.spec import BasicProperties

_log = logging.getLogger("busbridge.rabbitmq")

_CHANNEL = Struct(">xH").unpack_from
_SIZE = Struct(">3xI").unpack_from
_BODY_SIZE = Struct(">11xQ").unpack_from
_AROUND: int = spec.FRAME_HEADER_SIZE + spec.FRAME_END_SIZE
_EMIT_AT = 65_536
_RECEIVE = 65_536
"""Bytes asked of the socket at once. The client asks for 4,096, and few messages would arrive whole."""


@final
class Wire(AsyncioConnection):  # type: ignore[misc]  # the client is untyped
    """An open connection. `closed` ends with the reason when it is gone, whoever ended it."""

    def __init__(self, parameters: ConnectionParameters, opened: asyncio.Future[Wire]) -> None:
        loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[BaseException] = loop.create_future()
        self.blocked = False
        self._opened_as = opened
        self._outgoing: list[bytes] = []
        self._outgoing_size = 0
        self._encoder = Encoder()
        self._decoder = Decoder()
        self._arrivals = Arrivals(self._decoder, self._consumer_of)
        super().__init__(parameters, self._now_open, self._not_opened, self._now_closed, loop)
        self.add_on_connection_blocked_callback(self._now_blocked)
        self.add_on_connection_unblocked_callback(self._now_unblocked)

    def drop(self) -> None:
        """Ends the connection without asking the broker. `closed` ends soon after."""
        if not self.is_closed:
            self._terminate_stream(ConnectionOpenAborted("dropped"))

    def _now_open(self, _: object) -> None:
        if self._opened_as.done():
            self.close()
        else:
            self._opened_as.set_result(self)

    def _not_opened(self, _: object, error: BaseException) -> None:
        self._now_closed(self, error)
        if not self._opened_as.done():
            # The error itself, not its text: what lies within it is what a person wants to know.
            self._opened_as.set_exception(error if isinstance(error, AMQPError) else ConnectionOpenAborted(error))

    def _now_closed(self, _: object, error: BaseException) -> None:
        self._outgoing.clear()
        if not self.closed.done():
            self.closed.set_result(error)

    def _now_blocked(self, _: object, method: Any) -> None:
        self.blocked = True
        _log.warning("the broker takes no messages now (%s): publishing waits", method.method.reason)

    def _now_unblocked(self, _: object, _method: object) -> None:
        self.blocked = False
        _log.info("the broker takes messages again")

    def publish(self, channel: int, exchange: str, key: str, properties: BasicProperties, body: bytes) -> None:
        """Writes a message. One that can't be encoded raises before any of it is written."""
        frames = self._encoder.frames(channel, exchange, key, properties, body, self._body_max_length)
        self._output_marshaled_frames(frames)

    def _adapter_emit_data(self, data: bytes) -> None:
        """Collects what one turn of the loop writes: the client would make a system call of each frame."""
        if not self._outgoing:
            asyncio.get_running_loop().call_soon(self._emit)
        self._outgoing.append(data)
        self._outgoing_size += len(data)
        if self._outgoing_size >= _EMIT_AT:
            self._emit()

    def _emit(self) -> None:
        if not self._outgoing:
            return
        data = b"".join(self._outgoing)
        self._outgoing.clear()
        self._outgoing_size = 0
        if not self.is_closed:
            super()._adapter_emit_data(data)

    def _proto_connection_made(self, transport: Any) -> None:
        transport._MAX_RECV_BYTES = _RECEIVE  # noqa: SLF001
        super()._proto_connection_made(transport)

    def _on_data_available(self, data_in: bytes) -> None:
        """Hands over whole messages; any other frame goes to the client alone: it copies all that stands behind one."""
        data: bytes = self._frame_buffer + data_in
        self._frame_buffer: bytes = b""
        at = 0
        while True:
            begin = self._arrivals.hand_over(data, at)
            self.bytes_received += begin - at
            at = _frame_end(data, begin)
            if at > len(data):
                break
            super()._on_data_available(data[begin:at])
        self._frame_buffer = data[begin:]

    def _consumer_of(self, number: int, tag: str) -> tuple[Channel, Any] | None:
        """The channel, and whom it would call. None: it would not."""
        channel = self._channels.get(number)
        if channel is None or tag in channel._cancelled:  # noqa: SLF001
            return None
        callback = channel._consumers.get(tag)  # noqa: SLF001
        return None if callback is None else (channel, callback)

    def _read_frame(self) -> tuple[int, Any]:
        """The frame that there is, alone and whole: a message's properties by our decoder, all else by the client's."""
        buffer = self._frame_buffer
        if buffer[0] != spec.FRAME_HEADER:
            return super()._read_frame()  # type: ignore[no-any-return]
        if buffer[-1] != spec.FRAME_END:
            raise InvalidFrameError("Invalid FRAME_END marker")
        properties = self._decoder.properties(buffer, spec.FRAME_HEADER_SIZE + 12)
        return len(buffer), frame.Header(_CHANNEL(buffer)[0], _BODY_SIZE(buffer)[0], properties)


def _frame_end(data: bytes, at: int) -> int:
    """Where the frame that begins at `at` ends: beyond the data where not all of it is there."""
    size: int = _SIZE(data, at)[0] if len(data) - at >= spec.FRAME_HEADER_SIZE else 0
    return at + size + _AROUND


async def connect(parameters: ConnectionParameters) -> Wire:
    """An open connection. Raises pika's AMQPError. A cancelled attempt leaves nothing behind."""
    opened: asyncio.Future[Wire] = asyncio.get_running_loop().create_future()
    wire = Wire(parameters, opened)
    try:
        return await opened
    except asyncio.CancelledError:
        if not (wire.is_closed or wire.is_closing):
            wire.close()
        await asyncio.wait([wire.closed], timeout=1)
        raise


def publish(channel: Channel, exchange: str, key: str, properties: BasicProperties, body: bytes) -> None:
    """Does what the client's `basic_publish` does for a mandatory message, with an encoder of ours."""
    channel._raise_if_not_open()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    channel.connection.publish(channel.channel_number, exchange, key, properties, body)


def cancel(channel: Channel, tag: str, confirmed: Any) -> None:
    """Cancels a consumer, and still hands over what arrives until the broker confirms it.

    The client would give those messages back, each with a requeue of its own: out of order.
    """
    channel.basic_cancel(tag, confirmed)
    channel._cancelled.discard(tag)  # type: ignore[attr-defined,unused-ignore] # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


def close(channel: Channel) -> None:
    """Closes a channel without cancelling its consumers first, as the client would.

    What is on its way to a cancelled consumer goes back before what it holds, and would overtake that. What is on its
    way to a closing channel goes back with it, behind it.
    """
    channel._cancelled.update(channel._consumers)  # type: ignore[attr-defined,unused-ignore] # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    channel.close()

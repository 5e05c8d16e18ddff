"""Any transport, with what it says of a silent network made wrong."""

from __future__ import annotations

from busbridge.transport import CONFIRMED, Outcome, Status

_HASTE = 0.2


def takes_silence_for_success(transport):
    """Calls confirmed what nobody has answered."""

    async def publish(entries, seconds, honest=transport.publish):
        outcomes = await honest(entries, seconds)
        return [CONFIRMED if each.status is Status.UNKNOWN else each for each in outcomes]

    transport.publish = publish
    return transport


def confirms_in_haste(transport):
    """Waits a moment for an answer, and calls confirmed what has none."""

    async def publish(entries, seconds, honest=transport.publish):
        return [CONFIRMED for _ in await honest(entries, _HASTE)]

    transport.publish = publish
    return transport


def takes_silence_for_refusal(transport):
    """Calls refused what nobody has answered."""

    async def publish(entries, seconds, honest=transport.publish):
        outcomes = await honest(entries, seconds)
        return [Outcome(Status.REFUSED) if each.status is Status.UNKNOWN else each for each in outcomes]

    transport.publish = publish
    return transport


def waits_past_the_deadline(transport):
    """Waits for an answer twice as long as it may."""
    honest = transport.publish
    transport.publish = lambda entries, seconds: honest(entries, 2 * seconds)
    return transport


def gives_up_at_silence(transport):
    """Hands over nothing more once a session has ended because nothing was heard."""

    async def subscribe(plan, honest=transport.subscribe):
        source = await honest(plan)
        receive, sessions = source.receive, set()

        async def of_the_first_sessions():
            while True:
                deliveries = await receive()
                sessions.update(each.session for each in deliveries)
                if all(each.alive for each in sessions):
                    return deliveries

        source.receive = of_the_first_sessions
        return source

    transport.subscribe = subscribe
    return transport

"""RabbitMQ transports that break one promise each (T27), made by bending the parts of a real one."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from busbridge.transport import Session
from busbridge_rabbitmq import RabbitMQTransport
from busbridge_rabbitmq._acks import Acks
from busbridge_rabbitmq._consumer import Consumer
from busbridge_rabbitmq._inbox import Inbox
from busbridge_rabbitmq._publisher import Publisher
from busbridge_rabbitmq._settling import Settling
from busbridge_rabbitmq._sharing import Share


def publishing(bent):
    """A transport whose publisher is of the decorated class."""

    def make(settings):
        transport = RabbitMQTransport(settings)
        transport._publisher.__class__ = bent
        return transport

    return _named(make, bent)


def subscribing(bend):
    """A transport whose sources are bent by the decorated function."""

    def make(settings):
        transport = RabbitMQTransport(settings)
        subscribe = transport.subscribe

        async def subscribe_and_bend(plan):
            source = await subscribe(plan)
            bend(source)
            return source

        transport.subscribe = subscribe_and_bend
        return transport

    return _named(make, bend)


def consuming(bend):
    """A transport whose consumers are bent by the decorated function, before their first delivery is handed over."""

    class BentInbox(Inbox):
        def put(self, delivery):
            bend(delivery.consumer)
            super().put(delivery)

    def bend_source(source):
        for delivery in source._inbox._ready:
            bend(delivery.consumer)
        source._inbox.__class__ = BentInbox

    return _named(subscribing(bend_source), bend)


def _named(make, like):
    make.__name__, make.__doc__ = like.__name__, like.__doc__
    return make


class AcksTheHighest(Acks):
    __slots__ = ()

    def finish(self, tag):
        self._head = max(self._head, tag + 1)


@consuming
def acks_over_a_hole(consumer):
    """Takes the highest finished delivery for the end of the finished prefix."""
    consumer._settling.acks.__class__ = AcksTheHighest


class NeverSingly(Acks):
    __slots__ = ()

    def stuck(self):
        return []


@consuming
def waits_for_a_stuck_head(consumer):
    """Acknowledges nothing behind a delivery that still runs."""
    consumer._settling.acks.__class__ = NeverSingly


class FinishesFirst(Consumer):
    def rejected(self, delivery, record):
        self.accepted(delivery)
        self.handed_over += 1
        self._busy += 1
        asyncio.get_running_loop().call_later(0.5, super().rejected, delivery, record)


@consuming
def finishes_before_the_dead_letter(consumer):
    """Acknowledges a rejected delivery before its dead letter is confirmed, which takes long enough to be seen."""
    consumer.__class__ = FinishesFirst


class NeverInDoubt(Settling):
    doubtful = False


@consuming
def closes_in_doubt(consumer):
    """Closes its channel without knowing whether the queue has all acknowledgements."""
    consumer._settling.__class__ = NeverInDoubt


class AlwaysAlive(Session):
    __slots__ = ()
    alive = property(lambda _: True, lambda _self, _value: None)


@consuming
def settles_stale_deliveries(consumer):
    """Takes settlements of a lost session as if it lived."""
    consumer.session.__class__ = AlwaysAlive


def ignores_the_prefetch(settings):
    """Hands over whatever there is."""
    transport = RabbitMQTransport(settings)
    subscribe = transport.subscribe
    transport.subscribe = lambda plan: subscribe(replace(plan, prefetch=2000))
    return transport


def never_expires(settings):
    """Hands over what nobody read in time."""
    transport = RabbitMQTransport(settings)
    provision = transport.provision

    def without_ttl(topology):
        return provision(
            replace(topology, destinations=tuple(replace(each, ttl=None) for each in topology.destinations))
        )

    transport.provision = without_ttl
    return transport


class HandsOverAtOnce(Share):
    async def _hand_over(self, shard, consumer):
        await self._claims.release(shard)
        await consumer.close(1)
        del self._leaving[shard]


@subscribing
def hands_over_at_once(source):
    """Gives a shard up before what it holds of it is finished."""
    source._share.__class__ = HandsOverAtOnce


class CancelsWhenDraining(Share):
    def hold(self):
        for consumer in self.consumers:
            stopping = asyncio.create_task(consumer.stop())
            stopping.add_done_callback(asyncio.Task.result)


@subscribing
def cancels_when_draining(source):
    """Cancels the consumers of its shards before what it holds of them is finished."""
    source._share.__class__ = CancelsWhenDraining


@publishing
class ResendsOutOfOrder(Publisher):
    """Sends what a lost channel left unconfirmed behind what was waiting, newest first."""

    def _resend(self, items):
        self._waiting.extend(reversed(items))


@publishing
class ResendsNothing(Publisher):
    """Forgets what a lost channel left unconfirmed."""

    def _resend(self, items):
        pass


@publishing
class IgnoresReturns(Publisher):
    """Takes a confirm for success, returned or not."""

    def _on_return(self, *_):
        pass


@publishing
class TakesNacks(Publisher):
    """Takes a refusal for a confirm."""

    def _settle(self, item, *, taken):
        super(type(self), self)._settle(item, taken=True)


@publishing
class BlamesEveryone(Publisher):
    """Refuses every unconfirmed message when the broker closes the channel over one of them."""

    def _lost(self, reason):
        for item in self._unconfirmed.values():
            item.refuse("invalid", "the channel was closed")
        self._unconfirmed.clear()
        super(type(self), self)._lost(reason)

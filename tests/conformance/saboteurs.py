"""Transports that break one promise each, over the in-memory one; and the rows that must notice."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from itertools import count

from busbridge.errors import StaleDelivery
from busbridge.routing import Binding, StartAt, Topology
from busbridge.transport import CONFIRMED, Entry, Outcome, Position, Settlement, Status


class Bent:
    """Passes everything through. A saboteur overrides what it breaks."""

    def __init__(self, inner):
        self.inner = inner
        self.count = count(1)

    def __getattr__(self, name):
        return getattr(self.inner, name)

    async def open(self):
        await self.inner.open()

    async def provision(self, topology):
        await self.inner.provision(topology)

    async def publish(self, entries, seconds):
        return await self.inner.publish(entries, seconds)

    async def subscribe(self, plan):
        return BentSource(self, plan, await self.inner.subscribe(plan))

    async def close(self):
        await self.inner.close()

    def deliver(self, deliveries):
        """What is handed over in place of these."""
        return deliveries


class BentSource:
    def __init__(self, transport, plan, inner):
        self.transport = transport
        self.plan = plan
        self.inner = inner

    async def receive(self):
        while not (bent := self.transport.deliver(await self.inner.receive())):
            pass
        return bent

    def drain(self):
        self.inner.drain()

    async def flush(self, seconds):
        return await self.inner.flush(seconds)

    async def close(self):
        await self.inner.close()


class BentDelivery:
    """A delivery whose settlements are a saboteur's."""

    def __init__(self, inner, **verbs):
        self.__dict__.update(verbs, inner=inner)

    def __getattr__(self, name):
        return getattr(self.inner, name)


def with_headers(entry, headers):
    return Entry(entry.destination, entry.body, headers, entry.key, entry.routing_key)


class Drops(Bent):
    """Confirms one message in fifty and keeps it for itself."""

    async def publish(self, entries, seconds):
        kept = [each for each in entries if next(self.count) % 50]
        outcomes = iter(await self.inner.publish(kept, seconds))
        return [next(outcomes) if each in kept else CONFIRMED for each in entries]


class DropsTheNewest(Bent):
    """Forgets what was published while nobody was connected, but for the last message."""

    async def subscribe(self, plan):
        source = await self.inner.subscribe(plan)
        if not hasattr(self.inner.broker, "visited"):
            self.inner.broker.visited = set()
        if plan.group in self.inner.broker.visited:
            waiting = await asyncio.wait_for(source.receive(), 0.1)
            for delivery in waiting[:-1]:
                delivery.accept()
            waiting[-1].retry()
        self.inner.broker.visited.add(plan.group)
        return BentSource(self, plan, source)


class Doubles(Bent):
    """Publishes one message in fifty twice."""

    async def publish(self, entries, seconds):
        await self.inner.publish([each for each in entries if not next(self.count) % 50], seconds)
        return await self.inner.publish(entries, seconds)


class SwapsNeighbours(Bent):
    """Publishes a batch in reverse."""

    async def publish(self, entries, seconds):
        return (await self.inner.publish(entries[::-1], seconds))[::-1]


class AcceptsFirst(Bent):
    """Accepts a delivery before it is handed over."""

    def deliver(self, deliveries):
        for each in deliveries:
            each.accept()
        return [BentDelivery(each, accept=lambda: True, release=lambda: None) for each in deliveries]


class CancelAccepts(Bent):
    """Takes a delivery that is given up for one that was handled."""

    def deliver(self, deliveries):
        return [BentDelivery(each, release=each.accept) for each in deliveries]


class ConfirmsEverything(Bent):
    """Calls every publish confirmed."""

    async def publish(self, entries, seconds):
        outcomes = await self.inner.publish(entries, seconds)
        return [Outcome(Status.CONFIRMED, each.position) for each in outcomes]


class SwallowsUnroutable(Bent):
    """Confirms what no subscription takes."""

    async def publish(self, entries, seconds):
        outcomes = await self.inner.publish(entries, seconds)
        return [CONFIRMED if getattr(each.error, "reason", "") == "unroutable" else each for each in outcomes]


class DropsHead(Bent):
    """Makes room in a full queue by dropping what is oldest."""

    async def provision(self, topology):
        unbounded = tuple(replace(each, max_length=None) for each in topology.destinations)
        await self.inner.provision(Topology(unbounded, topology.subscriptions))


class ShiftsOutcomes(Bent):
    """Gives each entry the outcome of its neighbour."""

    async def publish(self, entries, seconds):
        outcomes = list(await self.inner.publish(entries, seconds))
        return outcomes[1:] + outcomes[:1]


class StopsAtTheFirstBad(Bent):
    """Refuses a whole batch for one bad entry."""

    async def publish(self, entries, seconds):
        outcomes = await self.inner.publish(entries, seconds)
        bad = next((each for each in outcomes if each.status is Status.REFUSED), None)
        return [bad] * len(outcomes) if bad else outcomes


class ForgetsHeaders(Bent):
    """Carries only the headers it knows."""

    async def publish(self, entries, seconds):
        known = ("content-type", self.header_prefix)
        bare = [with_headers(each, [pair for pair in each.headers if pair[0].startswith(known)]) for each in entries]
        return await self.inner.publish(bare, seconds)


class IgnoresPrefetch(Bent):
    """Hands over everything it has."""

    async def subscribe(self, plan):
        return await self.inner.subscribe(replace(plan, prefetch=100_000))


class WaitsForTheHead(Bent):
    """Hands nothing over behind a message that is not settled."""

    async def subscribe(self, plan):
        return await self.inner.subscribe(replace(plan, prefetch=1))


class TrustsTheWallClock(Bent):
    """Looks at the wall clock to see whether a publish took too long."""

    async def publish(self, entries, seconds):
        deadline = time.time() + seconds
        outcomes = await self.inner.publish(entries, seconds)
        return [Outcome(Status.UNKNOWN)] * len(outcomes) if time.time() > deadline else outcomes


class LeaksATask(Bent):
    """Leaves a task behind when it is closed."""

    async def close(self):
        await self.inner.close()
        self.left = asyncio.create_task(asyncio.sleep(5))


class WorksAfterClose(Bent):
    """Publishes though it was closed."""

    def __init__(self, inner):
        super().__init__(inner)
        self.closed = False

    async def publish(self, entries, seconds):
        return [CONFIRMED for _ in entries] if self.closed else await self.inner.publish(entries, seconds)

    async def close(self):
        self.closed = True
        await self.inner.close()


class LosesDeadLetters(Bent):
    """Settles a rejected delivery and keeps no dead letter."""

    def deliver(self, deliveries):
        return [BentDelivery(each, reject=lambda record, each=each: each.accept()) for each in deliveries]


class EmptiesDeadLetters(Bent):
    """Keeps dead letters without their record."""

    def deliver(self, deliveries):
        return [BentDelivery(each, reject=lambda record, each=each: each.reject(())) for each in deliveries]


class RedeliversSettled(Bent):
    """Publishes the last message it accepted once more when it is closed."""

    last = None

    def deliver(self, deliveries):
        self.last = deliveries[-1]
        return deliveries

    async def subscribe(self, plan):
        self.plan = plan
        return await super().subscribe(plan)

    async def close(self):
        if self.last and self.last.settlement is Settlement.ACCEPTED:
            last, self.last = self.last, None
            await self.inner.publish([Entry(self.plan.destination, last.body, last.headers, last.key)], 1)
        await self.inner.close()


class RewindsPositions(Bent):
    """Counts a position back now and then."""

    def deliver(self, deliveries):
        for each in deliveries:
            if not next(self.count) % 20 and each.position and each.position.offset:
                each.position = Position(each.position.partition, each.position.offset - 1)
        return deliveries


class ForeignPositions(Bent):
    """Confirms with positions of its own."""

    async def publish(self, entries, seconds):
        outcomes = await self.inner.publish(entries, seconds)
        return [
            Outcome(
                each.status, each.position and Position(each.position.partition, each.position.offset + 1), each.error
            )
            for each in outcomes
        ]


class NeverExpires(Bent):
    """Hands over what nobody read in time."""

    async def provision(self, topology):
        everlasting = tuple(replace(each, ttl=None) for each in topology.destinations)
        await self.inner.provision(Topology(everlasting, topology.subscriptions))


class ForgetsWhatExpires(Bent):
    """Keeps no dead letter of what nobody read in time."""

    async def dead_letters(self, plan):
        place = await self.inner.dead_letters(plan)

        async def receive():
            return [each for each in await place.receive() if ("busbridge-dead-reason", "expired") not in each.headers]

        return BentDeadLetters(place, receive=receive)


class OneGroupEach(Bent):
    """Gives every member a group of its own."""

    async def subscribe(self, plan):
        return await self.inner.subscribe(replace(plan, name=f"{plan.name}-{id(self)}"))


class OneGroupForAll(Bent):
    """Puts all subscriptions of a stream into one group."""

    async def subscribe(self, plan):
        return await self.inner.subscribe(replace(plan, name="shared"))


class ForgetsAttempts(Bent):
    """Calls every attempt the first."""

    def deliver(self, deliveries):
        for each in deliveries:
            each.attempt = 1
        return deliveries


class NeverTriesAgain(Bent):
    """Takes a retry for a success."""

    def deliver(self, deliveries):
        return [BentDelivery(each, retry=each.accept) for each in deliveries]


class LastSettlementWins(Bent):
    """Answers every settlement as if it were the first."""

    def deliver(self, deliveries):
        return [BentDelivery(each, accept=lambda each=each: each.accept() or True) for each in deliveries]


class SettlesStale(Bent):
    """Settles what belongs to a lost session, without a word."""

    def deliver(self, deliveries):
        def accept(delivery):
            try:
                return delivery.accept()
            except StaleDelivery:
                return True

        return [BentDelivery(each, accept=lambda each=each: accept(each)) for each in deliveries]


class CommitsTheMaximum(Bent):
    """Takes the highest accepted offset for the position, whatever is unfinished below."""

    def __init__(self, inner):
        super().__init__(inner)
        self.out = []

    def deliver(self, deliveries):
        self.out += deliveries
        return [BentDelivery(each, accept=lambda each=each: self._accept(each)) for each in deliveries]

    def _accept(self, accepted):
        for each in self.out:
            below = each.position.partition == accepted.position.partition and each.position < accepted.position
            if below and each.session.alive:
                each.accept()
        return accepted.accept()


class MatchesEverything(Bent):
    """Takes no notice of patterns."""

    async def provision(self, topology):
        plans = tuple(replace(each, bindings=(Binding("#"),)) for each in topology.subscriptions)
        await self.inner.provision(Topology(topology.destinations, plans))


class MatchesAnyHeader(Bent):
    """Reads `all` headers as `any`."""

    async def provision(self, topology):
        plans = tuple(
            replace(each, bindings=tuple(replace(binding, match_all=False) for binding in each.bindings))
            for each in topology.subscriptions
        )
        await self.inner.provision(Topology(topology.destinations, plans))


class MixesDestinations(Bent):
    """Now and then publishes to the destination of the entry before."""

    before = None

    async def publish(self, entries, seconds):
        return await self.inner.publish([self._astray(each) for each in entries], seconds)

    def _astray(self, entry):
        before, self.before = self.before, entry.destination
        stray = before is not None and next(self.count) % 10 == 0
        return Entry(before, entry.body, entry.headers, entry.key, entry.routing_key) if stray else entry


class NoOrder(Bent):
    """Declares an ordered queue as any other."""

    async def provision(self, topology):
        loose = tuple(replace(each, ordered=False) for each in topology.destinations)
        await self.inner.provision(Topology(loose, topology.subscriptions))


class NeverForgets(Bent):
    """Keeps subscriptions that are not durable."""

    async def provision(self, topology):
        plans = tuple(replace(each, durable=True) for each in topology.subscriptions)
        await self.inner.provision(Topology(topology.destinations, plans))

    async def subscribe(self, plan):
        return await self.inner.subscribe(replace(plan, durable=True))


class StartsAtTheEnd(Bent):
    """Starts every new group at the end."""

    async def subscribe(self, plan):
        return await self.inner.subscribe(replace(plan, start=StartAt("latest")))


class StartsOneLate(Bent):
    """Starts one message after the offset that was asked for."""

    async def subscribe(self, plan):
        late = plan.start.at + 1 if isinstance(plan.start.at, int) else plan.start.at
        return await self.inner.subscribe(replace(plan, start=StartAt(late)))


class ResolvesLatestAgain(Bent):
    """Starts a group that had read nothing at the end, every time it comes (T3)."""

    async def subscribe(self, plan):
        return await self.inner.subscribe(replace(plan, durable=plan.start.at != "latest"))


class ClosesInsteadOfDraining(Bent):
    """Closes when it should drain: what has begun is delivered again."""

    async def subscribe(self, plan):
        source = await super().subscribe(plan)
        source.drain = lambda: self._give_back(source.inner)
        return source

    def _give_back(self, source):
        source.sever()
        source.drain()


class DrainsWithoutEnd(Bent):
    """Goes on taking when it should drain."""

    async def subscribe(self, plan):
        source = await super().subscribe(plan)
        source.drain = lambda: None
        return source


class RemovesNothing(Bent):
    """Says that it has removed."""

    async def remove(self, topology):
        pass


class KeepsDeadLetters(Bent):
    """Removes destinations alone."""

    async def remove(self, topology):
        await self.inner.remove(Topology(topology.destinations))


class RemovesWhatIsNotOurs(Bent):
    """Takes no notice of `provision: false`."""

    async def remove(self, topology):
        ours = tuple(replace(each, provision=True) for each in topology.destinations)
        await self.inner.remove(Topology(ours, topology.subscriptions))


class BentHistory:
    """Passes everything through. A saboteur overrides what it breaks."""

    def __init__(self, inner):
        self.inner = inner

    @property
    def remaining(self):
        return self.inner.remaining

    async def receive(self):
        return await self.inner.receive()

    def abandon(self):
        self.inner.abandon()

    async def close(self):
        await self.inner.close()


class ReadsOneLate(Bent):
    """Begins to read one message after the start."""

    async def read(self, destination, start, until):
        history = await self.inner.read(destination, start, until)
        history._next = {index: offset + 1 for index, offset in history._next.items()}
        return history


class ReadsOn(Bent):
    """Takes the end for what it is when it gets there, not for what it was when it began."""

    async def read(self, destination, start, until):
        return _MovingEnd(await self.inner.read(destination, start, until))


class _MovingEnd(BentHistory):
    async def receive(self):
        parts = self.inner.parts
        for index, part in parts.items():
            if part.end is not None:
                parts[index] = part._replace(end=self.inner._log.partitions[index].end)
        return await self.inner.receive()


class ReadsBackwards(Bent):
    """Hands over what it has read from its end."""

    async def read(self, destination, start, until):
        return _Backwards(await self.inner.read(destination, start, until))


class _Backwards(BentHistory):
    async def receive(self):
        return (await self.inner.receive())[::-1]


class LosesWhatACancelledWaitHad(Bent):
    """What comes after a wait was cancelled is lost with it."""

    async def read(self, destination, start, until):
        return _Forgetful(await self.inner.read(destination, start, until))


class _Forgetful(BentHistory):
    cancelled = False

    async def receive(self):
        if self.cancelled:
            self.cancelled = False
            await self.inner.receive()
        try:
            return await self.inner.receive()
        except asyncio.CancelledError:
            self.cancelled = True
            raise


class TakesWhatItReads(Bent):
    """Hands a message to one reader, and to nobody else."""

    async def read(self, destination, start, until):
        return _Taking(await self.inner.read(destination, start, until))


class _Taking(BentHistory):
    async def receive(self):
        found = await self.inner.receive()
        for partition in self.inner._log.partitions if not self.inner._log.groups else ():
            partition.trim(float("inf"))
        return found


class SleepsWhenClosed(Bent):
    """Leaves who waits for messages waiting when reading is closed."""

    async def read(self, destination, start, until):
        return _Sleeping(await self.inner.read(destination, start, until))


class _Sleeping(BentHistory):
    async def close(self):
        self.inner.abandon()


class BentDeadLetters:
    """A place of dead letters whose methods are a saboteur's."""

    def __init__(self, inner, **methods):
        self.__dict__.update(methods, inner=inner)

    def __getattr__(self, name):
        return getattr(self.inner, name)


class RedrivesToEverybody(Bent):
    """Sends dead letters again to where they came from."""

    async def dead_letters(self, plan):
        async def redrive(letters, seconds):
            entries = [Entry(plan.destination, each.letter.body, each.headers, each.letter.key) for each in letters]
            return await self.inner.publish(entries, seconds)

        return BentDeadLetters(await self.inner.dead_letters(plan), redrive=redrive)


class RedrivesTwice(Bent):
    """Sends dead letters again, and once more."""

    async def dead_letters(self, plan):
        place = await self.inner.dead_letters(plan)

        async def redrive(letters, seconds):
            await place.redrive(letters, seconds)
            return await place.redrive(letters, seconds)

        return BentDeadLetters(place, redrive=redrive)


class RemovesNoDeadLetter(Bent):
    """Says that dead letters are removed."""

    async def dead_letters(self, plan):
        async def remove(_):
            pass

        return BentDeadLetters(await self.inner.dead_letters(plan), remove=remove)


class TakesDeadLetters(Bent):
    """Removes every dead letter that was looked at."""

    async def dead_letters(self, plan):
        place = await self.inner.dead_letters(plan)

        async def receive():
            found = await place.receive()
            await place.remove(found)
            return found

        return BentDeadLetters(place, receive=receive)


class Waiting(Bent):
    """Bends what puts messages off; a returned message may be put off again."""

    def deliver(self, deliveries):
        return [BentDelivery(each, later=self.bent(each)) for each in deliveries]

    async def returning(self, plan):
        return [BentSource(self, plan, each) for each in await self.inner.returning(plan)]


class NeverWaits(Waiting):
    """Hands over at once what is put off."""

    def bent(self, delivery):
        return lambda tier, attempts: delivery.retry()


class WaitsInOneLine(Waiting):
    """Has one place for waiting: the short ones stand behind the long."""

    def bent(self, delivery):
        return lambda tier, attempts: delivery.later(1, attempts)


class ForgetsWhatWaits(Waiting):
    """Loses one message in ten that is put off."""

    def bent(self, delivery):
        return lambda tier, attempts: delivery.later(tier, attempts) if next(self.count) % 10 else delivery.accept()


class ForgetsTheAttemptsOfWhatWaits(Waiting):
    """Hands it over as new."""

    def bent(self, delivery):
        return lambda tier, attempts: delivery.later(tier, 0)


class ReturnsToEverybody(Waiting):
    """Publishes what waits to its destination again, where others get it too."""

    async def subscribe(self, plan):
        self.destination = plan.destination
        return await super().subscribe(plan)

    def bent(self, delivery):
        def later(tier, attempts):
            entry = Entry(self.destination, delivery.body, delivery.headers, delivery.key, "conformance.message")
            self.task = asyncio.ensure_future(self.inner.publish([entry], 1))
            return delivery.later(tier, attempts)

        return later


class PublishesInAnyCase(Bent):
    """Publishes what is in a transaction before it looks whether that can be committed."""

    async def subscribe_transactional(self, plan):
        source = await self.inner.subscribe_transactional(plan)
        honest = source.commit

        async def commit(finished):
            for each in finished:
                await self.inner.publish(each.entries, 1)
            await honest([each._replace(entries=each.entries[2:]) for each in finished])

        source.commit = commit
        return source


class SettlesApart(Bent):
    """Publishes in a transaction, and settles when the next one is committed: what is then still open comes again."""

    async def subscribe_transactional(self, plan):
        source = await self.inner.subscribe_transactional(plan)
        honest, late = source.commit, []

        async def commit(finished):
            await honest(late)
            late[:] = [each._replace(entries=()) for each in finished]
            for each in finished:
                await self.inner.publish(each.entries, 1)

        source.commit = commit
        return source


SABOTEURS = {
    NeverExpires: ["C26-expired_is_a_dead_letter-queue"],
    ForgetsWhatExpires: ["C26-expired_is_a_dead_letter-queue"],
    PublishesInAnyCase: ["C34-transaction_all_or_nothing-stream"],
    SettlesApart: ["C34-transaction_all_or_nothing-stream"],
    Drops: ["C07-ack_is_final-queue", "C22-members_compete-topic", "C29-churn_under_load-stream"],
    DropsTheNewest: ["C06-durable_subscription_retains-queue", "C06-durable_subscription_retains-stream"],
    Doubles: ["C22-members_compete-queue", "C23-groups_are_independent-topic", "C24-address_isolation-queue"],
    SwapsNeighbours: [
        "C18-retry_keeps_declared_order-stream",
        "C17-order_survives_bad_entry-stream",
        "C17-per_key_order-stream",
        "C17-per_key_order-ordered_queue",
    ],
    AcceptsFirst: [
        "C08-unfinished_comes_back-queue",
        "C20-commit_watermark_contiguous-stream",
        "C10-reject_dead_letters_once-queue",
        "C14-cancel_leaves_unsettled-queue",
        "C11-failing_for_ever_is_dead_lettered-queue",
    ],
    CancelAccepts: ["C14-cancel_leaves_unsettled-stream", "C08-unfinished_comes_back-topic"],
    ConfirmsEverything: [
        "C03-unacceptable_publish_is_typed-queue",
        "C03-full_queue_refuses-queue",
        "C05-batch_outcomes_itemised-stream",
    ],
    SwallowsUnroutable: ["C03-unroutable_is_refused-topic"],
    DropsHead: ["C03-full_queue_refuses-queue"],
    ShiftsOutcomes: ["C05-batch_outcomes_itemised-queue"],
    StopsAtTheFirstBad: ["C05-batch_outcomes_itemised-topic"],
    ForgetsHeaders: ["C01-round_trip_fidelity-queue", "C24-headers_match-topic"],
    IgnoresPrefetch: ["C16-in_flight_bound-queue", "C16-in_flight_bound-stream"],
    WaitsForTheHead: [
        "C16-unfinished_message_blocks_no_other-queue",
        "C18-retry_keeps_declared_order-ordered_queue",
        "C18-retry_keeps_declared_order-stream",
    ],
    TrustsTheWallClock: ["C33-clock_jump_is_inert-queue", "C33-clock_jump_is_inert-stream"],
    LeaksATask: ["C27-close_is_final-queue", "C07-ack_is_final-stream"],
    WorksAfterClose: ["C27-close_is_final-stream"],
    LosesDeadLetters: [
        "C10-rejected_is_never_lost-queue",
        "C10-reject_dead_letters_once-queue",
        "C12-first_settlement_wins-topic",
        "C15-poison_is_quarantined-stream",
        "C11-failing_for_ever_is_dead_lettered-stream",
        "C23-groups_are_independent-stream",
    ],
    EmptiesDeadLetters: ["C10-reject_dead_letters_once-stream", "C15-poison_is_quarantined-queue"],
    RedeliversSettled: ["C07-ack_is_final-topic"],
    RewindsPositions: ["C19-no_skip_no_rewind-stream", "C21-position_agreement-stream"],
    ForeignPositions: ["C21-position_agreement-stream"],
    OneGroupEach: ["C22-members_compete-stream"],
    OneGroupForAll: ["C23-groups_are_independent-stream"],
    ForgetsAttempts: ["C09-retry_redelivers_with_attempt-queue"],
    NeverTriesAgain: ["C09-retry_redelivers_with_attempt-stream", "C12-first_settlement_wins-queue"],
    LastSettlementWins: ["C12-first_settlement_wins-stream"],
    SettlesStale: ["C13-stale_settlement_is_harmless-queue"],
    CommitsTheMaximum: ["C20-commit_watermark_contiguous-stream"],
    MatchesEverything: ["C24-patterns_match-topic"],
    MatchesAnyHeader: ["C24-headers_match-topic"],
    MixesDestinations: ["C24-address_isolation-queue", "C24-address_isolation-stream"],
    NoOrder: ["C17-per_key_order-ordered_queue", "C22-members_compete-ordered_queue"],
    RemovesNothing: ["C36-removed_is_gone-queue", "C36-removed_is_gone-stream"],
    KeepsDeadLetters: ["C36-removed_is_gone-topic"],
    RemovesWhatIsNotOurs: ["C36-removed_is_gone-ordered_queue"],
    NeverForgets: ["C06-ephemeral_subscription_forgets-topic", "C06-ephemeral_subscription_forgets-stream"],
    StartsAtTheEnd: ["C25-replay_from_start-stream"],
    StartsOneLate: ["C25-replay_from_offset-stream"],
    ReadsOneLate: ["C25-read_history-stream", "C25-read_from_and_until-stream"],
    ReadsOn: ["C25-read_history-stream", "C25-read_from_and_until-stream"],
    ReadsBackwards: ["C25-read_history-stream"],
    LosesWhatACancelledWaitHad: ["C25-read_follows-stream"],
    SleepsWhenClosed: ["C25-read_follows-stream"],
    TakesWhatItReads: ["C25-read_moves_nobody-stream"],
    ResolvesLatestAgain: ["C06-latest_retains_once_begun-stream"],
    ClosesInsteadOfDraining: [
        "C28-graceful_stop_drains-queue",
        "C17-order_survives_graceful_stop-stream",
        "C17-order_survives_rolling_restart-ordered_queue",
    ],
    DrainsWithoutEnd: ["C28-graceful_stop_drains-stream"],
    NeverWaits: ["C26-waits_its_time-queue", "C26-waits_its_time-stream"],
    WaitsInOneLine: ["C26-waits_its_time-queue"],
    ForgetsWhatWaits: ["C26-waits_its_time-topic"],
    ForgetsTheAttemptsOfWhatWaits: ["C26-waits_its_time-stream"],
    ReturnsToEverybody: ["C26-waits_its_time-topic"],
    RedrivesToEverybody: ["C37-redrive_reaches_one-topic", "C37-redrive_reaches_one-stream"],
    RedrivesTwice: ["C37-redrive_reaches_one-ordered_queue"],
    RemovesNoDeadLetter: ["C37-redrive_reaches_one-queue"],
    TakesDeadLetters: ["C37-redrive_reaches_one-stream"],
}
"""Each saboteur, and the cases that must notice it."""

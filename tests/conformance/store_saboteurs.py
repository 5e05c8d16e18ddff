"""Databases that break one promise each, over a good one; and the rows that must notice."""

from __future__ import annotations

from contextlib import asynccontextmanager


class Bent:
    """Passes everything through. A saboteur overrides what it breaks."""

    def __init__(self, inner):
        self.inner = inner

    def __getattr__(self, name):
        return getattr(self.inner, name)

    @asynccontextmanager
    async def transaction(self):
        async with self.inner.transaction() as transaction:
            yield self.bend(transaction)

    def bend(self, transaction):
        return transaction


class BentTransaction:
    def __init__(self, inner, **verbs):
        self.__dict__.update(verbs, inner=inner)

    def __getattr__(self, name):
        return getattr(self.inner, name)


async def nothing():
    pass


class CommitsWhatItIsGiven(Bent):
    """Commits each message to be published by itself, as a pooler without sessions does."""

    @asynccontextmanager
    async def transaction(self):
        messages = []

        async def put_outbox(rows):
            messages.extend(rows)

        try:
            async with self.inner.transaction() as transaction:
                yield BentTransaction(transaction, put_outbox=put_outbox)
        finally:
            async with self.inner.transaction() as transaction:
                await transaction.put_outbox(messages)


class HasNoSavepoints(Bent):
    """Takes savepoints and forgets them."""

    def bend(self, transaction):
        return BentTransaction(transaction, savepoint=nothing, rollback_to=nothing, release=nothing)


class KnowsIdsAlone(Bent):
    """Knows a message by its id alone."""

    def bend(self, transaction):
        async def inbox(keys):
            keys = list(keys)
            found = await transaction.inbox(each._replace(place="", source="", run="") for each in keys)
            return {each: found[bare] for each in keys if (bare := each._replace(place="", source="", run="")) in found}

        async def put_inbox(rows):
            await transaction.put_inbox(
                each._replace(key=each.key._replace(place="", source="", run="")) for each in rows
            )

        return BentTransaction(transaction, inbox=inbox, put_inbox=put_inbox)


class ReadsALateReplica(Bent):
    """Finds nothing of what others have written just now, and overwrites it."""

    def bend(self, transaction):
        async def inbox(keys):
            return {}

        async def put_inbox(rows):
            pass

        return BentTransaction(transaction, inbox=inbox, put_inbox=put_inbox)


class ReadsBackwards(Bent):
    """Gives the newest rows first."""

    async def pending(self, *arguments, **options):
        return (await self.inner.pending(*arguments, **options))[::-1]


class LeasesToEverybody(Bent):
    """Leases what is another's."""

    async def lease(self, owner, seconds):
        await self.inner.lease(owner, seconds)
        return frozenset(range(16))


class ClaimsForNobody(Bent):
    """Forgets at once who has claimed a timer."""

    async def claim_timers(self, places, owner, limit, seconds):
        return await self.inner.claim_timers(places, owner, limit, -1)


STORE_SABOTEURS = {
    CommitsWhatItIsGiven: "S01",
    HasNoSavepoints: "S02",
    KnowsIdsAlone: "S03",
    ReadsALateReplica: "S04",
    ReadsBackwards: "S05",
    LeasesToEverybody: "S06",
    ClaimsForNobody: "S07",
}
"""Each saboteur, and the row that must notice it."""

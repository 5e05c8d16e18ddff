"""Which slots of the outbox a relay may have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from busbridge.store._rows import SLOTS

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from busbridge.store._statements import Lease


def fair_share(owner: str, owners: Sequence[str]) -> int:
    """How many slots each of `owners` is due: they differ by one at most, and add up to all."""
    share, rest = divmod(SLOTS, len(owners))
    return share + (sorted(owners).index(owner) < rest)


def slots_for(owner: str, owners: Sequence[str], leases: Collection[Lease]) -> frozenset[int]:
    """What `owner` holds from now on: its own slots and free ones, up to its fair share."""
    held = sorted(lease.slot for lease in leases if lease.owner == owner)
    taken = {lease.slot for lease in leases}
    free = [slot for slot in range(SLOTS) if slot not in taken]
    return frozenset([*held, *free][: fair_share(owner, owners)])

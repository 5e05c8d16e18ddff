"""The rows, by what they are about."""

from typing import Final

from busbridge.testing.conformance.rows import (
    _blocking,
    _clock,
    _closing,
    _expiring,
    _handling,
    _keeping,
    _network,
    _order,
    _publishing,
    _reading,
    _redriving,
    _settling,
    _sharing,
    _transactions,
    _waiting,
)

ROWS: Final = tuple(
    sorted(
        (
            *_publishing.ROWS,
            *_keeping.ROWS,
            *_reading.ROWS,
            *_settling.ROWS,
            *_handling.ROWS,
            *_blocking.ROWS,
            *_network.ROWS,
            *_clock.ROWS,
            *_order.ROWS,
            *_sharing.ROWS,
            *_closing.ROWS,
            *_waiting.ROWS,
            *_expiring.ROWS,
            *_transactions.ROWS,
            *_redriving.ROWS,
        ),
        key=lambda row: row.id,
    )
)
"""Every row of the kit, in the order of the ids."""

__all__ = ["ROWS"]

"""The headers that busbridge adds to a message that failed, or that comes again."""

from __future__ import annotations

from typing import Final

PREFIX: Final = "busbridge-dead-"
"""What the names of a dead letter's record begin with."""
OURS: Final = "busbridge-"
"""What the names of all headers begin with that are added to a message on its way: no user's do."""
REDRIVE: Final = "busbridge-redrive"
"""The redrive that brings a message again."""
REDRIVES: Final = "busbridge-redrives"
"""How often it was redriven, this time included."""
RUN: Final = "busbridge-run"
"""The replay run that a redriven message died in, and is handled in once more."""
POSITION: Final = "busbridge-position"
"""Where in its stream a message stands that comes by another way: `partition:offset`."""
FIRST_FAILED: Final = "busbridge-first-failed"
"""When its first attempt failed, on a message whose next attempt comes later: RFC 3339, in UTC."""

"""What the store relies on its database for, as rows that try to break it.

A pooler that gives each statement another connection, or a replica that answers late, breaks promises that no handler
can keep by itself. Apart from the rows of transports, since it imports SQLAlchemy.
"""

from busbridge.testing.conformance.stores._rows import STORE_ROWS, MakeStore, StoreRow

__all__ = ["STORE_ROWS", "MakeStore", "StoreRow"]

"""The ports in memory: what the adapters must do, without database, bucket and vendor.

Everything that is kept in the database shares one `MemoryDatabase`, since one append writes all of
it. Time stands still until a test calls `MemoryDatabase.advance`. Methods do what `domain.ports`
says of them; docstrings add to that.
"""

from tests.fakes.database import LEASE, POLL_INTERVAL, MemoryDatabase, MemoryEventStore
from tests.fakes.erasures import MemoryErasures, MemoryItemObjects
from tests.fakes.outside import (
    MemoryClaims,
    MemoryEvidence,
    MemoryOutputGate,
    MemoryStorage,
    MemoryTranscoder,
)
from tests.fakes.work import (
    MemoryBreakers,
    MemoryDeadlines,
    MemoryInbox,
    MemoryOutbox,
    MemoryWatchlist,
)

__all__ = [
    "LEASE",
    "POLL_INTERVAL",
    "MemoryBreakers",
    "MemoryClaims",
    "MemoryDatabase",
    "MemoryDeadlines",
    "MemoryErasures",
    "MemoryEventStore",
    "MemoryEvidence",
    "MemoryInbox",
    "MemoryItemObjects",
    "MemoryOutbox",
    "MemoryOutputGate",
    "MemoryStorage",
    "MemoryTranscoder",
    "MemoryWatchlist",
]

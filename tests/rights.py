"""What the service's role may do to each table: held against the database, told in the docs."""

from typing import NamedTuple

WORDS = {"S": "SELECT", "I": "INSERT", "U": "UPDATE", "D": "DELETE"}
NEVER = ("TRUNCATE", "REFERENCES", "TRIGGER")
STATEMENTS = {
    "SELECT": "SELECT FROM {table} LIMIT 1",
    "INSERT": "INSERT INTO {table} DEFAULT VALUES",
    "UPDATE": "UPDATE {table} SET {column} = DEFAULT WHERE false",
    "DELETE": "DELETE FROM {table} WHERE false",
    "TRUNCATE": "TRUNCATE {table} CASCADE",
}
VIEWS = {"media_items_folded"}
"""Nothing could be written there, with any right."""


class Right(NamedTuple):
    """Letters of `WORDS`, and why."""

    letters: str
    why: str

    @property
    def words(self) -> list[str]:
        """The rights as SQL calls them."""
        return [WORDS[letter] for letter in self.letters]


RIGHTS = {
    "events": Right("S", "the history; written by `append_batch` alone, changed by nobody"),
    "streams": Right("S", "heads of the histories; written with them"),
    "media_items": Right("S", "the projection; written with the history"),
    "media_items_folded": Right("S", "the projection as the history makes it"),
    "transitions_allowed": Right("S", "the lifecycle"),
    "unsealed": Right("S", "what waits to be sealed; emptied by `seal`"),
    "ledger": Right("S", "written by `seal` alone, changed by nobody"),
    "ledger_head": Right("S", "moved by `seal`"),
    "checkpoints": Right("SI", "signed by the sealer, changed by nobody"),
    "evidence": Right("SI", "what events rest on; goes with an erased item alone"),
    "personal": Right("SI", "what is said of a person beside the history; goes as evidence does"),
    "erasures": Right("SU", "erased items whose objects are removed; written by the event"),
    "audit_reads": Right("SI", "who read what, changed by nobody"),
    "outbox": Right("SIUD", "attempts that need a job"),
    "run_calls": Right("SIUD", "calls that may have queued one"),
    "vendor_jobs": Right("SIUD", "jobs that are watched"),
    "assistants": Right("SIUD", "jobs that help"),
    "breakers": Right("SIUD", "what pauses dispatch"),
    "progress": Right("SIUD", "no history: overwritten"),
    "webhook_inbox": Right("SIU", "messages, and what became of them"),
    "part_uploads": Right("SIUD", "uploads in parts"),
    "upload_reservations": Right("SIUD", "quotas: registrations under way"),
    "media_tiers": Right("SID", "what a creator paid for, until the item is counted"),
    "attempt_totals": Right("SIU", "sums of attempts and their cost"),
    "tally": Right("SIU", "how far they are summed up"),
    "projection_checks": Right("SID", "what the checker found"),
    "_pogo_migration": Right("S", "which migrations there were"),
}
CALLS = {
    "append_batch": "appends, checked and chained",
    "append_events": "the same, one by one",
    "seal": "gives events their place in the ledger",
    "drop_remains": "drops what the database holds of an item that an event says is erased",
    "own_item": "an item of one creator",
    "own_items": "a page of them",
    "reserve_upload": "a registration within the quotas",
}
"""Functions that are not everybody's."""

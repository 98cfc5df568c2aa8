"""What the audit interface answers."""

from uuid import UUID

from pydantic import AwareDatetime, Field

from api.schemas import EventOut, Schema, event_out
from infra.ledger.checkpoint import PublicKey
from infra.ledger.reader import KeptCheckpoint, LedgerEvent


class LedgerEventOut(Schema):
    """An event at its place in the order of all events."""

    seq: int = Field(description="Dense, from 1; the leaf's index is one less.")
    media_id: UUID
    event: EventOut


class CheckpointOut(Schema):
    """The newest signed checkpoint."""

    size: int = Field(description="How many events it covers.")
    root: str = Field(description="The Merkle tree's root (RFC 6962), in hexadecimal.")
    key_id: str
    signed_at: AwareDatetime
    note: str = Field(description="The signed note: keep it, and verify later bundles with it.")
    public_key: str = Field(description="The key in use now. Compare it with the published one.")


def ledger_event_out(found: LedgerEvent) -> LedgerEventOut:
    """An event of the ledger as it goes out."""
    return LedgerEventOut(
        seq=found.seq, media_id=found.stored.stream_id, event=event_out(found.stored)
    )


def checkpoint_out(kept: KeptCheckpoint, key: PublicKey) -> CheckpointOut:
    """A checkpoint as it goes out."""
    return CheckpointOut(
        size=kept.size,
        root=kept.root.hex(),
        key_id=kept.key_id,
        signed_at=kept.signed_at,
        note=kept.note,
        public_key=str(key),
    )

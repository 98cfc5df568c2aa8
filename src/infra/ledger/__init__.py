"""The sealed order of all events: a Merkle tree over them, and signed checkpoints of it."""

"""Live status: what changes of a creator's items, as server-sent events."""

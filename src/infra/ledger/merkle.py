"""The Merkle tree of RFC 6962, section 2.1, grown by many leaves at a time.

Only the frontier is kept: the roots of the full subtrees that the tree is made of, largest first,
one for each 1 in the binary form of the tree's size.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256

EMPTY_ROOT = sha256(b"").digest()


def node_hashes(level: Sequence[bytes]) -> list[bytes]:
    """SHA-256 over 0x01 and both children, of each pair."""
    pairs = zip(level[::2], level[1::2], strict=True)
    return [sha256(b"\x01" + left + right).digest() for left, right in pairs]


def extend(size: int, frontier: Sequence[bytes], leaves: Iterable[bytes]) -> list[bytes]:
    """The frontier of a tree of `size` leaves after `leaves` (their data) are appended."""
    level = [sha256(b"\x00" + data).digest() for data in leaves]
    grown, added = list(frontier), []
    while level:  # one height after the other, from the leaves up
        if size & 1:
            level.insert(0, grown.pop())
        if len(level) & 1:
            added.append(level.pop())
        level = node_hashes(level)
        size >>= 1
    return grown + added[::-1]


def root(frontier: Sequence[bytes]) -> bytes:
    """The tree's root hash (MTH of RFC 6962)."""
    if not frontier:
        return EMPTY_ROOT
    node = frontier[-1]
    for left in reversed(frontier[:-1]):
        (node,) = node_hashes((left, node))
    return node

"""The Merkle tree of RFC 6962, section 2.1, grown leaf by leaf.

Only the frontier is kept: the roots of the full subtrees that the tree is made of, largest first,
one for each 1 in the binary form of the tree's size.
"""

import hashlib
from collections.abc import Iterable, Sequence

EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """SHA-256 over 0x00 and the leaf's data."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256 over 0x01 and both children."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def extend(size: int, frontier: Sequence[bytes], leaves: Iterable[bytes]) -> list[bytes]:
    """The frontier of a tree of `size` leaves after `leaves` (their data) are appended."""
    grown = list(frontier)
    for data in leaves:
        node, mark = leaf_hash(data), size
        while mark & 1:
            node = node_hash(grown.pop(), node)
            mark >>= 1
        grown.append(node)
        size += 1
    return grown


def root(frontier: Sequence[bytes]) -> bytes:
    """The tree's root hash (MTH of RFC 6962)."""
    if not frontier:
        return EMPTY_ROOT
    node = frontier[-1]
    for left in reversed(frontier[:-1]):
        node = node_hash(left, node)
    return node

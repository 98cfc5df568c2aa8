"""The Merkle tree against RFC 6962's definition and the vectors of its reference implementation."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.ledger import merkle

# Leaves and roots of certificate-transparency's merkle_tree_test (RFC 6962, 2.1).
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)


def mth(leaves: list[bytes]) -> bytes:
    """MTH as RFC 6962 writes it: split at the largest power of two below the size."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\x01" + mth(leaves[:split]) + mth(leaves[split:])).digest()


@pytest.mark.parametrize("size", range(len(ROOTS)))
def test_root_is_the_reference_implementations(size: int) -> None:
    frontier = merkle.extend(0, [], LEAVES[:size])
    assert merkle.root(frontier).hex() == ROOTS[size]


@given(st.lists(st.binary(max_size=40), max_size=70), st.integers(0, 70))
def test_tree_grown_in_two_parts_has_the_root_of_the_definition(
    leaves: list[bytes], cut: int
) -> None:
    cut = min(cut, len(leaves))
    part = merkle.extend(0, [], leaves[:cut])
    whole = merkle.extend(cut, part, leaves[cut:])
    assert merkle.root(part) == mth(leaves[:cut])
    assert merkle.root(whole) == mth(leaves)
    assert len(whole) == len(leaves).bit_count()

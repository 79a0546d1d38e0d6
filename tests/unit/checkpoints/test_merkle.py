"""The tree over a ledger's lines is RFC 6962's, and each leaf's proof leads to its root."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.merkle import over

from ccdr.evidence.checkpoints.checkpoint import EMPTY, Path, Tree, leaf_hash, node_hash, root_by

# Root hashes of the first so many of these leaves, as Certificate Transparency's own tests have them.
LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


def by_definition(lines: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, as it is written there."""
    if not lines:
        return sha256(b"").digest()
    if len(lines) == 1:
        return sha256(b"\0" + lines[0]).digest()
    k = 1 << ((len(lines) - 1).bit_length() - 1)
    return sha256(b"\1" + by_definition(lines[:k]) + by_definition(lines[k:])).digest()


def path_by_definition(m: int, lines: list[bytes]) -> list[bytes]:
    """The same of section 2.1.1."""
    if len(lines) == 1:
        return []
    k = 1 << ((len(lines) - 1).bit_length() - 1)
    if m < k:
        return [*path_by_definition(m, lines[:k]), by_definition(lines[k:])]
    return [*path_by_definition(m - k, lines[k:]), by_definition(lines[:k])]


@pytest.mark.parametrize("size", ROOTS)
def test_roots_are_those_of_certificate_transparency(size: int) -> None:
    assert over(bytes.fromhex(one) for one in LEAVES[:size]).root().hex() == ROOTS[size]
    assert EMPTY.hex() == ROOTS[0]


SIZES = st.integers(1, 150)


def lines_of(size: int) -> list[bytes]:
    return [b"%d\n" % number for number in range(size)]


@given(size=SIZES, index=st.integers(0, 149))
def test_each_leafs_proof_leads_to_the_root(size: int, index: int) -> None:
    lines, index = lines_of(size), index % size
    path = Path(index)
    for line in lines:
        path.append(leaf_hash(line))
    proof = path.proof()
    assert proof == path_by_definition(index, lines)
    assert root_by(index, size, leaf_hash(lines[index]), proof) == by_definition(lines) == over(lines).root()


@given(size=SIZES, index=st.integers(0, 149), other=st.integers(0, 149), at=st.integers(0, 255))
def test_no_proof_leads_there_for_another_leaf_place_or_hash(size: int, index: int, other: int, at: int) -> None:
    lines, index, other = lines_of(size), index % size, other % size
    proof, root = path_by_definition(index, lines), by_definition(lines)

    def leads(place: int, digest: bytes, hashes: list[bytes]) -> bool:
        try:
            return root_by(place, size, digest, hashes) == root
        except ValueError:
            return False

    assert leads(index, leaf_hash(lines[index]), proof)
    if other != index:
        assert not leads(index, leaf_hash(lines[other]), proof) and not leads(other, leaf_hash(lines[index]), proof)
    if proof:
        bent = [*proof]
        number, bit = at % len(bent), at % 8
        bent[number] = bytes([bent[number][0] ^ (1 << bit), *bent[number][1:]])
        assert not leads(index, leaf_hash(lines[index]), bent)
        assert not leads(index, leaf_hash(lines[index]), proof[:-1])
    assert not leads(index, leaf_hash(lines[index]), [*proof, proof[0] if proof else root])


@given(parts=st.lists(st.integers(1, 40), min_size=1, max_size=5))
def test_a_stretch_may_stand_as_subtrees_hashes_and_the_root_is_the_same(parts: list[int]) -> None:
    lines, tree, at = lines_of(sum(parts)), Tree(), 0
    for number, part in enumerate(parts):
        if number % 2:
            for line in lines[at : at + part]:
                tree.append(leaf_hash(line))
        else:
            place, left = at, part
            while left:
                height = min((place & -place).bit_length() - 1 if place else 63, left.bit_length() - 1)
                tree.append(by_definition(lines[place : place + (1 << height)]), height)
                place, left = place + (1 << height), left - (1 << height)
        at += part
    assert tree.size == len(lines) and tree.root() == by_definition(lines)


def test_a_subtree_that_cannot_follow_is_refused() -> None:
    tree = over([b"a\n"])
    with pytest.raises(ValueError, match="does not begin at leaf 1"):
        tree.append(node_hash(b"", b""), 1)
    with pytest.raises(ValueError, match="only the hash is known"):
        Path(1).append(node_hash(b"", b""), 1)


@given(size=st.integers(0, 300))
def test_a_tree_is_kept_and_goes_on(size: int) -> None:
    lines = lines_of(size + 7)
    kept = over(lines[:size])
    again = Tree(kept.size, list(kept.subtrees))
    for line in lines[size:]:
        again.append(leaf_hash(line))
    assert again.root() == over(lines).root()
    with pytest.raises(ValueError):
        Tree(size, [(63, b"x" * 32), *kept.subtrees])

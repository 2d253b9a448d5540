from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshp2p.errors import CredentialError, WireError
from meshp2p.identity.block import DOMAIN
from meshp2p.identity.credential import CHILD, ISSUER, NODE, TRANSPORT, parse_chain_untrusted
from meshp2p.identity.trust import Trust
from meshp2p.wire import codec
from tests.issuing import (
    CRYPTO,
    DAY,
    MESH,
    NOW,
    block,
    by_root,
    chain,
    exchanging,
    identity,
    root_private,
    signing,
)

CHAIN = identity("alice").chain
LONGER = chain(
    by_root(NODE, signing("alice"), name="alice", limits={"calls": 9}),
    block("alice", CHILD, signing("carol"), handles=("a.*", "b"), limits={"calls": 1}),
    block("carol", TRANSPORT, exchanging("carol")),
)

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)


EXPERIENCED = Trust(CRYPTO, MESH)
"""A member who has seen all that these tests make, and remembers the blocks that were good."""


def believed(data: bytes) -> bool:
    """Whether a member believes these bytes; anything but the two errors is a failure.

    Whoever has seen much gives the same answer as who has just begun.
    """
    answer = _believed(Trust(CRYPTO, MESH), data)
    for _ in ("perhaps new", "seen"):
        assert _believed(EXPERIENCED, data) == answer
    return answer


def _believed(trust: Trust, data: bytes) -> bool:
    try:
        trust.verify_chain_untrusted(data, NOW)
    except (CredentialError, WireError):
        return False
    return True


def test_the_examples_are_valid() -> None:
    """What the other tests change is believed as it is."""
    assert believed(CHAIN)
    assert believed(LONGER)


@pytest.mark.parametrize("genuine", [CHAIN, LONGER], ids=["self-issued", "with a child"])
@pytest.mark.parametrize("change", [0x01, 0x10, 0x80, 0xFF])
def test_no_byte_of_a_chain_can_be_changed(genuine: bytes, change: int) -> None:
    """Flip bits at any place: nobody believes it."""
    for place in range(len(genuine)):
        forged = genuine[:place] + bytes([genuine[place] ^ change]) + genuine[place + 1 :]
        assert not believed(forged), place


@pytest.mark.parametrize("genuine", [CHAIN, LONGER], ids=["self-issued", "with a child"])
def test_no_byte_can_be_left_out_or_added(genuine: bytes) -> None:
    """Cut anywhere, without any one byte, or with one more: nobody believes it."""
    for place in range(len(genuine)):
        assert not believed(genuine[:place])
        assert not believed(genuine[:place] + genuine[place + 1 :])
        assert not believed(genuine[:place] + b"\0" + genuine[place:])
    assert not believed(genuine + b"\0")


@given(st.binary(max_size=1_000))
def test_arbitrary_bytes_are_refused(data: bytes) -> None:
    """Nothing but the two errors, whatever a stranger sends."""
    assert not believed(data)


@given(values)
def test_arbitrary_values_are_refused(value: object) -> None:
    """Well-formed MessagePack that is no chain."""
    assert not believed(codec.pack(value))


@given(st.lists(st.binary(min_size=0, max_size=200), max_size=5))
def test_lists_of_arbitrary_blocks_are_refused(blocks: list[bytes]) -> None:
    """The right shape outside, anything inside."""
    assert not believed(codec.pack(blocks))


@given(st.lists(values, max_size=16))
def test_a_root_that_signs_anything_raises_nothing_else(fields: list[object]) -> None:
    """Even a broken issuer's signature makes nobody stumble."""
    payload = codec.pack(fields)
    wire = payload + CRYPTO.sign(root_private(), DOMAIN + payload)

    assert not believed(codec.pack([wire]))


@given(st.integers(0, 13), values)
def test_a_block_with_any_one_field_replaced_raises_nothing_else(place: int, value: object) -> None:
    """Signed, almost right, one element odd: believed or refused, never a crash."""
    genuine = by_root(NODE, signing("alice"))
    fields: list[object] = [*codec.unpack_list_untrusted(genuine[:-64], 14)]
    fields[place] = value
    payload = codec.pack(fields)
    data = codec.pack([payload + CRYPTO.sign(root_private(), DOMAIN + payload)])

    if believed(data):
        assert len(parse_chain_untrusted(data)) == 1


POOL = [
    by_root(ISSUER, signing("team")),
    by_root(ISSUER, signing("team"), handles=("bob",), depth=1),
    by_root(ISSUER, signing("mallory"), name="team"),
    block("mallory", ISSUER, signing("team"), depth=1),
    *(block(issuer, NODE, signing("alice")) for issuer in ("team", "mallory", root_private())),
    block("team", NODE, signing("alice"), handles=("bob",)),
    block("alice", CHILD, signing("carol")),
    block("alice", TRANSPORT, exchanging("alice")),
    block("carol", TRANSPORT, exchanging("carol")),
]
"""Genuine blocks, of which some fit below several others."""


@given(st.lists(st.sampled_from(POOL), min_size=1, max_size=4), st.integers(0, 3))
def test_blocks_in_any_order_are_judged_as_if_never_seen(blocks: list[bytes], spoilt: int) -> None:
    """Whatever was good elsewhere: this chain must hold by itself, each signature included."""
    believed(codec.pack(blocks))
    place = spoilt % len(blocks)
    forged = blocks[place][:-1] + bytes([blocks[place][-1] ^ 1])

    assert not believed(codec.pack([*blocks[:place], forged, *blocks[place + 1 :]]))


names = st.sampled_from(["*", "a.*", "a.b", "a.b.*", "a.b.c", "b", "ab"])
patterns = st.lists(names, max_size=3)


@given(
    st.fixed_dictionaries({"handles": patterns, "announces": patterns, "roles": patterns}),
    st.fixed_dictionaries({"handles": patterns, "announces": patterns, "roles": patterns}),
    st.sampled_from(["a", "a.b", "a.b.c", "a.bc", "ab", "b", "x"]),
    st.integers(-2, 2),
    st.integers(-2, 2),
)
def test_a_believed_child_may_do_nothing_that_its_parent_may_not(
    wide: dict[str, list[str]], narrow: dict[str, list[str]], name: str, start: int, end: int
) -> None:
    """Whatever patterns and times meet: what the child may do, the parent may do as well."""
    alice = by_root(NODE, signing("alice"), **wide)
    carol = block(
        "alice",
        CHILD,
        signing("carol"),
        **narrow,
        not_before=NOW + start,
        not_after=NOW + DAY + end,
    )
    if not believed(chain(alice, carol)):
        return
    trust = Trust(CRYPTO, MESH)
    parent = trust.verify_chain_untrusted(chain(alice), NOW)
    child = trust.verify_chain_untrusted(chain(alice, carol), NOW)

    assert parent.allows_handle(name) or not child.allows_handle(name)
    assert parent.allows_capability(name) or not child.allows_capability(name)
    assert parent.allows_role(name) or not child.allows_role(name)
    assert parent.not_before <= child.not_before
    assert child.not_after <= parent.not_after

"""Whatever strangers send to auctions and votes, the worst is a refusal."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshp2p.config import lan
from meshp2p.consensus import METHODS, Answer, Certificate, Participant, Transcript, verify
from meshp2p.consensus.award import AcceptanceNote, AwardNote, ResultNote
from meshp2p.consensus.ballot import CastBallot, Proposal
from meshp2p.consensus.offer import Announcement, PlacedBid
from meshp2p.errors import WireError
from meshp2p.identity.trust import Trust
from meshp2p.wire import codec
from tests.simulation.consensus_world import (
    CHEAP,
    REAL,
    UNIX,
    identity_of,
    mesh_of,
    proposal_of,
)

SIGNATURE = bytes(64)
DOORS: list[Callable[[bytes], object]] = [
    Announcement.read_untrusted,
    PlacedBid.read_untrusted,
    AwardNote.read_untrusted,
    AcceptanceNote.read_untrusted,
    ResultNote.read_untrusted,
    Proposal.read_untrusted,
    CastBallot.read_untrusted,
    Certificate.from_bytes_untrusted,
    Transcript.from_bytes_untrusted,
]
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.text(max_size=8)
    | st.binary(max_size=40)
    | st.sampled_from([bytes(16), bytes(32), 1, 0]),
    lambda inner: st.lists(inner, max_size=24),
    max_leaves=40,
)
hostile = (
    st.binary(max_size=200)
    | values.map(codec.pack)
    | values.map(lambda v: codec.pack(v) + SIGNATURE)
)


@pytest.mark.parametrize("door", DOORS)
@given(data=hostile)
def test_strangers_cause_wire_errors_only(door: Callable[[bytes], object], data: bytes) -> None:
    """Arbitrary bytes, and arbitrary values in the right wrapping."""
    with pytest.raises(WireError):
        door(data)


@pytest.mark.parametrize("method", METHODS)
@given(data=hostile)
def test_requests_of_strangers_are_refused(method: str, data: bytes) -> None:
    """At once, in words; nothing is kept and nothing is started."""
    numbers = itertools.count()
    bob = identity_of("bob", CHEAP)
    node = Participant(
        lan(),
        bob,
        Trust(CHEAP, bob.keys),
        CHEAP,
        bytes,
        lambda: next(numbers),
        {},
        lambda _: (bob.node_public, bob.chain),
    )
    node.receive_ask(1, bob.node_id, method, data, now=0.0, unix=UNIX)
    (answer,) = node.outputs()
    assert isinstance(answer, Answer)
    assert answer.status == 1
    assert node.next_deadline() == float("inf")


def decided() -> Certificate:
    """Alice and bob have said yes, with real signatures."""
    alice, bob = identity_of("alice", REAL), identity_of("bob", REAL)
    group_id = mesh_of(REAL).group_id
    call = proposal_of("alice", "bob", crypto=REAL).sign(REAL, alice.node_private, group_id)
    pid = Proposal.read_untrusted(call).pid
    ballots = [
        CastBallot(
            pid=pid, elector=one.node_id, journal_id=one.journal_id, choice=(0,), rationale="so"
        ).sign(REAL, one.node_private, group_id)
        for one in (alice, bob)
    ]
    return Certificate.assemble(group_id, call, ballots)


@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_no_byte_of_a_certificate_can_change(flip: int) -> None:
    """Every one is signed, or decides whether a signature holds. All offsets."""
    data, root = decided().to_bytes(), mesh_of(REAL).root_public
    assert verify(data, root).valid
    for offset in range(len(data)):
        changed = data[:offset] + bytes([data[offset] ^ flip]) + data[offset + 1 :]
        assert not verify(changed, root).valid, offset


def test_no_part_of_a_certificate_can_go() -> None:
    """Cut anywhere, it is none."""
    data, root = decided().to_bytes(), mesh_of(REAL).root_public
    assert not any(verify(data[:length], root).valid for length in range(len(data)))


@given(data=hostile)
def test_verify_never_raises(data: bytes) -> None:
    """It is given files that anybody may have written."""
    assert not verify(data, bytes(32)).valid


@given(choice=st.integers(0, 63), names=st.lists(st.sampled_from(["alice", "bob"]), max_size=4))
def test_unverified_certificates_can_be_explained(choice: int, names: list[str]) -> None:
    """Minutes are read before anything is believed; they must not fail."""
    group_id = mesh_of(CHEAP).group_id
    alice = identity_of("alice", CHEAP)
    call = proposal_of("alice").sign(CHEAP, alice.node_private, group_id)
    ballots = {
        CastBallot(
            pid=bytes(32),
            elector=identity_of(name, CHEAP).node_id,
            journal_id=bytes(16),
            choice=(choice,),
        ).sign(CHEAP, alice.node_private, group_id)
        for name in names
    }
    certificate = Certificate.assemble(group_id, call, ballots)
    assert certificate.explain().startswith("Vote 'ship it?'")
    assert not certificate.verify(alice.keys.root_public, crypto=CHEAP).valid or not names

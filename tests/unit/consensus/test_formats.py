"""The signed formats are final: what was signed once must stay readable for years."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest

from meshp2p.consensus import envelope
from meshp2p.consensus.award import AcceptanceNote, AwardNote, ResultNote
from meshp2p.consensus.ballot import CastBallot, Proposal
from meshp2p.consensus.envelope import Fields, digest
from meshp2p.consensus.offer import Announcement, PlacedBid
from meshp2p.consensus.scoring import BidTerms, Policy
from meshp2p.errors import WireError
from meshp2p.ids import NodeId
from meshp2p.wire import codec
from meshp2p.wire.codec import Value
from tests.simulation.consensus_world import CHEAP, identity_of, mesh_of, proposal_of

ONE, TWO = NodeId(b"1" * 16), NodeId(b"2" * 16)
HASH = b"#" * 32
TASK = {"task_id": HASH, "epoch": 3}
ANNOUNCEMENT = Announcement(
    owner=ONE,
    journal_id=TWO,
    nonce=bytes(16),
    key=b"order-7",
    capability="code.review",
    spec_hash=HASH,
    size=4,
    policy=Policy(),
    epoch=3,
    close_ms=500,
    deadline_ms=20_000,
    wall=1_750_000_000,
)
STATEMENTS: dict[str, tuple[list[Value], Callable[[object], object], str]] = {
    "announce": (
        ANNOUNCEMENT.to_fields(),
        Announcement.read_untrusted,
        "3f77cc62ae2f539a12c23f366b9e3a0c",
    ),
    "bid": (
        PlacedBid(
            **TASK,  # type: ignore[arg-type]
            bidder=TWO,
            announcement=HASH,
            terms=BidTerms(price=5, eta_ms=100),
            valid_ms=20_000,
        ).to_fields(),
        PlacedBid.read_untrusted,
        "eabdab94e32e37d9550281e623f1854f",
    ),
    "award": (
        AwardNote(
            **TASK,  # type: ignore[arg-type]
            owner=ONE,
            winner=TWO,
            price=5,
            score=900_000,
            announcement=HASH,
            bid=HASH,
            bids=HASH,
            spec_hash=HASH,
        ).to_fields(),
        AwardNote.read_untrusted,
        "7bae3dbe629c0e1a786a93def801a5a1",
    ),
    "accept": (
        AcceptanceNote(**TASK, winner=TWO, award=HASH).to_fields(),  # type: ignore[arg-type]
        AcceptanceNote.read_untrusted,
        "5fd39d7a75fc78981e10bf59c8600e7f",
    ),
    "result": (
        ResultNote(**TASK, worker=TWO, status=0, result=HASH, cost=5).to_fields(),  # type: ignore[arg-type]
        ResultNote.read_untrusted,
        "6d0bb42d5ca1aa50fbc5fd2f0798e17e",
    ),
}


def signed(kind: str, fields: list[Value]) -> bytes:
    """A statement of alice's."""
    alice = identity_of("alice", CHEAP)
    return envelope.sign(CHEAP, alice.node_private, kind, alice.keys.group_id, fields)


@pytest.mark.parametrize("kind", STATEMENTS)
def test_bytes_on_the_wire_stay_the_same(kind: str) -> None:
    """A change here breaks every node and every record of yesterday."""
    fields, _, expected = STATEMENTS[kind]
    assert digest(codec.pack(fields)).hex()[:32] == expected


def test_votes_stay_the_same() -> None:
    """Proposals name their vote by this hash, so certificates depend on it."""
    alice = identity_of("alice", CHEAP)
    draft = proposal_of("alice", "bob")
    people = [attrs.evolve(person, chain=b"chain") for person in draft.electors]
    draft = attrs.evolve(draft, caller=people[0], electors=tuple(people))
    call = draft.sign(CHEAP, alice.node_private, mesh_of(CHEAP).group_id)
    ballot = CastBallot(pid=HASH, elector=ONE, journal_id=TWO, choice=(1,), rationale="so")
    cast = ballot.sign(CHEAP, alice.node_private, mesh_of(CHEAP).group_id)
    assert Proposal.read_untrusted(call).pid.hex()[:32] == "539c9ef40d50876f574acb020ba3e710"
    assert digest(envelope.payload_of(cast)).hex()[:32] == "03345c991f42128308e5ea6b03735d93"


@pytest.mark.parametrize("kind", STATEMENTS)
def test_later_versions_may_append(kind: str) -> None:
    """What is read is the same; what is new is ignored."""
    fields, read, _ = STATEMENTS[kind]
    read(signed(kind, [*fields, "of a later version", [1, 2]]))


@pytest.mark.parametrize("kind", STATEMENTS)
def test_every_element_is_needed_and_checked(kind: str) -> None:
    """A missing or odd element is refused, whichever it is."""
    fields, read, _ = STATEMENTS[kind]
    for place in range(len(fields)):
        with pytest.raises(WireError):
            read(signed(kind, fields[:place]))
        with pytest.raises(WireError):
            read(signed(kind, [*fields[:place], {"odd": True}, *fields[place + 1 :]]))


def changed(fields: list[Value], place: int, value: Value) -> list[Value]:
    """The same with another element in that place."""
    return [*fields[:place], value, *fields[place + 1 :]]


@pytest.mark.parametrize(
    ("kind", "place", "value"),
    [
        ("announce", 7, ["gpu"]),  # needs
        ("announce", 17, 1),  # sealed
        ("announce", 18, 1),  # second price
        ("announce", 19, [bytes(16)]),  # guardians
        ("bid", 7, bytes(32)),  # commitment of a sealed bid
    ],
)
def test_modes_of_later_versions_are_refused(kind: str, place: int, value: Value) -> None:
    """Better no bid than one under rules that were misunderstood."""
    fields, read, _ = STATEMENTS[kind]
    with pytest.raises(WireError):
        read(signed(kind, changed(fields, place, value)))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (4, 1),  # opinion round
        (5, [0, 1]),  # a ranking
        (8, bytes(32)),  # commitment of a sealed ballot
        (9, bytes(16)),  # delegate
    ],
)
def test_ballots_of_later_versions_are_refused(place: int, value: Value) -> None:
    """They mean something that this version would count wrongly."""
    fields: list[Value] = [1, HASH, ONE, TWO, 0, [1], 1_000_000, "so", b"", b""]
    CastBallot.read_untrusted(signed("ballot", fields))
    with pytest.raises(WireError):
        CastBallot.read_untrusted(signed("ballot", changed(fields, place, value)))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (13, 1),  # opinion round
        (14, "rounds"),  # mode
        (15, [1, 2]),  # durations
        (16, 1),  # sealed
        (17, 1),  # council version
        (18, bytes(32)),  # council's parent
    ],
)
def test_votes_of_later_versions_are_refused(place: int, value: Value) -> None:
    """An elector takes part in nothing that it does not understand."""
    alice = identity_of("alice", CHEAP)
    call = proposal_of("alice", "bob").sign(CHEAP, alice.node_private, mesh_of(CHEAP).group_id)
    fields = codec.unpack_list_untrusted(envelope.payload_of(call), 21)
    Proposal.read_untrusted(signed("vote", fields))
    with pytest.raises(WireError):
        Proposal.read_untrusted(signed("vote", changed(fields, place, value)))


@pytest.mark.parametrize(("place", "value"), [(0, bytes(16)), (3, 0), (5, "bob\n  carol")])
def test_electors_that_are_none_are_refused(place: int, value: Value) -> None:
    """An id that is not the key's, no weight, or a handle that is no name."""
    alice = identity_of("alice", CHEAP)
    call = proposal_of("alice", "bob").sign(CHEAP, alice.node_private, mesh_of(CHEAP).group_id)
    fields = codec.unpack_list_untrusted(envelope.payload_of(call), 21)
    electors = fields[20]
    assert isinstance(electors, list)
    assert isinstance(electors[1], list)
    odd = changed(fields, 20, [electors[0], changed(electors[1], place, value)])
    with pytest.raises(WireError):
        Proposal.read_untrusted(signed("vote", odd))


def test_a_statement_of_one_kind_or_namespace_is_none_of_another() -> None:
    """Signatures cover both."""
    alice = identity_of("alice", CHEAP)
    statement = signed("bid", STATEMENTS["bid"][0])
    group_id = alice.keys.group_id
    assert envelope.is_signed_by(CHEAP, alice.node_public, "bid", group_id, statement)
    assert not envelope.is_signed_by(CHEAP, alice.node_public, "award", group_id, statement)
    assert not envelope.is_signed_by(CHEAP, alice.node_public, "bid", bytes(16), statement)


def test_truth_is_no_number() -> None:
    """True equals 1 in Python, but not in a signed statement."""
    with pytest.raises(WireError):
        Fields([True]).integer()

"""What is believed about a member, and from whom."""

from __future__ import annotations

import hashlib
from typing import Any

import attrs
import pytest

from meshp2p.errors import UsageError
from meshp2p.events import CapabilityInfo
from meshp2p.gossip.messages import LineItem, Ping, RecordItem, SuspicionItem
from meshp2p.gossip.outputs import Pull
from meshp2p.gossip.record import LEFT, UP, Body, body_hash
from meshp2p.gossip.swim import Swim
from meshp2p.identity.credential import NODE, TRANSPORT, Block, pack_chain
from meshp2p.wire import limits
from meshp2p.wire.codec import Value
from tests.simulation.swim_world import CRYPTO, START, UNIX, identity_of, keys_of, swim_of
from tests.unit.gossip.people import (
    accusation,
    accuse,
    acquaint,
    datagram,
    events,
    id_of,
    line_of,
    said,
    signed_line,
    state_of,
    work_off,
)

NOW = START + 1.0


def circle(*names: str) -> list[Swim]:
    """People who know each other already."""
    people = [swim_of(name) for name in names]
    acquaint(*people)
    return people


def hear_line(swim: Swim, peer: str, raw: bytes) -> None:
    """Let a peer pass a line on."""
    swim.receive(id_of(peer), datagram(LineItem(raw).wire()), now=NOW)


def hear_record(swim: Swim, peer: str, wire: list[bytes]) -> None:
    """Let a peer pass a whole record on."""
    swim.receive(id_of(peer), datagram(RecordItem(*wire[:3]).wire()), now=NOW)


def held_line(swim: Swim, name: str) -> Value:
    """The line of somebody that it would pass on."""
    match swim.records_of([id_of(name)]):
        case [[line, *_]]:
            return line
    raise AssertionError(f"no record of {name}")


def wire_of(swim: Swim) -> list[bytes]:
    """Its own [line, body, chain]."""
    record = swim.own_record()
    assert record is not None
    return record.wire()


@pytest.mark.parametrize("state", [UP, LEFT])
def test_nobody_can_speak_for_another(state: int) -> None:
    """A member cannot make another change, or leave: only its own signature counts."""
    alice, bob = circle("alice", "bob")
    forged = signed_line("carol", line_of(bob), seq=5, state=state)

    hear_line(alice, "carol", forged.raw)

    assert held_line(alice, "bob") == line_of(bob).raw
    assert state_of(alice, "bob") == "alive"
    assert alice.counters["claims_refused"] == 1


def test_a_member_cannot_take_anothers_id() -> None:
    """A record whose key does not hash to its id is nobody's."""
    alice, _, carol = circle("alice", "bob", "carol")
    _, body, chain = wire_of(carol)
    stolen = signed_line("carol", line_of(carol), node_id=id_of("dave"))

    hear_record(alice, "carol", [stolen.raw, body, chain])

    assert alice.member(id_of("dave")) is None
    assert alice.counters["claims_refused"] == 1


def test_an_old_line_cannot_be_played_back() -> None:
    """Once a newer version is known, no older one counts, not even after death."""
    alice, bob, *_ = circle("alice", "bob", "carol")
    old = line_of(bob)
    hear_line(alice, "carol", signed_line("bob", old, seq=3, state=LEFT).raw)
    assert state_of(alice, "bob") == "left"

    for replay in (old, signed_line("bob", old, seq=2)):
        hear_line(alice, "carol", replay.raw)

    assert state_of(alice, "bob") == "left"
    assert alice.directory.by_handle("bob") == []


def test_leaving_is_final_for_its_epoch() -> None:
    """A leaver does not come back by a higher count, only by a new start."""
    alice, bob, *_ = circle("alice", "bob", "carol")
    old = line_of(bob)
    hear_line(alice, "bob", signed_line("bob", old, seq=3, state=LEFT).raw)
    hear_line(alice, "bob", signed_line("bob", old, seq=4).raw)
    assert state_of(alice, "bob") == "left"

    hear_line(alice, "bob", signed_line("bob", old, epoch=old.epoch + 1, seq=0).raw)

    assert state_of(alice, "bob") == "alive"
    assert events(alice.outputs())[-2:] == ["member.left", "member.returned"]


def test_an_expired_line_revives_nobody() -> None:
    """A recorded line cannot bring a departed member back after its tombstone is gone."""
    alice, bob = swim_of("alice"), swim_of("bob")
    late = START + 7_200.0 + 301.0
    alice.receive_wall_clock(UNIX + late, now=NOW)

    hear_record(alice, "carol", wire_of(bob))

    assert alice.member(id_of("bob")) is None


def test_a_line_for_ever_is_refused() -> None:
    """Nobody can make others keep its tombstone for years."""
    alice, bob = circle("alice", "bob")
    for_ever = signed_line("bob", line_of(bob), seq=1, valid_until=int(UNIX) + 10**8)

    hear_line(alice, "bob", for_ever.raw)

    assert held_line(alice, "bob") == line_of(bob).raw


def test_a_changed_body_is_asked_for_before_it_is_believed() -> None:
    """A line that names an unknown body changes nothing until the body is here."""
    alice, bob = circle("alice", "bob")
    bob.set_capabilities((CapabilityInfo("gpu"),), now=NOW)

    hear_line(alice, "bob", line_of(bob).raw)

    assert Pull(id_of("bob"), (id_of("bob"),)) in alice.outputs()
    assert alice.directory.find("gpu") == []
    alice.merge_untrusted(bob.records_of([id_of("bob")]), id_of("bob"), now=NOW)
    assert alice.directory.find("gpu") == [id_of("bob")]
    assert "member.updated" in events(alice.outputs())


def test_records_of_another_namespace_are_not_believed() -> None:
    """Two namespaces do not see each other, even if a member carries records across."""
    alice, stranger = swim_of("alice"), swim_of("bob", namespace="lab")

    hear_record(alice, "bob", wire_of(stranger))

    assert alice.member(id_of("bob")) is None


def test_records_of_another_mesh_are_not_believed() -> None:
    """A chain to another root proves nothing here."""
    alice, stranger = swim_of("alice"), swim_of("bob", mesh="other")

    hear_record(alice, "bob", wire_of(stranger))

    assert alice.member(id_of("bob")) is None


@pytest.mark.parametrize(
    "claim",
    [
        {"handle": "deploy"},
        {"namespace": "lab"},
        {"role": "governor"},
        {"capabilities": (CapabilityInfo("prod.deploy"),)},
        {"transport_key": bytes(32)},
    ],
)
def test_nobody_claims_more_than_its_credential_allows(claim: dict[str, Any]) -> None:
    """Nobody can be @deploy, or announce a capability, without leave from the root."""
    alice, bob = swim_of("alice"), identity_of("bob")
    chain = narrow_chain_of_bob("*")
    modest = Body(
        node_key=bob.node_public,
        transport_key=bob.transport_public,
        journal_id=bob.journal_id,
        addresses=(),
        handle="bob",
        role="worker",
        namespace="default",
        capabilities=(CapabilityInfo("code.review"),),
    )
    for seq, body in enumerate([attrs.evolve(modest, **claim), modest]):
        raw = body.encode()
        line = signed_line("bob", line_of(swim_of("bob")), body_hash=body_hash(raw), seq=seq)
        hear_record(alice, "bob", [line.raw, raw, chain])
        believed = body is modest

        assert (alice.member(id_of("bob")) is not None) == believed
    assert alice.directory.by_handle("deploy") == []


def test_a_credential_for_another_namespace_opens_nothing_here() -> None:
    """Leave to be in the lab is no leave to be here, whoever vouches with a signature."""
    alice, bob = swim_of("alice"), swim_of("bob")
    line, body, _ = wire_of(bob)

    hear_record(alice, "bob", [line, body, narrow_chain_of_bob("lab")])
    assert alice.member(id_of("bob")) is None

    hear_record(alice, "bob", [line, body, narrow_chain_of_bob("default")])
    assert alice.member(id_of("bob")) is not None


def narrow_chain_of_bob(*namespaces: str) -> bytes:
    """A chain by which bob may be @bob, a worker, and announce `code.*` only."""
    bob, keys = identity_of("bob"), keys_of()
    assert keys.root_private is not None
    node = Block.issue(
        CRYPTO,
        keys.root_private,
        kind=NODE,
        subject=bob.node_public,
        namespaces=namespaces,
        roles=("worker",),
        handles=("bob",),
        announces=("code.*",),
        mesh_id=keys.mesh_id,
        not_before=int(UNIX),
        not_after=int(UNIX) + 80_000,
    )
    transport = Block.issue(
        CRYPTO,
        bob.node_private,
        kind=TRANSPORT,
        subject=bob.transport_public,
        mesh_id=keys.mesh_id,
        not_before=int(UNIX),
        not_after=int(UNIX) + 80_000,
    )
    return pack_chain([node, transport])


def test_a_node_learns_at_once_what_others_would_refuse() -> None:
    """Announcing too much raises here, instead of vanishing silently everywhere else."""
    alice = swim_of("alice")
    many = tuple(CapabilityInfo(f"capability-{n:03}-with-a-long-name") for n in range(40))

    with pytest.raises(UsageError, match="40 capabilities"):
        alice.set_capabilities(many, now=NOW)

    assert alice.directory.capabilities() == []


def test_a_cloned_key_is_noticed() -> None:
    """Two different lines of one version prove a copied key; the first one stays, `why` says so."""
    alice, bob = circle("alice", "bob")
    twin = signed_line("bob", line_of(bob), body_hash=hashlib.sha256(b"twin").digest()[:16])

    hear_line(alice, "carol", twin.raw)
    hear_line(alice, "carol", twin.raw)

    cloned = [text for text in events(alice.outputs()) if "cloned" in text]
    assert len(cloned) == alice.counters["clones"] == 1
    why = alice.why(id_of("bob"), now=NOW)
    assert why is not None
    assert [clue.kind for clue in why.clues] == ["cloned"]
    assert held_line(alice, "bob") == line_of(bob).raw


def test_a_renewed_chain_takes_the_place_of_the_old_one() -> None:
    """A member's chain may be renewed without a new line, and never be shortened."""
    alice, bob = circle("alice", "bob")
    old = wire_of(bob)
    later = identity_of("bob").renewed(CRYPTO, UNIX + START + 200)
    bob.set_identity(later, now=NOW)

    hear_record(alice, "carol", wire_of(bob))
    assert alice.chain_of(id_of("bob")) == later.chain

    hear_record(alice, "carol", old)
    assert alice.chain_of(id_of("bob")) == later.chain


# Accusations


def test_a_suspicion_needs_the_accusers_own_signature() -> None:
    """Nobody can accuse in another's name."""
    alice, bob, *_ = circle("alice", "bob", "carol")
    forged = accusation("dave", line_of(bob), accuser=id_of("carol"))

    alice.receive(id_of("carol"), datagram(SuspicionItem(forged.raw).wire()), now=NOW)

    assert state_of(alice, "bob") == "alive"


def test_only_members_may_accuse() -> None:
    """A stranger's accusation counts for nothing, and neither does a leaver's."""
    alice, bob, carol = circle("alice", "bob", "carol")
    hear_line(alice, "carol", signed_line("carol", line_of(carol), seq=1, state=LEFT).raw)

    for accuser in ("dave", "carol", "bob"):
        alice.receive(id_of("bob"), accuse(accuser, line_of(bob)), now=NOW)

    assert state_of(alice, "bob") == "alive"


def test_a_stale_accusation_is_void() -> None:
    """Who has refuted once need not fear the same accusation again."""
    alice, bob, *_ = circle("alice", "bob", "carol")
    old = line_of(bob)
    hear_line(alice, "bob", signed_line("bob", old, seq=1).raw)

    alice.receive(id_of("carol"), accuse("carol", old), now=NOW)

    assert state_of(alice, "bob") == "alive"


def test_an_accusation_of_last_week_is_void() -> None:
    """Recorded accusations cannot be played back later."""
    alice, bob, *_ = circle("alice", "bob", "carol")
    recorded = accuse("carol", line_of(bob), unix=int(UNIX + START) - 601)

    alice.receive(id_of("carol"), recorded, now=NOW)

    assert state_of(alice, "bob") == "alive"


def test_an_accusation_of_an_unknown_version_makes_us_ask() -> None:
    """Nobody advances on hearsay: the newer line is asked for."""
    alice, bob, *_ = circle("alice", "bob", "carol")
    newer = signed_line("bob", line_of(bob), seq=7)

    alice.receive(id_of("carol"), accuse("carol", newer), now=NOW)

    assert state_of(alice, "bob") == "alive"
    assert Pull(id_of("carol"), (id_of("bob"),)) in alice.outputs()


def test_death_is_not_hearsay() -> None:
    """However many claim it, and with whatever evidence, nobody is dead on their word."""
    names = ["alice", "bob", "carol", "dave", "erin", "frank"]
    alice, bob, *_ = circle(*names)
    for evidence, accuser in enumerate(names[2:5]):
        said_so = accuse(accuser, line_of(bob), evidence=evidence)
        alice.receive(id_of(accuser), said_so, now=NOW)

    assert state_of(alice, "bob") == "suspect"
    assert isinstance(next(iter(said(alice.outputs(), "bob"))), Ping)


def test_signatures_are_checked_in_slices() -> None:
    """A flood of records delays an ack by a few milliseconds, not by all of them."""
    alice = swim_of("alice")
    crowd: list[Value] = [[*wire_of(swim_of(f"member-{number}"))] for number in range(30)]

    alice.merge_untrusted(crowd, id_of("bob"), now=NOW)

    at_once = len(alice.members()) - 1
    assert 0 < at_once <= limits.SIGNATURES_PER_INPUT / 3
    assert alice.next_deadline() <= NOW + 0.002
    work_off(alice, NOW)
    assert len(alice.members()) - 1 == 30

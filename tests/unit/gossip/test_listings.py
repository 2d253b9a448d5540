"""What a node notes of what a peer says that it holds."""

from __future__ import annotations

import hashlib

from meshp2p.gossip.messages import LineItem, RecordItem
from meshp2p.gossip.swim import Swim
from meshp2p.wire.codec import Value
from tests.property.taped import sizes
from tests.simulation.swim_world import START, swim_of
from tests.unit.gossip.people import (
    acquaint,
    datagram,
    id_of,
    line_of,
    said,
    signed_line,
    work_off,
)

NOW = START + 1.0


def made_up(like: Swim, count: int) -> list[Value]:
    """Records of members that do not exist, as mallory would list them."""
    (listed,) = like.sync_payload()
    assert isinstance(listed, list)
    ids = [hashlib.sha256(b"nobody %d" % number).digest()[:16] for number in range(count)]
    lines = [signed_line("mallory", line_of(like), node_id=node_id) for node_id in ids]
    return [[line.raw, *listed[1:]] for line in lines]


def largest_table(swim: Swim) -> int:
    """How many elements its largest container has."""
    return max(sizes(swim, "swim").values())


def test_made_up_members_leave_nothing_behind() -> None:
    """A member that pushes forged lines for ever fills no memory."""
    bob = swim_of("bob")
    records = made_up(swim_of("mallory"), 1_000)

    for first in range(0, 1_000, 250):
        bob.merge_untrusted(records[first : first + 250], id_of("mallory"), now=NOW)
        work_off(bob, NOW)

    assert bob.counters["claims_refused"] == 1_000
    assert largest_table(bob) < 200  # 128 buckets of a view, whoever is in them
    assert len(bob.members()) == 1


def test_what_was_listed_without_an_end_is_forgotten() -> None:
    """A peer's own syncs, and answers to pulls, are not kept until that peer is synced with."""
    crowd = [swim_of(name) for name in ("bob", "carol", "dave", "erin")]
    acquaint(*crowd)
    bob, carol, dave, erin = crowd
    for peer in (carol, dave, erin):
        name = str(peer.members()[0].handle)
        bob.merge_untrusted(peer.sync_payload(), id_of(name), now=NOW)
        work_off(bob, NOW)

    kept = sizes(bob, "swim")

    assert kept["swim._intake._listings._of"] <= 1  # the newest
    assert kept["swim._intake._listings._of{}"] <= len(crowd)


def test_a_peer_is_told_only_what_it_did_not_list() -> None:
    """After a sync it hears the newer lines and the missing records, and nothing else."""
    names = ("alice", "bob", "carol", "dave", "erin")
    alice, bob, carol, dave, erin = (swim_of(name) for name in names)
    acquaint(alice, bob, carol)
    bob.merge_untrusted(erin.sync_payload(), None, now=NOW)
    work_off(bob, NOW)
    alice.merge_untrusted(dave.sync_payload(), None, now=NOW)
    newer = signed_line("carol", line_of(carol), seq=line_of(carol).seq + 1)
    alice.receive(id_of("carol"), datagram(LineItem(newer.raw).wire()), now=NOW)
    work_off(alice, NOW)
    alice.outputs()

    alice.merge_untrusted(bob.sync_payload(), id_of("bob"), now=NOW)
    alice.synced_with(id_of("bob"), now=NOW)
    work_off(alice, NOW)

    told = said(alice.outputs(), "bob")
    lines = {item.line for item in told if isinstance(item, LineItem)}
    whole = {item.line for item in told if isinstance(item, RecordItem)}
    assert newer.raw in lines
    assert line_of(dave).raw in whole
    assert not {line_of(bob).raw, line_of(erin).raw} & (lines | whole)

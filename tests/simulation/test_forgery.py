"""What an insider forges: well made, never true, and never believed."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from meshp2p.errors import WireError
from meshp2p.gossip.accusation import Accusation
from meshp2p.gossip.messages import (
    LineItem,
    Message,
    RecordItem,
    SuspicionItem,
    decode_untrusted,
)
from meshp2p.gossip.record import LEFT, Record, VersionLine, body_hash
from meshp2p.identity.keys import SIGNATURE_BYTES
from meshp2p.simulation import ALIVE, Node, World
from meshp2p.simulation.faults import Forge
from meshp2p.simulation.forgery import Forger
from meshp2p.simulation.invariants import watch_all
from meshp2p.simulation.invariants.inside import view_of
from meshp2p.simulation.liars import Liar, with_one_more
from meshp2p.wire import codec, limits

PEOPLE = ("alice", "bob", "carol", "dave", "erin")


def mesh(seed: int) -> tuple[World, list[Node]]:
    """Five of whom erin may be made to lie; all promises are watched."""
    world = World(seed)
    watch_all(world)
    people = [
        world.start(name, crypto=Liar(world.crypto) if name == "erin" else None) for name in PEOPLE
    ]
    world.run_until_quiet()
    return world, people


def forger(liar: Node, number: int) -> Forger:
    """Erin with all that she knows, about to make up one thing."""
    records = {row.id: row.record for row in view_of(liar.engine)}
    own = records.pop(liar.id)
    return Forger(
        crypto=liar.origins.crypto,
        identity=liar.identity,
        own=own,
        others=list(records.values()),
        unix=liar.clock.unix,
        rng=Random(number),
    )


def forged(liar: Node, numbers: range) -> list[Message]:
    """So many forgeries as whoever gets them reads them."""
    items = [forger(liar, number).item() for number in numbers]
    return [message for item in items for message in decode_untrusted(codec.pack([item]))]


def test_a_forgery_of_every_kind_can_be_read() -> None:
    """So it is not for a slip of the pen that it is refused."""
    _, (*_, erin) = mesh(1)
    kinds: Counter[type] = Counter()
    states: Counter[int] = Counter()
    for message in forged(erin, range(500)):
        kinds[type(message)] += 1
        match message:
            case LineItem(line) | RecordItem(line):
                states[VersionLine.from_bytes_untrusted(line).state] += 1
            case SuspicionItem(accusation):
                assert Accusation.from_bytes_untrusted(accusation).raw == accusation
    assert set(kinds) == {LineItem, RecordItem, SuspicionItem}
    assert min(kinds.values()) > 50
    assert states[LEFT] > 50


def test_only_what_the_liar_says_of_itself_bears_its_owners_signature() -> None:
    """What it says of others is never theirs, whatever it was signed with."""
    world, (*honest, erin) = mesh(2)
    keys = {one.id: one.identity.node_public for one in [*honest, erin]}
    of_others = 0
    for message in forged(erin, range(500)):
        if not isinstance(message, LineItem | RecordItem):
            continue
        line = VersionLine.from_bytes_untrusted(message.line)
        if line.node_id in keys and line.node_id != erin.id:
            of_others += 1
            assert not line.is_signed_by(world.crypto, keys[line.node_id], erin.keys.group_id)
    assert of_others > 100


def test_forgeries_are_signed_by_nobody_by_chance_by_the_liar_or_long_ago() -> None:
    """The last are old words under new numbers, with the signature that their owner once made."""
    world, (*_, erin) = mesh(5)
    old = {row.id: row.record.line.raw[-SIGNATURE_BYTES:] for row in view_of(erin.engine)}
    ways: Counter[str] = Counter()
    for number in range(200):
        line = VersionLine.from_bytes_untrusted(forger(erin, number).line()[1])  # type: ignore[arg-type]  # [10, line]
        signature = line.raw[-SIGNATURE_BYTES:]
        if signature == bytes(SIGNATURE_BYTES):
            ways["nobody"] += 1
        elif signature == old[line.node_id]:
            ways["long ago"] += 1
        elif line.is_signed_by(world.crypto, erin.identity.node_public, erin.keys.group_id):
            ways["the liar"] += 1
        else:
            ways["chance"] += 1
    assert set(ways) == {"nobody", "long ago", "the liar", "chance"}
    assert min(ways.values()) > 25


def test_nearly_all_that_is_forged_would_be_news_if_it_were_believed() -> None:
    """An enemy does not repeat what everybody knows: it aims at the next version."""
    _, (*_, erin) = mesh(3)
    held = {row.id: row.version for row in view_of(erin.engine)}
    lines = [
        VersionLine.from_bytes_untrusted(forger(erin, number).line()[1])  # type: ignore[arg-type]  # [10, line]
        for number in range(200)
    ]
    assert sum(line.version > held[line.node_id] for line in lines) > 150


@pytest.mark.parametrize("seed", range(3))
def test_nothing_that_is_forged_is_believed(seed: int) -> None:
    """Hundreds of forgeries later each honest member's record is its own, and none is gone."""
    world, (*honest, _) = mesh(seed)
    with world.inject(Forge("erin", 1.0)):
        world.run_for(20.0)
    assert world.coverage["byzantine.forge"] > 200
    for one in honest:
        for other in honest:
            assert one.sees(other) == ALIVE
            assert record_of(one, other).body == record_of(other, other).body
        assert one.engine.stats()["claims_refused"] > 10
    assert sum(one.engine.stats().get("claims_unproved", 0) for one in honest) > 0
    world.calm()


def record_of(observer: Node, member: Node) -> Record:
    """What somebody holds of a member."""
    row = view_of(observer.engine).get(member.id)
    assert row is not None
    return row.record


def test_a_claim_with_a_body_names_that_body() -> None:
    """In most forged records line and body go together: other checks must refuse them."""
    _, (*_, erin) = mesh(4)
    records = [message for message in forged(erin, range(500)) if isinstance(message, RecordItem)]
    together = [
        VersionLine.from_bytes_untrusted(record.line).body_hash == body_hash(record.body)
        for record in records
    ]
    assert sum(together) > len(records) / 2
    assert not all(together)


# --- in a datagram -----------------------------------------------------------------------


def test_a_forgery_travels_with_what_was_to_be_said() -> None:
    """The datagram's own items come first."""
    plaintext = codec.pack([[1, 7, bytes(8), 0]])
    longer = with_one_more(plaintext, [12, b"accusation"])
    assert longer is not None
    assert codec.unpack_list_untrusted(longer, 0) == [[1, 7, bytes(8), 0], [12, b"accusation"]]


def test_a_forgery_that_does_not_fit_beside_it_travels_alone() -> None:
    """And one that is too long for any datagram not at all."""
    plaintext = codec.pack([[10, bytes(limits.MAX_PLAINTEXT - 20)]])
    alone = with_one_more(plaintext, [12, bytes(100)])
    assert alone is not None
    assert codec.unpack_list_untrusted(alone, 0) == [[12, bytes(100)]]
    assert with_one_more(plaintext, [12, bytes(limits.MAX_PLAINTEXT)]) is None


def test_what_is_no_list_of_items_is_replaced() -> None:
    """A liar may have heard, or been made to say, nonsense."""
    with pytest.raises(WireError):
        codec.unpack_list_untrusted(b"\xc1", 0)
    assert with_one_more(b"\xc1", [12, b"x"]) == codec.pack([[12, b"x"]])

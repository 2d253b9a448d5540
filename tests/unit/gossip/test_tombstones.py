"""How long the memory of somebody who has left must last."""

from __future__ import annotations

from random import Random

import attrs

from meshp2p.config import lan
from meshp2p.gossip.member import Row
from meshp2p.gossip.messages import RecordItem
from meshp2p.gossip.record import LEFT, UP, Record
from meshp2p.gossip.view import View
from tests.simulation.swim_world import START, UNIX, swim_of
from tests.unit.gossip.people import acquaint, datagram, id_of, signed_line, state_of, work_off


def test_a_tombstone_lasts_as_long_as_the_longest_line_and_no_longer() -> None:
    """Two hours after its farewell an older line would still be believed; ten hours later none."""
    record, tolerance = swim_of("bob").own_record(), lan().clock_tolerance
    assert record is not None
    long = attrs.evolve(record, line=signed_line("bob", record.line, valid_until=int(UNIX) + 9_999))
    line = signed_line("bob", record.line, seq=1, state=2, valid_until=int(UNIX))
    view = View(id_of("alice"))
    row = Row(record=long, state="alive", joined_at=START, last_seen=START)
    view.add(row)
    view.change(row, record=attrs.evolve(record, line=line), state="left")
    view.forget(row)

    for after, forbidden in ((0.0, True), (9_998.0, True), (10_000.0, False)):
        assert view.expired(UNIX + tolerance + after, tolerance, Random(1), 64) == []
        assert view.tombstones.forbid(long.line) is forbidden
        assert not view.tombstones.forbid(line)


def test_a_tombstone_outlives_every_line_that_was_believed() -> None:
    """Who has left does not come back by an older line that was signed for longer."""
    alice, bob, carol = swim_of("alice"), swim_of("bob"), swim_of("carol")
    acquaint(alice, bob, carol)
    record = bob.own_record()
    assert record is not None
    # Bob's clock was ahead by ten hours when it signed a lease; it was set right before it left.
    long = signed_line("bob", record.line, valid_until=int(UNIX + START) + 12 * 3_600)
    left = signed_line("bob", record.line, seq=1, state=2)
    for line in (long, left):
        alice.receive(id_of("bob"), datagram([10, line.raw]), now=START + 1)
        work_off(alice, START + 1)
    assert state_of(alice, "bob") == "left"

    later = START + lan().line_validity + lan().clock_tolerance + 130
    while alice.next_deadline() < later:
        alice.receive_deadline(now=alice.next_deadline())
        alice.outputs()
    played_back = datagram(RecordItem(long.raw, record.body_raw, record.chain).wire())
    alice.receive(id_of("carol"), played_back, now=later)
    work_off(alice, later)
    assert state_of(alice, "bob") != "alive"


def test_who_comes_back_and_leaves_again_is_not_brought_back_by_the_first_life() -> None:
    """A line that lasts longer than both farewells stays dead after the second one too."""
    record, tolerance = swim_of("bob").own_record(), lan().clock_tolerance
    assert record is not None
    long = attrs.evolve(record, line=signed_line("bob", record.line, valid_until=int(UNIX) + 9_999))
    view = View(id_of("alice"))
    for seq in (1, 3):
        row = Row(
            record=long if seq == 1 else _says(record, seq - 1, UP),
            state="alive",
            joined_at=START,
            last_seen=START,
        )
        view.add(row)
        view.change(row, record=_says(record, seq, LEFT), state="left")
        view.forget(row)

    for after, forbidden in ((1.0, True), (9_998.0, True), (10_000.0, False)):
        view.expired(UNIX + tolerance + after, tolerance, Random(1), 64)
        assert view.tombstones.forbid(long.line) is forbidden


def _says(record: Record, seq: int, state: int) -> Record:
    line = signed_line("bob", record.line, seq=seq, state=state, valid_until=int(UNIX))
    return attrs.evolve(record, line=line)

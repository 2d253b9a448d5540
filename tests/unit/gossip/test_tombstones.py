"""How long the memory of somebody who has left must last."""

from __future__ import annotations

from meshp2p.config import lan
from meshp2p.gossip.messages import RecordItem
from tests.simulation.swim_world import START, UNIX, swim_of
from tests.unit.gossip.people import acquaint, datagram, id_of, signed_line, state_of, work_off


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

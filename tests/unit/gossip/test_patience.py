"""How long a member is listened to that brings what is worth nothing."""

from __future__ import annotations

from meshp2p.gossip.messages import LineItem, RecordItem, SuspicionItem
from meshp2p.gossip.record import body_hash
from meshp2p.gossip.swim import Swim
from meshp2p.wire import codec
from meshp2p.wire.codec import Value
from tests.simulation.swim_world import START, UNIX, swim_of
from tests.unit.gossip.people import (
    accuse,
    acquaint,
    datagram,
    id_of,
    line_of,
    signed_line,
    state_of,
    work_off,
)

NOW = START + 1.0
MANY = 1_000


def record_of(swim: Swim) -> list[Value]:
    """Its own, as lists show it."""
    (listed,) = swim.records_of([line_of(swim).node_id])
    assert isinstance(listed, list)
    return listed


def brings(alice: Swim, bearer: str, records: list[Value], now: float = NOW) -> None:
    """Somebody lists these, and alice looks at them."""
    alice.merge_untrusted(records, id_of(bearer), now=now)
    work_off(alice, now)


def test_a_list_of_nothing_is_not_read_to_its_end() -> None:
    """Twenty thousand empty records cost some 60; then mallory is not listened to for a while."""
    alice, bob = swim_of("alice"), swim_of("bob")
    brings(alice, "mallory", [[]] * 20_000)
    assert alice.counters["records_malformed"] < 100

    brings(alice, "mallory", [record_of(bob)])
    assert state_of(alice, "bob") is None
    brings(alice, "mallory", [record_of(bob)], NOW + 10.0)
    assert state_of(alice, "bob") == "alive"


def test_claims_that_need_no_signature_to_be_refused_are_charged_too() -> None:
    """A body that is not its line's is found out without a signature check, and counts as one."""
    alice, bob, carol = swim_of("alice"), swim_of("bob"), swim_of("carol")
    torn: Value = [*record_of(bob)[:1], *record_of(carol)[1:]]
    brings(alice, "mallory", [torn] * MANY)

    brings(alice, "mallory", [record_of(bob)])
    assert state_of(alice, "bob") is None
    brings(alice, "dave", [record_of(bob)])
    assert state_of(alice, "bob") == "alive"


def test_who_brings_what_is_only_too_late_goes_on_being_heard() -> None:
    """Its clock may be wrong, or ours: expired lines and old accusations are nobody's lies."""
    alice, bob, carol, dave = (swim_of(name) for name in ("alice", "bob", "carol", "dave"))
    acquaint(alice, bob, carol)
    expired = signed_line("bob", line_of(bob), seq=1, valid_until=int(UNIX))
    for number in range(MANY):
        old = accuse("carol", line_of(bob), unix=int(UNIX) - 10_000 - number)
        for said in (old, datagram(LineItem(expired.raw).wire())):
            alice.receive(id_of("carol"), said, now=NOW)
        work_off(alice, NOW)

    line, body, chain, *_ = record_of(dave)
    assert isinstance(line, bytes)
    assert isinstance(body, bytes)
    assert isinstance(chain, bytes)
    alice.receive(id_of("carol"), datagram(RecordItem(line, body, chain).wire()), now=NOW)
    work_off(alice, NOW)
    assert state_of(alice, "dave") == "alive"


def test_who_passes_on_what_a_later_version_says_goes_on_being_heard() -> None:
    """Lines, bodies and suspicions of another format: no fault of whoever understands them."""
    alice, bob, carol = (swim_of(name) for name in ("alice", "bob", "carol"))
    _, _, chain, *_ = record_of(bob)
    body = codec.pack([2, "a body of a later version", *range(11)])
    names_it = signed_line("bob", line_of(bob), body_hash=body_hash(body)).raw
    later = codec.pack([2, "a line, or a suspicion, of a later version", *range(5)]) + bytes(64)
    brings(alice, "carol", [[later, body, chain], [names_it, body, chain]] * MANY)
    for _ in range(MANY):
        alice.receive(id_of("carol"), datagram(SuspicionItem(later).wire()), now=NOW)
        work_off(alice, NOW)
    assert alice.counters["items_unknown"] == 3 * MANY

    brings(alice, "carol", [record_of(carol)])
    assert state_of(alice, "carol") == "alive"
    assert state_of(alice, "bob") is None

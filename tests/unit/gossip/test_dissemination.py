from __future__ import annotations

from math import ceil, log

import attrs

from meshp2p.gossip.dissemination import Dissemination, Told
from meshp2p.gossip.messages import (
    Datagram,
    LineItem,
    Message,
    RecordItem,
    SuspicionItem,
    decode_untrusted,
)
from meshp2p.gossip.record import Record
from meshp2p.ids import NodeId
from meshp2p.wire import limits
from tests.simulation.swim_world import swim_of
from tests.unit.gossip.people import accusation, signed_line


def record_of(name: str) -> Record:
    """What somebody says of itself."""
    record = swim_of(name).own_record()
    assert record is not None
    return record


def filled(news: Dissemination, members: int = 10, told: Told | None = None) -> list[Message]:
    """What the next datagram would carry."""
    datagram = Datagram()
    news.fill(datagram, members, told)
    return decode_untrusted(datagram.encode())


def test_news_is_sent_a_logarithmic_number_of_times() -> None:
    """Each item leaves ceil(2 ln(n + 1)) times, then no more."""
    for members in (2, 10, 100, 1_000):
        news = Dissemination(2.0)
        news.put_line(record_of("bob"))
        sends = 0
        while filled(news, members):
            sends += 1

        assert sends == ceil(2.0 * log(members + 1))
        assert len(news) == 0


def test_what_hardly_gets_through_is_sent_several_times_as_often() -> None:
    """As its author asks for; what others say of it meanwhile, and later lines, are not."""
    bob = record_of("bob")
    newer = attrs.evolve(bob, line=signed_line("bob", bob.line, seq=1))
    news = Dissemination(2.0)
    once = ceil(2.0 * log(11))
    news.put_line(bob, refutes=True, times=3)
    assert sum(bool(filled(news)) for _ in range(100)) == 3 * once

    news.put_line(bob, refutes=True, times=3)
    news.put_line(newer)
    assert sum(bool(filled(news)) for _ in range(100)) == once


def test_a_refutation_overtakes_suspicions_and_other_news() -> None:
    """Whoever is wrongly suspected is defended first."""
    news = Dissemination(2.0)
    bob, carol, dave = record_of("bob"), record_of("carol"), record_of("dave")
    news.put_line(dave)
    news.put_accusation(accusation("alice", carol.line))
    news.put_line(bob, refutes=True)

    refutation, suspicion, line = filled(news)

    assert refutation == LineItem(bob.line.raw)
    assert isinstance(suspicion, SuspicionItem)
    assert line == LineItem(dave.line.raw)


def test_a_newer_line_silences_what_was_said_of_the_older() -> None:
    """After a refutation nobody goes on spreading the accusation."""
    news = Dissemination(2.0)
    bob = record_of("bob")
    news.put_line(bob)
    news.put_accusation(accusation("alice", bob.line))
    news.put_accusation(accusation("carol", bob.line))
    newer = attrs.evolve(bob, line=signed_line("bob", bob.line, seq=1))
    news.put_line(newer, refutes=True)

    assert filled(news) == [LineItem(newer.line.raw)]


def test_an_accuser_is_quoted_once() -> None:
    """Repeating an accusation does not make it louder."""
    news = Dissemination(2.0)
    bob = record_of("bob").line
    news.put_accusation(accusation("alice", bob))
    repeated = accusation("alice", bob, unix=accusation("alice", bob).unix + 5)
    news.put_accusation(repeated)

    assert filled(news) == [SuspicionItem(repeated.raw)]


def test_a_newcomer_is_introduced_with_its_whole_record() -> None:
    """Where it fits, body and chain travel with the line, so that nobody needs to ask."""
    news = Dissemination(2.0)
    bob = record_of("bob")
    news.put_line(bob, new_body=True)

    assert filled(news) == [RecordItem(bob.line.raw, bob.body_raw, bob.chain)]


def test_one_recipient_gets_each_item_once_in_a_burst() -> None:
    """Several datagrams to one member carry different news."""
    news = Dissemination(2.0)
    for name in ("bob", "carol", "dave"):
        news.put_line(record_of(name), new_body=True)
    told: Told = set()
    first, second, third = (filled(news, told=told) for _ in range(3))

    assert len({str(item) for item in [*first, *second, *third]}) == 3
    assert filled(news, told=told) == []


def test_whatever_waited_longest_leaves_first() -> None:
    """With more news than room, everything gets its turn before anything is repeated."""
    news = Dissemination(2.0)
    names = [f"member-{number}" for number in range(30)]
    lines = [record_of(name).line for name in names]
    for line in lines:
        news.put_accusation(accusation("alice", line))
    seen: list[Message] = []
    while len(seen) < 30:
        seen += filled(news)

    assert len({str(item) for item in seen[:30]}) == 30


def test_news_has_a_limit() -> None:
    """A storm of news forgets the oldest instead of growing."""
    news = Dissemination(2.0)
    bob = record_of("bob")
    for number in range(limits.MAX_NEWS + 10):
        subject = number.to_bytes(16, "big")
        line = attrs.evolve(bob.line, node_id=NodeId(subject))
        news.put_line(attrs.evolve(bob, line=line))

    assert len(news) == limits.MAX_NEWS


def test_a_datagram_never_exceeds_its_room() -> None:
    """Whatever is waiting, a datagram fits one packet, or the room of a tunnel."""
    news = Dissemination(2.0)
    for number in range(30):
        news.put_line(record_of(f"member-{number}"), new_body=number % 2 == 0)
    for room in (limits.MAX_PLAINTEXT, 700, 200, 20):
        datagram = Datagram(room)
        news.fill(datagram, 30)

        assert len(datagram.encode()) <= room


def test_a_crowd_of_accusations_leaves_room_for_newcomers() -> None:
    """Whoever accuses everybody cannot keep new members from being announced."""
    news = Dissemination(2.0)
    for number in range(30):
        news.put_accusation(accusation("alice", record_of(f"member-{number}").line))
    bob = record_of("bob")
    news.put_line(bob)

    assert LineItem(bob.line.raw) in filled(news)


def test_room_that_nobody_needs_is_used() -> None:
    """A share that is kept for others is no waste where they have nothing to say."""
    news, mixed = Dissemination(2.0), Dissemination(2.0)
    for number in range(30):
        for queue in (news, mixed):
            queue.put_accusation(accusation("alice", record_of(f"member-{number}").line))
    for number in range(3):
        mixed.put_line(record_of(f"other-{number}"), new_body=True)

    alone = Datagram()
    news.fill(alone, 10)
    together = Datagram()
    mixed.fill(together, 10)

    assert alone.free < 160
    assert together.free < 160


def test_what_the_recipient_knows_is_not_sent_but_counts() -> None:
    """Lines are no news to a member whose view is ours; an accusation may be."""
    news = Dissemination(2.0)
    bob, carol = record_of("bob"), record_of("carol")
    news.put_line(bob, refutes=True)
    news.put_accusation(accusation("alice", carol.line))
    datagram = Datagram()

    for _ in range(ceil(2.0 * log(11))):
        datagram = Datagram()
        news.fill(datagram, 10, knows_all=True)

        assert decode_untrusted(datagram.encode()) == [
            SuspicionItem(accusation("alice", carol.line).raw)
        ]

    assert len(news) == 0

"""A line that is signed again for longer is no news: who needs it asks for it."""

from __future__ import annotations

from meshp2p.config import lan
from meshp2p.gossip.messages import LineItem, Message, WantItem
from meshp2p.gossip.outputs import SendPlain
from meshp2p.gossip.record import LEFT, VersionLine
from meshp2p.gossip.swim import Swim
from tests.simulation.swim_world import START, UNIX, swim_of
from tests.unit.gossip.people import (
    acquaint,
    datagram,
    events,
    id_of,
    line_of,
    ping,
    said,
    signed_line,
    state_of,
)

VALIDITY = lan().line_validity
LATER = START + 0.7 * VALIDITY
"""By then everybody has renewed, and lines that were not expire soon."""


def circle(*names: str) -> list[Swim]:
    """People who know each other already."""
    people = [swim_of(name) for name in names]
    acquaint(*people)
    return people


def renewed(swim: Swim) -> VersionLine:
    """Let time pass until it renews; nobody answers it meanwhile."""
    before = line_of(swim).valid_until
    while line_of(swim).valid_until == before:
        swim.receive_deadline(now=swim.next_deadline())
        swim.outputs()
    return line_of(swim)


def longer(name: str, like: VersionLine, **changes: int) -> VersionLine:
    """The same version for an hour more."""
    return signed_line(name, like, **{"valid_until": like.valid_until + 3_600, **changes})


def held(swim: Swim, name: str) -> object:
    """The line of somebody that it would pass on."""
    match swim.records_of([id_of(name)]):
        case [[line, *_]]:
            return line
    raise AssertionError(f"no record of {name}")


def hear(swim: Swim, peer: str, line: VersionLine, now: float = START) -> None:
    """Let a peer pass a line on."""
    swim.receive(id_of(peer), datagram(LineItem(line.raw).wire()), now=now)


def test_a_renewal_is_the_same_version_for_longer() -> None:
    """Between 40 and 60 minutes of two hours a line is signed again, and nothing else changes."""
    alice = swim_of("alice")
    first, hash_before = line_of(alice), alice.view_hash()

    again = renewed(alice)

    assert again.version == first.version
    assert VALIDITY / 3 <= again.valid_until - first.valid_until <= VALIDITY / 2 + 1
    assert alice.view_hash() == hash_before


def test_a_longer_lease_is_taken_over_and_told_to_nobody() -> None:
    """It enters neither the view hash nor gossip, nor does the application hear of it."""
    alice, bob, _ = circle("alice", "bob", "carol")
    before = alice.view_hash()

    hear(alice, "carol", longer("bob", line_of(bob)))

    outputs = alice.outputs()
    assert held(alice, "bob") == longer("bob", line_of(bob)).raw
    assert alice.view_hash() == before
    assert events(outputs) == []
    assert not any(isinstance(output, SendPlain) for output in outputs)


def test_a_shorter_lease_changes_nothing() -> None:
    """An older copy of the same version is played back in vain, and costs no signature."""
    alice, bob = circle("alice", "bob")
    hear(alice, "bob", longer("bob", line_of(bob)))

    hear(alice, "bob", line_of(bob))

    assert held(alice, "bob") == longer("bob", line_of(bob)).raw


def test_nobody_else_prolongs_a_lease() -> None:
    """Only the owner's signature keeps a line, or a tombstone, alive."""
    alice, bob, _ = circle("alice", "bob", "carol")
    forged = longer("carol", line_of(bob), valid_until=line_of(bob).valid_until + 60)

    hear(alice, "carol", forged)

    assert held(alice, "bob") == line_of(bob).raw
    assert alice.counters["claims_refused"] == 1


def test_a_lease_for_ever_is_refused() -> None:
    """Not even the owner makes others believe a line for years."""
    alice, bob = circle("alice", "bob")

    hear(alice, "bob", longer("bob", line_of(bob), valid_until=int(UNIX) + 10**8))

    assert held(alice, "bob") == line_of(bob).raw


def test_a_lease_brings_nobody_back() -> None:
    """Who left stays gone, however long its last line is valid."""
    alice, bob = circle("alice", "bob")
    last = signed_line("bob", line_of(bob), seq=1, state=LEFT)
    hear(alice, "bob", last)

    hear(alice, "bob", longer("bob", last))

    assert state_of(alice, "bob") == "left"


def test_a_longer_lease_with_another_body_is_a_clone() -> None:
    """A copied key does not become right by signing for longer."""
    alice, bob = circle("alice", "bob")
    twin = signed_line(
        "bob", line_of(bob), body_hash=bytes(16), valid_until=line_of(bob).valid_until + 60
    )

    hear(alice, "bob", twin)

    assert held(alice, "bob") == line_of(bob).raw
    assert any("cloned" in text for text in events(alice.outputs()))


def test_ones_own_older_lease_is_no_clone() -> None:
    """Whoever shows us our own line of an hour ago gets no new version of it."""
    (alice,) = circle("alice")
    old = line_of(alice)
    again = renewed(alice)
    now = alice.next_deadline() - 1.0

    hear(alice, "bob", old, now)

    assert line_of(alice) == again


def test_a_renewed_line_rides_on_one_ack_to_each_member() -> None:
    """Members learn it when they probe, each once, at the price of one line."""
    alice, *_ = circle("alice", "bob", "carol")
    assert LineItem(line_of(alice).raw) not in answer_to("bob", alice)
    alice.receive_wall_clock(UNIX + LATER, now=START)

    for name in ("bob", "carol"):
        assert LineItem(line_of(alice).raw) in answer_to(name, alice)
        assert LineItem(line_of(alice).raw) not in answer_to(name, alice)


def test_whoever_renews_tells_nobody_unasked() -> None:
    """A thousand members that renew within the hour do not fill each other's packets."""
    alice, *_ = circle("alice", "bob", "carol")
    alice.receive_wall_clock(UNIX + LATER, now=START)
    told: list[Message] = []
    while (now := alice.next_deadline()) < START + 2.0:
        alice.receive_deadline(now=now)
        outputs = alice.outputs()
        told += said(outputs, "bob") + said(outputs, "carol")

    assert told != []
    assert LineItem(line_of(alice).raw) not in told


def answer_to(name: str, alice: Swim) -> list[Message]:
    """What somebody hears that asks whether alice is there; she has no news."""
    alice.outputs()
    alice.receive(id_of(name), ping(view_hash=alice.view_hash()), now=START)
    return said(alice.outputs(), name)


def test_whoever_has_a_longer_lease_gives_it_to_whoever_asks() -> None:
    """Leases are pulled: eight bytes for each member whose line expires soon."""
    alice, bob, carol = circle("alice", "bob", "carol")
    fresh = signed_line("bob", line_of(bob), valid_until=int(UNIX + LATER + VALIDITY))
    alice.receive_wall_clock(UNIX + LATER, now=LATER)
    hear(alice, "bob", fresh, LATER)
    alice.outputs()
    wish = WantItem(leases=id_of("bob")[:8] + id_of("carol")[:8])

    alice.receive(id_of("carol"), datagram(wish.wire()), now=LATER)

    told = [item for item in said(alice.outputs(), "carol") if isinstance(item, LineItem)]
    assert LineItem(fresh.raw) in told
    assert LineItem(line_of(carol).raw) not in told  # it expires as soon as the asker's copy


def test_a_clock_put_back_makes_a_new_version() -> None:
    """A line that would be valid for too long cannot be shortened but by a newer one."""
    alice = swim_of("alice", unix=UNIX + START + 86_400)
    ahead = line_of(alice)

    alice.receive_wall_clock(UNIX + START, now=START)

    assert line_of(alice).valid_until < ahead.valid_until
    assert line_of(alice).version > ahead.version

"""Why a member came or came back, in the words that its event brings."""

from __future__ import annotations

import pytest

from meshp2p.events import MemberEvent
from meshp2p.gossip.messages import LineItem, RecordItem, SuspicionItem
from meshp2p.gossip.outputs import Output, Tell
from meshp2p.gossip.record import LEFT
from meshp2p.gossip.swim import Swim
from tests.simulation.swim_world import START, UNIX, SwimWorld, swim_of
from tests.unit.gossip.people import (
    accusation,
    acquaint,
    datagram,
    id_of,
    line_of,
    signed_line,
    work_off,
)


def told(outputs: list[Output]) -> list[tuple[str, str, str]]:
    """Of whom, what, and why."""
    events = [output.event for output in outputs if isinstance(output, Tell)]
    return [
        (event.member.handle, event.name, event.reason)
        for event in events
        if isinstance(event, MemberEvent)
    ]


def whole(swim: Swim) -> bytes:
    """A datagram that brings its record."""
    record = swim.own_record()
    assert record is not None
    return datagram(RecordItem(record.line.raw, record.body_raw, record.chain).wire())


def bury_bob(alice: Swim) -> float:
    """Let alice take bob for dead; return when."""
    now = START
    said = accusation("carol", line_of(swim_of("bob")))
    alice.receive(id_of("carol"), datagram(SuspicionItem(said.raw).wire()), now=now)
    while alice.member(id_of("bob")).state != "dead":  # type: ignore[union-attr]  # she knows him
        now = max(now, alice.next_deadline())
        alice.receive_deadline(now=now)
    alice.outputs()
    return now


def test_whoever_comes_by_itself_has_introduced_itself() -> None:
    """Nobody told of it."""
    alice = swim_of("alice")
    alice.receive(id_of("bob"), whole(swim_of("bob")), now=START)
    work_off(alice, START)
    assert told(alice.outputs()) == [("bob", "member.joined", "it introduced itself")]


def test_of_whom_others_tell_it_is_said_who_told() -> None:
    """So that one can ask where somebody comes from."""
    alice = swim_of("alice")
    acquaint(alice, swim_of("carol"))
    alice.receive(id_of("carol"), whole(swim_of("bob")), now=START)
    work_off(alice, START)
    assert told(alice.outputs()) == [("bob", "member.joined", "carol told of it")]


def test_whom_a_newcomer_finds_in_its_first_list_was_there_already() -> None:
    """Perhaps for long, and the words say so."""
    alice, bob, carol = swim_of("alice"), swim_of("bob"), swim_of("carol")
    acquaint(bob, carol)
    alice.merge_untrusted(bob.sync_payload(), id_of("bob"), now=START)
    work_off(alice, START)
    assert sorted(told(alice.outputs())) == [
        ("bob", "member.joined", "it introduced itself"),
        ("carol", "member.joined", "bob has it on its list"),
    ]


def test_a_member_that_was_started_again_has_restarted() -> None:
    """Whether it was dead or had left."""
    alice = swim_of("alice")
    acquaint(alice, swim_of("bob"), swim_of("carol"))
    now = bury_bob(alice)
    again = swim_of("bob", run=1, now=now + 1)
    alice.receive(id_of("bob"), whole(again), now=now + 1)
    farewell = signed_line("bob", line_of(again), seq=1, state=LEFT)
    alice.receive(id_of("bob"), datagram(LineItem(farewell.raw).wire()), now=now + 2)
    alice.receive(id_of("bob"), whole(swim_of("bob", run=2, now=now + 3)), now=now + 3)
    work_off(alice, now + 3)
    assert [event for event in told(alice.outputs()) if event[0] == "bob"] == [
        ("bob", "member.returned", "it restarted"),
        ("bob", "member.left", ""),
        ("bob", "member.returned", "it restarted"),
    ]


def test_of_whom_a_pull_brings_others_have_told() -> None:
    """Once this node knows its mesh, it is no list that it was given."""
    alice, bob, carol = swim_of("alice"), swim_of("bob"), swim_of("carol")
    acquaint(alice, carol)
    alice.synced_with(id_of("carol"), now=START)
    alice.merge_untrusted(bob.sync_payload(), id_of("carol"), now=START)
    work_off(alice, START)
    assert told(alice.outputs()) == [("bob", "member.joined", "carol told of it")]


@pytest.mark.parametrize(
    ("run", "reason"), [(0, "it was there: it can be reached again"), (1, "it restarted")]
)
def test_whoever_returns_after_its_record_has_expired_is_known_again(run: int, reason: str) -> None:
    """Dead for hours, forgotten but for being looked for."""
    alice, bob = swim_of("alice"), swim_of("bob")
    acquaint(alice, bob, swim_of("carol"))
    now = bury_bob(alice) + 9_000.0
    alice.receive_wall_clock(UNIX + now, now=now)
    end = now + 120.0
    while alice.member(id_of("bob")) is not None and now < end:
        now = max(now, alice.next_deadline())
        alice.receive_deadline(now=now)
    alice.outputs()
    if run:
        bob = swim_of("bob", run=run, now=now)
    else:
        bob.receive_wall_clock(UNIX + now, now=now)
    alice.receive(id_of("bob"), whole(bob), now=now)
    work_off(alice, now)
    assert ("bob", "member.returned", reason) in told(alice.outputs())


def test_a_member_that_was_there_all_the_time_can_be_reached_again() -> None:
    """The same process: it was a broken path, or a mistake."""
    alice, bob = swim_of("alice"), swim_of("bob")
    acquaint(alice, bob, swim_of("carol"))
    now = bury_bob(alice)
    newer = signed_line("bob", line_of(bob), seq=1)
    alice.receive(id_of("bob"), datagram(LineItem(newer.raw).wire()), now=now + 1)
    assert told(alice.outputs()) == [
        ("bob", "member.returned", "it was there: it can be reached again")
    ]


def test_after_a_partition_all_are_told_that_it_is_over() -> None:
    """Nobody has restarted."""
    world = SwimWorld(3)
    alice, bob, carol = world.join("alice", "bob", "carol")
    world.part([alice], [bob, carol])
    world.run_until(lambda: alice.sees(bob) == bob.sees(alice) == "dead")
    world.heal()
    world.run_until(lambda: world.agrees([alice, bob, carol]), at_most=200.0)
    reasons = {
        event.reason
        for person in (alice, bob, carol)
        for event in person.events
        if event.name == "member.returned"
    }
    assert reasons == {"it was there: it can be reached again"}

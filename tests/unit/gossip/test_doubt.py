"""A node doubts itself, and the word of others, before it believes that somebody is dead."""

from __future__ import annotations

from math import ceil, inf, log

import attrs
import pytest

from meshp2p.config import Config, lan
from meshp2p.gossip.messages import MAX_TUNNELLED, LineItem, Nack, Ping, SuspicionItem
from meshp2p.gossip.outputs import AskByStream, IndirectProbe, Output
from meshp2p.gossip.swim import Swim
from meshp2p.ids import NodeId
from meshp2p.wire import limits
from tests.simulation.swim_world import START, UNIX, swim_of
from tests.unit.gossip.people import (
    accuse,
    ack,
    acquaint,
    datagram,
    events,
    id_of,
    line_of,
    said,
    state_of,
)
from tests.unit.gossip.test_swim import SILENT, first_probe, pinged, run_to

LAN = lan()
PLAIN = attrs.evolve(LAN, lifeguard=False)


def circle(*names: str, config: Config = LAN) -> list[Swim]:
    """People who know each other already."""
    people = [swim_of(name, config=config) for name in names]
    acquaint(*people)
    return people


def crowd(config: Config = LAN) -> list[Swim]:
    """Alice, bob, and enough others to help."""
    return circle("alice", "bob", "carol", "dave", "erin", config=config)


NAMES = ("alice", "bob", "carol", "dave", "erin")


def name_of(target: NodeId) -> str:
    """Who that is."""
    return next(name for name in NAMES if id_of(name) == target)


def asked_by_stream(outputs: list[Output]) -> list[tuple[NodeId, bool, bool]]:
    """Who was asked by stream; whether it heard of an accusation; whether to connect for it."""
    return [
        (output.target, bool(output.accusation), output.dial)
        for output in outputs
        if isinstance(output, AskByStream)
    ]


def gap_between_probes(alice: Swim, after: float) -> float:
    """Seconds from one tick to the next; nobody answers meanwhile."""
    first, _, seq = first_probe(alice, after)
    answer(alice, seq, first + 0.001)
    second, *_ = next_probe(alice, first)
    return second - first


def next_probe(alice: Swim, after: float) -> tuple[float, NodeId, int]:
    """The next question to somebody: when, to whom, and its number."""
    while (due := alice.next_deadline()) < inf:
        alice.receive_deadline(now=due)
        for target, seq in pinged(alice.outputs()):
            if due > after:
                return due, target, seq
    raise AssertionError("nobody was probed")


def answer(alice: Swim, seq: int, now: float) -> None:
    """Whoever was asked this says that it is there."""
    for name in NAMES[1:]:
        alice.receive(id_of(name), ack(seq, alice.view_hash()), now=now)
    alice.outputs()


# --- its own health ------------------------------------------------------------


def test_who_gets_no_answers_slows_down() -> None:
    """Perhaps it is this node that cannot hear: it asks less often, and waits longer."""
    alice, *_ = crowd()
    assert gap_between_probes(alice, START) == pytest.approx(LAN.probe_interval)

    run_to(alice, START + 4.0)

    assert alice.slowness > 2
    at, *_ = next_probe(alice, START + 4.0)
    run_to(alice, at)
    assert next_probe(alice, at)[0] - at > LAN.probe_interval


def test_plain_swim_does_not_slow_down() -> None:
    """As published: for comparison."""
    alice, *_ = circle("alice", "bob", "carol", config=PLAIN)
    run_to(alice, START + 1.9)
    assert gap_between_probes(alice, START + 1.9) == pytest.approx(LAN.probe_interval)


def test_helpers_that_heard_nothing_either_speak_for_this_node() -> None:
    """They hear us and we hear them, so it is not us who is unwell."""

    def slowness(*, nacks: bool) -> float:
        alice, *_ = crowd()
        at, target, _ = first_probe(alice)
        outputs = run_to(alice, at + LAN.ack_timeout + 0.001)
        (indirect,) = [one for one in outputs if isinstance(one, IndirectProbe)]
        assert len(indirect.helpers) == 3
        for helper in indirect.helpers if nacks else ():
            alice.receive(helper, datagram(Nack(target).wire()), now=at + 0.9)
        run_to(alice, at + SILENT + 0.001)
        return alice.slowness

    assert slowness(nacks=False) == 2
    assert slowness(nacks=True) == 1


def test_a_nack_of_somebody_who_was_not_asked_counts_for_nothing() -> None:
    """A member cannot make another feel well by repeating itself either."""
    alice, *_ = crowd()
    at, target, _ = first_probe(alice)
    outputs = run_to(alice, at + LAN.ack_timeout + 0.001)
    (indirect,) = [one for one in outputs if isinstance(one, IndirectProbe)]
    for _ in range(5):
        alice.receive(target, datagram(Nack(target).wire()), now=at + 0.9)
        alice.receive(indirect.helpers[0], datagram(Nack(target).wire()), now=at + 0.9)
    run_to(alice, at + SILENT + 0.001)

    assert alice.slowness == 2


def test_who_has_to_refute_a_suspicion_doubts_itself() -> None:
    """Somebody could not reach it: it may be late in answering."""
    _, bob = circle("alice", "bob")
    bob.receive(id_of("alice"), accuse("alice", line_of(bob)), now=START)
    run_to(bob, START + 0.5)

    assert bob.slowness == 2


def test_a_stall_of_its_own_makes_it_doubt_itself() -> None:
    """A deadline noticed long after it had passed is the surest sign of all."""
    alice, *_ = crowd()
    at, *_ = first_probe(alice)
    alice.receive_deadline(now=at + 5.0)

    assert alice.slowness == 2


def test_answers_make_it_well_again() -> None:
    """About one answer for each sign of trouble."""
    alice, *_ = crowd()
    after = START + 4.0
    run_to(alice, after)
    ill = alice.slowness
    for _ in range(2 * ill):
        after, _, seq = next_probe(alice, after)
        answer(alice, seq, after + 0.001)

    assert ill > 2
    assert alice.slowness == 1


def test_who_is_unwell_repeats_what_refutes_a_suspicion() -> None:
    """Most of what it says may be lost: it says so as many times more often as it is slow."""

    def said_so(ill_for: float) -> tuple[float, int]:
        """How slow bob is when he hears that he is suspected, and how often he objects."""
        bob, *_ = circle("bob", "alice", "carol", "dave", "erin")
        now = START + ill_for
        run_to(bob, now)
        slow = bob.slowness
        bob.receive(id_of("alice"), accuse("alice", line_of(bob), unix=int(UNIX + now)), now=now)
        outputs = run_to(bob, now + 6.0)
        objection = LineItem(line_of(bob).raw)
        return slow, sum(said(outputs, name).count(objection) for name in NAMES)

    (well, seldom), (ill, often) = said_so(0.0), said_so(6.0)

    once = ceil(LAN.retransmit_multiplier * log(5 + 1))
    directly = 1
    assert well == 1
    assert seldom == (well + 1) * once + directly
    assert ill >= 3
    assert often == (ill + 1) * once + directly


# --- how long it waits ---------------------------------------------------------------


def first_help(alice: Swim, at: float) -> float:
    """When helpers are asked."""
    while (due := alice.next_deadline()) <= at + 2 * LAN.ack_timeout:
        alice.receive_deadline(now=due)
        if any(isinstance(one, IndirectProbe) for one in alice.outputs()):
            return due
    raise AssertionError("nobody was asked to help")


def test_a_member_that_answers_quickly_is_not_waited_for_long() -> None:
    """Half a second is for those of whom nothing is known."""
    alice, *_ = circle("alice", "bob", "carol")
    after = START
    for _ in range(12):
        after, _, seq = next_probe(alice, after)
        answer(alice, seq, after + 0.002)
    at, *_ = next_probe(alice, after)

    assert first_help(alice, at) == pytest.approx(at + LAN.ack_timeout_min)


def test_a_member_that_answers_slowly_is_waited_for() -> None:
    """Its usual round trip and four times its deviation (RFC 6298)."""
    alice, *_ = circle("alice", "bob", "carol")
    after = START
    for _ in range(40):
        after, _, seq = next_probe(alice, after)
        answer(alice, seq, after + 0.2)
    at, *_ = next_probe(alice, after)

    assert at + 0.2 < first_help(alice, at) < at + 0.3


def test_a_missed_answer_makes_it_more_patient() -> None:
    """A network that has become slower must not look dead for ever (RFC 6298, 5.5)."""
    alice, *_ = circle("alice", "bob", "carol")
    after = START
    for _ in range(12):
        after, _, seq = next_probe(alice, after)
        answer(alice, seq, after + 0.03)
    waits = []
    for _ in range(8):
        at, target, _ = next_probe(alice, after)
        waits.append(first_help(alice, at) - at)
        run_to(alice, at + LAN.ack_timeout)
        alice.evidence(target, "traffic", now=at + LAN.ack_timeout)
        after = at
    assert waits[0] == pytest.approx(LAN.ack_timeout_min)
    assert waits[-1] > 1.5 * waits[0]
    assert waits == sorted(waits)


# --- by stream ----------------------------------------------------------------------


def test_a_connection_that_stands_is_asked_as_well() -> None:
    """Where datagrams are lost, TCP may get through; nobody dials for a single lost packet."""
    alice, *_ = circle("alice", "bob")
    at, target, _ = first_probe(alice)

    assert asked_by_stream(run_to(alice, at + LAN.ack_timeout + 0.001)) == [(target, False, False)]


def test_a_suspect_is_told_by_stream_and_may_object() -> None:
    """It hears of the accusation where its datagrams are blocked."""
    alice, *_ = circle("alice", "bob")
    at, target, _ = first_probe(alice)
    outputs = run_to(alice, at + SILENT + 0.001)

    assert asked_by_stream(outputs)[-1] == (target, True, True)


def test_whoever_answers_by_stream_is_there() -> None:
    """Its line comes along, so a refutation spreads from here."""
    alice, bob = circle("alice", "bob")
    at, *_ = first_probe(alice)
    end = at + SILENT + 0.001
    outputs = run_to(alice, end)
    (told,) = {one for one in outputs if isinstance(one, AskByStream) and one.accusation}
    assert state_of(alice, "bob") == "suspect"

    bob.asked_by_stream(id_of("alice"), told.accusation, now=end)
    run_to(bob, end + 0.3)  # it signs a newer line
    line = bob.asked_by_stream(id_of("alice"), b"", now=end + 0.3)
    alice.answered_by_stream(id_of("bob"), line, now=end + 0.3)

    assert state_of(alice, "bob") == "alive"
    assert alice.slowness < 4
    assert line_of(bob).version > line_of(swim_of("bob")).version


def test_who_is_known_to_answer_by_stream_only_is_dialled_at_once() -> None:
    """Otherwise it would be suspected at every probe, and refute each time."""
    alice, bob = circle("alice", "bob")
    at, *_ = first_probe(alice)
    run_to(alice, at + SILENT + 0.001)
    line = bob.asked_by_stream(id_of("alice"), b"", now=at + SILENT + 0.1)
    alice.answered_by_stream(id_of("bob"), line, now=at + SILENT + 0.1)
    alice.outputs()

    again, target, _ = next_probe(alice, at + SILENT + 0.1)
    outputs = run_to(alice, again + alice.slowness * LAN.ack_timeout + 0.001)

    assert asked_by_stream(outputs) == [(target, False, True)]


@pytest.mark.parametrize("relayed", [True, False])
def test_an_answer_that_others_brought_does_not_make_it_reachable(
    relayed: bool,  # noqa: FBT001  # a case
) -> None:
    """It is there; but whoever is to be asked without help must be dialled as before."""
    alice, bob = circle("alice", "bob", "carol")[:2]
    alice.answered_by_stream(id_of("bob"), line_of(bob).raw, now=START)
    now, seq = START, None
    while seq is None:
        now = alice.next_deadline()
        alice.receive_deadline(now=now)
        asked = [item for item in said(alice.outputs(), "bob") if isinstance(item, Ping)]
        seq = asked[0].seq if asked else None
    room = MAX_TUNNELLED if relayed else limits.MAX_PLAINTEXT
    alice.receive(id_of("bob"), ack(seq), now=now + 0.01, room=room)
    assert state_of(alice, "bob") == "alive"
    member = alice.member(id_of("bob"))
    assert member is not None
    assert (member.rtt is None) == relayed

    outputs: list[Output] = []
    while not (dials := [dial for to, _, dial in asked_by_stream(outputs) if to == id_of("bob")]):
        now = alice.next_deadline()
        alice.receive_deadline(now=now)
        outputs += alice.outputs()
    assert dials[0] == relayed


def test_an_answer_by_stream_of_a_stranger_means_nothing() -> None:
    """A line that is not the peer's own, of somebody unknown: pulled, not believed."""
    alice = swim_of("alice")
    mallory = swim_of("mallory")
    alice.answered_by_stream(id_of("mallory"), line_of(mallory).raw, now=START)

    assert alice.member(id_of("mallory")) is None


# --- the last question ----------------------------------------------------------------


def confirmed(alice: Swim, now: float) -> float:
    """Let four others accuse bob; return when his time is over."""
    for accuser in ("carol", "dave", "erin", "frank"):
        said_so = accuse(accuser, line_of(swim_of("bob")), unix=int(UNIX + now))
        alice.receive(id_of(accuser), said_so, now=now)
    assert state_of(alice, "bob") == "suspect"
    shortest = LAN.suspicion_min_multiplier * LAN.probe_interval
    return now + shortest


def test_nobody_is_buried_on_the_word_of_others_alone() -> None:
    """Before his time is over alice asks bob herself; his answer to her keeps him alive."""
    alice, *_ = circle("alice", "bob", "carol", "dave", "erin", "frank")
    end = confirmed(alice, START)
    asked: dict[int, float] = {}
    while (due := alice.next_deadline()) < end + 3.0:
        alice.receive_deadline(now=due)
        for target, seq in pinged(alice.outputs()):
            if target == id_of("bob"):
                asked[seq] = due
                alice.receive(id_of("bob"), ack(seq, alice.view_hash()), now=due + 0.001)
            else:
                answer(alice, seq, due + 0.001)

    assert any(at <= end for at in asked.values())
    assert state_of(alice, "bob") == "alive"


def test_who_is_silent_for_this_node_too_is_buried_in_time() -> None:
    """The last question is asked early enough to cost no time."""
    alice, *_ = circle("alice", "bob", "carol", "dave", "erin", "frank")
    end = confirmed(alice, START)
    while (due := alice.next_deadline()) < end + 0.01:
        alice.receive_deadline(now=due)
        for target, seq in pinged(alice.outputs()):
            if target != id_of("bob"):
                answer(alice, seq, due + 0.001)

    assert state_of(alice, "bob") == "dead"


def test_plain_swim_believes_the_others() -> None:
    """As published: whoever does not refute in time is dead."""
    alice, *_ = circle("alice", "bob", "carol", "dave", "erin", "frank", config=PLAIN)
    end = confirmed(alice, START)
    outputs: list[Output] = []
    while (due := alice.next_deadline()) < end + 0.01:
        alice.receive_deadline(now=due)
        new = alice.outputs()
        outputs += new
        for target, seq in pinged(new):
            if target != id_of("bob"):
                answer(alice, seq, due + 0.001)

    assert state_of(alice, "bob") == "dead"
    assert not asked_by_stream(outputs)


# --- who cried wolf --------------------------------------------------------------------


def test_a_serial_false_accuser_makes_others_look_and_no_more() -> None:
    """One sick member cannot keep the others suspected for ever."""
    alice, bob, *_ = crowd()
    now = START
    suspected = 0
    for _ in range(12):
        now += 1.0
        said_so = accuse("carol", line_of(bob), unix=int(UNIX + now))
        alice.receive(id_of("carol"), said_so, now=now)
        suspected += events(alice.outputs()).count("member.suspected")
        bob.receive(id_of("carol"), said_so, now=now)
        run_to(bob, now + 0.3)
        alice.receive(id_of("bob"), datagram(LineItem(line_of(bob).raw).wire()), now=now + 0.3)
        alice.outputs()

    assert 3 < suspected < 8
    assert alice.counters["accusers_distrusted"] >= 4


def test_it_may_be_right_for_once() -> None:
    """Whom a bad accuser names is asked, and accused by this node itself if it is silent."""
    alice, bob, *_ = crowd()
    now = START
    for _ in range(12):
        now += 1.0
        said_so = accuse("carol", line_of(bob), unix=int(UNIX + now))
        alice.receive(id_of("carol"), said_so, now=now)
        bob.receive(id_of("carol"), said_so, now=now)
        run_to(bob, now + 0.3)
        alice.receive(id_of("bob"), datagram(LineItem(line_of(bob).raw).wire()), now=now + 0.3)
        alice.outputs()
    alice.receive(id_of("carol"), accuse("carol", line_of(bob), unix=int(UNIX + now + 1)), now=now)
    assert state_of(alice, "bob") == "alive"
    outputs = run_to(alice, now + 20.0)

    assert "member.suspected" in events(outputs)
    (first, *_) = [item for item in said(outputs, "bob") if isinstance(item, SuspicionItem)]
    assert first.accusation

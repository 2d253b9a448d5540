"""Whose clock is wrong: found out by question and answer, told once, decided by nobody alone."""

from __future__ import annotations

from math import inf

import attrs
import pytest

from meshp2p.config import Config, lan, wan
from meshp2p.events import ClockSkew
from meshp2p.gossip.messages import Ack, Ping, decode_untrusted
from meshp2p.gossip.outputs import Output, SendPlain, Tell
from meshp2p.gossip.swim import Swim
from tests.simulation.swim_world import START, UNIX, identity_of, swim_of
from tests.unit.gossip.people import acquaint, datagram, id_of

ROUND_TRIP = 0.02


@attrs.define
class Mesh:
    """Alice, whose machine is real, and others who answer her with clocks of their own.

    Args:
        wrong: By how much each one's clock is ahead; None for one that tells nothing.
        own: By how much alice's is ahead.
    """

    wrong: dict[str, float | None]
    own: float = 0.0
    round_trip: float = ROUND_TRIP
    config: Config = attrs.field(factory=lan)
    alice: Swim = attrs.field(init=False)
    now: float = START
    told: list[ClockSkew] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.alice = swim_of("alice", config=self.config, unix=self._unix_of_alice())
        acquaint(self.alice, *(swim_of(name) for name in self.wrong))

    def _unix_of_alice(self) -> float:
        return UNIX + self.now + self.own

    def look(self) -> None:
        """Alice looks at her clock, as her driver does now and then."""
        self.alice.receive_wall_clock(self._unix_of_alice(), now=self.now)
        self._perform(self.alice.outputs())

    def run_for(self, seconds: float) -> None:
        """Everybody answers every question, and alice looks at her clock every ten seconds."""
        end, looks_at = self.now + seconds, self.now
        while (due := self.alice.next_deadline()) <= end:
            if looks_at <= due:
                self.now, looks_at = max(looks_at, self.now), looks_at + 10.0
                self.look()
            self.now = max(self.now, due)
            self.alice.receive_deadline(now=self.now)
            self._perform(self.alice.outputs())

    def _perform(self, outputs: list[Output]) -> None:
        for output in outputs:
            if isinstance(output, Tell) and isinstance(output.event, ClockSkew):
                self.told.append(output.event)
            elif isinstance(output, SendPlain):
                for item in decode_untrusted(output.plaintext):
                    if isinstance(item, Ping):
                        self._answer(output.to, item.seq)

    def _answer(self, to: bytes, seq: int) -> None:
        """The question takes half of the round trip, and so does the answer."""
        name = next(name for name in self.wrong if id_of(name) == to)
        wrong = self.wrong[name]
        clock = None if wrong is None else int(UNIX + self.now + self.round_trip / 2 + wrong)
        self.now += self.round_trip
        hash_now = self.alice.view_hash()
        answer = datagram(Ack(seq, hash_now, 0, clock).wire())
        self.alice.receive(id_of(name), answer, now=self.now)
        self._perform(self.alice.outputs())

    def of(self, name: str) -> list[ClockSkew]:
        """What alice told of somebody's clock."""
        return [event for event in self.told if event.member.handle == name]

    def clues(self, name: str) -> list[str]:
        """What she keeps of somebody's clock."""
        why = self.alice.why(id_of(name), now=self.now)
        assert why is not None
        return [clue.text for clue in why.clues if clue.kind == "clock"]


def test_an_answer_says_what_its_senders_clock_shows() -> None:
    """In whole seconds, at the end of the ack, where older nodes do not look."""
    alice, bob = swim_of("alice", unix=UNIX + START + 7.9), swim_of("bob")
    acquaint(alice, bob)
    alice.receive(id_of("bob"), datagram(Ping(5, bob.view_hash()).wire()), now=START)

    (ack,) = [
        item
        for output in alice.outputs()
        if isinstance(output, SendPlain)
        for item in decode_untrusted(output.plaintext)
    ]

    assert ack == Ack(5, alice.view_hash(), 0, int(UNIX + START) + 7)
    assert ack.wire()[4:] == [int(UNIX + START) + 7]


@pytest.mark.parametrize("wrong", [45.0, -45.0, 3_600.0, -3_600.0])
def test_a_clock_that_is_wrong_is_told_of_once(wrong: float) -> None:
    """By how much, and how sure that is; also to whoever asks why."""
    mesh = Mesh({"bob": 0.0, "carol": wrong, "dave": 0.0})
    mesh.run_for(120.0)

    (event,) = mesh.told
    assert (event.member.handle, event.is_own, event.judged_by) == ("carol", False, 3)
    assert event.seconds == pytest.approx(wrong, abs=event.uncertainty)
    assert event.uncertainty == pytest.approx(ROUND_TRIP / 2 + 0.5)
    assert len(mesh.clues("carol")) == 1
    assert ("ahead" if wrong > 0 else "behind") in mesh.clues("carol")[0]
    assert (mesh.alice.clocks_off, mesh.alice.counters["clock_skews"]) == (1, 1)


@pytest.mark.parametrize("wrong", [0.0, 28.0, -28.0])
def test_a_clock_within_the_limit_is_not_told_of(wrong: float) -> None:
    """Half a minute does no harm: credentials and leases forgive five."""
    mesh = Mesh({"bob": 0.0, "carol": wrong, "dave": 0.0})
    mesh.run_for(120.0)
    assert mesh.told == []
    assert mesh.alice.clocks_off == 0


def test_a_slow_answer_proves_little() -> None:
    """The clock may have been read at any moment of the round trip."""
    mesh = Mesh({"bob": 0.0, "carol": 32.0, "dave": 0.0}, round_trip=6.0)
    mesh.run_for(300.0)
    assert mesh.told == []


def test_the_clock_is_taken_to_be_read_half_way() -> None:
    """A link that is slow both ways makes the difference less sure, and no greater."""
    mesh = Mesh({"bob": 0.0, "carol": 60.0, "dave": 0.0}, round_trip=4.0)
    mesh.run_for(300.0)
    (event,) = mesh.told
    assert event.seconds == pytest.approx(60.0, abs=0.6)
    assert event.uncertainty == pytest.approx(2.5)


def test_a_clock_that_was_set_and_goes_wrong_again_is_told_of_again() -> None:
    """One event for each time."""
    mesh = Mesh({"bob": 0.0, "carol": 100.0, "dave": 0.0})
    mesh.run_for(60.0)
    mesh.wrong["carol"] = 0.0
    mesh.run_for(60.0)
    assert mesh.alice.clocks_off == 0
    assert "right again" in mesh.clues("carol")[-1]
    mesh.wrong["carol"] = -100.0
    mesh.run_for(60.0)
    assert [round(event.seconds / 10) * 10 for event in mesh.told] == [100, -100]


def test_a_clock_about_the_limit_is_not_told_of_time_and_again() -> None:
    """It has to come well within it before it counts as right."""
    mesh = Mesh({"bob": 0.0, "carol": 33.0, "dave": 0.0})
    mesh.run_for(60.0)
    for _ in range(5):
        mesh.wrong["carol"] = 28.0
        mesh.run_for(30.0)
        mesh.wrong["carol"] = 33.0
        mesh.run_for(30.0)
    assert len(mesh.told) == 1


def test_whoever_woke_up_has_the_time_to_look_at_its_clock() -> None:
    """After a sleep a process looks at the clock within ten seconds; until then it errs."""
    mesh = Mesh({"bob": 0.0, "carol": 0.0, "dave": 0.0})
    mesh.run_for(60.0)
    mesh.wrong["carol"] = -3_600.0
    mesh.run_for(9.0)
    mesh.wrong["carol"] = 0.0
    mesh.run_for(60.0)
    assert mesh.told == []


def test_if_most_say_that_it_is_ours_it_is_ours() -> None:
    """Nobody else is blamed; and it is over when the clock was set."""
    mesh = Mesh({"bob": 0.0, "carol": 0.0, "dave": 0.0, "erin": 0.0}, own=-90.0)
    mesh.run_for(120.0)

    (event,) = mesh.told
    assert (event.member.handle, event.is_own, event.judged_by) == ("alice", True, 4)
    assert event.seconds == pytest.approx(-90.0, abs=event.uncertainty)
    assert "behind" in mesh.clues("alice")[0]
    assert mesh.alice.clocks_off == 1

    mesh.own = 0.0
    mesh.run_for(120.0)
    assert len(mesh.told) == 1
    assert mesh.alice.clocks_off == 0


def test_whose_clock_is_wrong_too_is_told_of_by_the_time_of_most() -> None:
    """Ours and bob's are wrong by the same: they agree, and both are wrong."""
    right = dict.fromkeys(("carol", "dave", "erin"), 0.0)
    mesh = Mesh({"bob": 90.0, **right}, own=90.0)
    mesh.run_for(180.0)
    told = sorted((event.member.handle, event.is_own) for event in mesh.told)
    assert told == [("alice", True), ("bob", False)]
    assert [event.seconds for event in mesh.told] == pytest.approx([90, 90], abs=1)


def test_one_liar_makes_nobody_doubt_itself_or_others() -> None:
    """Whatever she says, it only ever tells of her."""
    mesh = Mesh({"bob": 0.0, "carol": 0.0, "mallory": 1e6})
    for lie in (1e6, -1e6, 40.0, -40.0, -UNIX, 1e15):
        mesh.wrong["mallory"] = lie
        mesh.run_for(60.0)
    assert {event.member.handle for event in mesh.told} == {"mallory"}


@pytest.mark.parametrize("others", [1, 2])
def test_of_few_members_nobody_can_say_whose_clock_it_is(others: int) -> None:
    """The difference is told; `judged_by` says that it may as well be ours."""
    names = ("bob", "carol")[:others]
    mesh = Mesh(dict.fromkeys(names, 0.0), own=100.0)
    mesh.run_for(120.0)
    assert {event.member.handle for event in mesh.told} == set(names)
    assert {(event.is_own, event.judged_by) for event in mesh.told} == {(False, others)}
    assert all(event.seconds == pytest.approx(-100, abs=1) for event in mesh.told)


def test_half_of_the_members_are_not_most() -> None:
    """Two against two: ours is as likely to be right."""
    mesh = Mesh({"bob": 0.0, "carol": 0.0, "dave": 100.0, "erin": 100.0})
    mesh.run_for(180.0)
    assert {event.member.handle for event in mesh.told} == {"dave", "erin"}


def test_nodes_of_an_older_version_tell_nothing() -> None:
    """Their acks are as good as ever."""
    mesh = Mesh({"bob": None, "carol": None, "dave": 100.0})
    mesh.run_for(120.0)
    assert {event.member.handle for event in mesh.told} == {"dave"}
    assert mesh.told[0].judged_by == 1
    assert mesh.alice.counters.get("datagrams_malformed", 0) == 0


def test_an_answer_to_no_question_says_nothing() -> None:
    """Its round trip is not known; whoever sends such acks is not listened to."""
    mesh = Mesh({"bob": 0.0, "carol": 0.0, "dave": 0.0})
    for number in range(40):
        mesh.now += 1.0
        answer = datagram(Ack(number, 0, 0, int(UNIX)).wire())
        mesh.alice.receive(id_of("dave"), answer, now=mesh.now)
    assert mesh.alice.clocks_off == 0
    assert not any(isinstance(output, Tell) for output in mesh.alice.outputs())


def test_whoever_slept_as_long_as_all_others_notices_nothing() -> None:
    """Their clocks have jumped by as much as ours, whenever each of them answers next."""
    mesh = Mesh({f"member-{number}": 0.0 for number in range(15)}, config=wan())
    mesh.run_for(60.0)
    for name in mesh.wrong:
        mesh.wrong[name] = 500.0
    mesh.own = 500.0
    mesh.look()
    mesh.run_for(120.0)
    assert mesh.told == []


def test_whose_clock_was_set_wrong_blames_nobody_else() -> None:
    """Though those who answered before that, and not since, still say that it is right."""
    mesh = Mesh({f"member-{number}": 0.0 for number in range(15)}, config=wan())
    mesh.run_for(60.0)
    mesh.own = 500.0
    mesh.look()
    mesh.run_for(200.0)
    assert [event.is_own for event in mesh.told] == [True]


def test_whoever_is_gone_judges_nobody() -> None:
    """Three who have left do not outvote those who are there."""
    mesh = Mesh({"bob": 100.0, "carol": 100.0, "dave": 0.0, "erin": 0.0, "frank": 0.0})
    mesh.run_for(10.0)
    for name in ("dave", "erin", "frank"):
        swim = swim_of(name)
        acquaint(swim, mesh.alice)
        swim.leave(now=START)
        record = swim.records_of([identity_of(name).node_id])
        mesh.alice.merge_untrusted(record, None, now=mesh.now)
    mesh.run_for(60.0)
    assert {event.judged_by for event in mesh.told if event.member.handle != "alice"} == {2}


def test_a_node_alone_plans_nothing() -> None:
    """Clocks are compared with answers that come anyway."""
    alone = swim_of("alice")
    alone.outputs()
    alone.receive_wall_clock(UNIX + START + 1_000, now=START)
    assert alone.next_deadline() < inf
    assert alone.clocks_off == 0

"""Whole nodes under peers that behave oddly or badly: nothing dies, spins or leaks."""

from __future__ import annotations

import functools

import attrs

from meshp2p.config import loopback
from meshp2p.consensus import AwardData
from meshp2p.effects import Invoke
from meshp2p.engine import Engine
from meshp2p.engine.link import Errand
from meshp2p.errors import PeerLost
from meshp2p.ids import Address
from meshp2p.simulation import DEAD, Agent, Handler, Node, World
from meshp2p.simulation.handlers import Work
from meshp2p.wire import codec, limits
from meshp2p.wire.messages import RequestHead, join_head


def test_a_caller_that_vanishes_with_a_queued_key_and_its_copy_harms_nobody() -> None:
    """Cancelling the first answers the second on the same, closing link."""
    world = World(1)
    work = Handler(function=lambda n: n, takes=5.0, limit=1)
    alice, bob = world.join("alice", "bob", agent=Agent({"work": work}))
    target = f"@{alice.name}/work"
    bob.call(target, 0)
    bob.call(target, 1, key="order-7")
    bob.call(target, 1, key="order-7")
    world.run_for(0.5)
    world.crash(bob)
    world.run_for(10.0)
    assert alice.is_running
    assert alice.engine.open_jobs == 0


def test_an_answer_from_somebody_who_just_left_leaves_no_deadline_behind() -> None:
    """A world fails where a deadline stays due: that would be a node at 100 % CPU."""
    world = World(2)
    quick = Handler(function=lambda n: n, takes=0.05)
    alice, bob = world.join("alice", "bob", agent=Agent({"work": quick}))
    pending = alice.call("@bob/work", 7)
    world.run_for(0.01)
    world.leave(bob)
    world.run_for(5.0)
    assert pending.is_done


def test_a_request_without_a_body_is_answered_and_forgotten() -> None:
    """It is malformed, not a reset."""
    world = World(3)
    alice, bob = world.join("alice", "bob")
    answers: list[bytes] = []
    _send(alice, bob, b"", answers)
    world.run_for(1.0)
    assert len(answers) == 1


def _send(sender: Node, to: Node, data: bytes, answers: list[bytes]) -> None:
    """Send raw bytes as a request over the link between two nodes."""
    sender.call(f"@{to.name}", "hello")

    def act(engine: Engine, now: float) -> None:
        links = engine._links  # noqa: SLF001  # what a bad member would do
        errand = Errand(0, data, 1000, lambda _, answer, _now: answers.append(answer), _ignore)
        links.send(to.id, errand, route=engine._syncing._route_to, now=now)  # noqa: SLF001

    sender.feed(act)


def _ignore(_errand: Errand, _reason: str, _now: float, *, sent: bool, full: bool = False) -> None:
    """Nobody waits."""
    del sent, full


def test_pulls_that_nobody_answers_end() -> None:
    """A member that makes us ask and never answers does not fill our memory."""
    world = World(4)
    alice, bob = world.join("alice", "bob")
    bob.engine._answers.register("!pull", lambda *_: None)  # noqa: SLF001  # it takes questions and is silent

    def ask(engine: Engine, now: float) -> None:
        for _ in range(50):
            engine._syncing.pull(bob.id, [bob.id], now)  # noqa: SLF001

    alice.feed(ask)
    assert len(alice.engine._syncing._open) <= 4  # noqa: SLF001
    world.run_for(20.0)
    assert not alice.engine._syncing._open  # noqa: SLF001


def test_awarded_work_keeps_to_the_limits_of_its_capability() -> None:
    """An auction is no way around `limit=`."""
    world = World(6)
    work = Handler(function=lambda n: n, takes=1.0, limit=1)
    alice, bob = world.join("alice", "bob", agent=Agent({"work": work}))
    for _ in range(4):
        world.auction(alice, "work", 1)
    world.run_for(0.8)
    for node in (alice, bob):
        began = [job for job in node.ran if job.method == "work"]
        assert len(began) <= 1
        assert node.engine.open_jobs >= len(began)


class Hanging(Agent):
    """Thinks about every vote for a minute."""

    def run(self, invoke: Invoke) -> Work:
        """As an agent, but slowly."""
        return attrs.evolve(super().run(invoke), takes=60.0)


def test_a_voter_that_hangs_is_told_to_stop_when_the_vote_closes() -> None:
    """Else hung handlers would pile up, vote by vote."""
    world = World(7)
    alice, bob = world.join("alice", "bob", agent=Hanging(voter=lambda _call: "yes"))
    pending = world.vote(alice, "ship it?", ["yes", "no"], closes_in=0.5)
    world.run_for(2.0)
    assert pending.is_done
    assert "?vote" in {job.method for job in bob.cancelled}


def test_a_refusal_elsewhere_does_not_hide_that_the_first_member_may_have_done_it() -> None:
    """The first one died at work, the second one is stopping: it may have run."""
    world = World(12)
    (alice,) = world.join("alice")
    work = Handler(function=lambda n: n, takes=0.5, idempotent=True)
    able = world.join("bob", "carol", agent=Agent({"work": work}))
    pending = alice.call("work", 1)
    world.run_until(lambda: any(one.times_run("work") for one in able), 5.0)
    first, other = sorted(able, key=lambda one: -one.times_run("work"))
    other.feed(lambda engine, now: engine.close(now=now))
    world.crash(first)
    world.run_until(lambda: pending.is_done, 30.0)
    assert isinstance(pending.error, PeerLost)
    assert pending.error.maybe_executed


def test_a_keyed_call_goes_back_to_the_same_member_when_only_the_connection_broke() -> None:
    """Bob remembers the key, so asking again is safe: the work runs once."""
    world = World(8)
    work = Handler(function=lambda n: n + 1, takes=0.5)
    (alice,) = world.join("alice")
    (bob,) = world.join("bob", agent=Agent({"work": work}))
    pending = alice.call("work", 1, key="order-7")
    world.run_for(0.2)

    def cut_off(engine: Engine, now: float) -> None:
        links = engine._links  # noqa: SLF001
        links.drop_peer(bob.id, "a middlebox lost it", now=now)

    alice.feed(cut_off)
    world.run_until(lambda: pending.is_done, 10.0)
    assert pending.result == 2
    assert bob.times_run("work") == 1


def test_a_call_without_key_is_not_repeated_when_the_connection_broke() -> None:
    """It may have run, and the caller is told so."""
    world = World(9)
    (alice,) = world.join("alice")
    (bob,) = world.join("bob", agent=Agent({"work": Handler(function=lambda n: n, takes=0.5)}))
    pending = alice.call("work", 1)
    world.run_for(0.2)
    alice.feed(lambda engine, now: engine._links.drop_peer(bob.id, "cut", now=now))  # noqa: SLF001
    world.run_until(lambda: pending.is_done, 10.0)
    assert isinstance(pending.error, PeerLost)
    assert pending.error.maybe_executed


def test_strangers_that_say_nothing_do_not_keep_members_out() -> None:
    """The longest silent one goes when a newcomer needs the place."""
    world = World(10, attrs.evolve(loopback(), preauth_timeout=60.0))
    (alice,) = world.join("alice")
    crowd = limits.MAX_PREAUTH_STREAMS + 6
    for n in range(crowd):
        host = f"10.{9 + n // 200}.{n % 200}.1"
        alice.feed(functools.partial(_connect, 10_000 + 2 * n, Address(host, 1)))
    unproved = alice.engine._links._board.unproved  # noqa: SLF001
    assert len(unproved) == limits.MAX_PREAUTH_STREAMS
    assert 10_000 + 2 * (crowd - 1) in unproved
    assert 10_000 not in unproved


def _connect(stream: int, remote: Address, engine: Engine, now: float) -> None:
    engine.stream_accepted(stream, remote, now=now)


def test_a_member_that_is_gone_leaves_no_load_behind() -> None:
    """Whether it failed or left, and even if an answer of it comes after its goodbye."""
    world = World(13)
    work = {"work": Handler(function=lambda n: n, takes=0.05)}
    (alice,) = world.join("alice")
    bob, carol, dave = world.join("bob", "carol", "dave", handlers=work)
    for other in (bob, carol, dave):
        alice.call(f"@{other.name}/work", 1)
    world.run_for(1.0)
    loads = alice.engine._calls._loads  # noqa: SLF001
    assert set(loads) == {bob.id, carol.id, dave.id}
    last = alice.call("@bob/work", 2)
    world.run_for(0.01)
    world.leave(bob)
    world.crash(carol)
    world.run_until(lambda: alice.sees(carol) == DEAD, 60.0)
    world.run_for(5.0)

    assert last.is_done
    assert set(loads) == {dave.id}


def test_an_award_is_no_duplicate_of_an_earlier_one() -> None:
    """Epochs tell them apart, not keys."""
    world = World(11)
    work = Handler(function=lambda n: n, takes=0.1)
    (alice,) = world.join("alice", agent=Agent({"work": work}))
    first = world.auction(alice, "work", 1)
    world.run_for(2.0)
    second = world.auction(alice, "work", 1)
    world.run_for(2.0)
    assert isinstance(first.result, AwardData | tuple)
    assert isinstance(second.result, AwardData | tuple)
    assert alice.times_run("work") == 2


def test_heads_and_bodies_survive_the_way() -> None:
    """What is sent is what is read."""
    head = RequestHead("work", 10, metadata={"a": [1, {"b": None}]})
    data = join_head(head.packed(), codec.pack([1]))
    assert RequestHead.from_untrusted(data[2 : 2 + int.from_bytes(data[:2], "big")]) == head

"""What a mesh of whole nodes promises, in virtual time and over several seeds."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import attrs
import pytest

from meshp2p.config import lan, loopback
from meshp2p.consensus import AwardData, AwardResult, Bid, VoteResult
from meshp2p.errors import (
    Closed,
    DeadlineExceeded,
    NoCapableMember,
    Overloaded,
    PeerLost,
    Undecided,
    UnknownMember,
)
from meshp2p.ids import Address
from meshp2p.messaging.body import pack_plain
from meshp2p.messaging.requests import Cause
from meshp2p.messaging.resolver import parse_target
from meshp2p.simulation import (
    ALIVE,
    DEAD,
    LEFT,
    Agent,
    Conditions,
    Handler,
    Node,
    Onward,
    Pending,
    World,
)
from meshp2p.simulation.invariants import Lookout, watch
from meshp2p.simulation.invariants.statements import WrittenFirst
from meshp2p.wire import limits

ADD = Handler(function=lambda a, b: a + b, takes=0.01, idempotent=True)
PEOPLE = ("alice", "bob", "carol", "dave", "erin")
SEEDS = pytest.mark.parametrize("seed", range(3))


def answer(world: World, pending: Pending, timeout: float = 30.0) -> object:
    """The result, once it is there."""
    world.run_until(lambda: pending.is_done, timeout)
    return pending.result


def slow(takes: float, *, idempotent: bool) -> dict[str, Handler]:
    """A capability that takes its time."""
    return {"work": Handler(function=lambda n: n, takes=takes, idempotent=idempotent)}


# --- finding each other, losing each other ---------------------------------------------


@SEEDS
def test_five_nodes_that_start_at_once_all_see_each_other(seed: int) -> None:
    """Nobody has to be first, and it takes less than a second."""
    world = World(seed)
    people = [world.start(name) for name in PEOPLE]
    took = world.run_until_quiet()
    assert took < 1.0
    assert [person.handles for person in people] == [set(PEOPLE)] * 5


@SEEDS
def test_nodes_meet_though_each_knows_only_the_one_before_it(seed: int) -> None:
    """Who is known to anybody becomes known to all."""
    world = World(seed)
    last: list[Node] = []
    for name in PEOPLE:
        last = [world.start(name, seeds=last)]
    world.run_until_quiet(10.0)


def test_a_seed_that_is_not_there_yet_is_tried_again() -> None:
    """The order in which machines boot does not matter."""
    world = World()
    bob = world.start("bob", seeds=[])
    world.crash(bob, silent=True)
    alice = world.start("alice", seeds=[bob])
    world.run_for(20.0)
    assert alice.handles == {"alice"}
    world.restart(bob)
    world.run_until_quiet(60.0)


@pytest.mark.parametrize("silent", [False, True])
def test_a_seed_that_does_not_answer_is_told_of_once(
    silent: bool,  # noqa: FBT001  # a case
) -> None:
    """Whether it refuses or says nothing; and once more when it answers after all."""
    world = World()
    bob = world.start("bob", seeds=[])
    where = bob.origins.address
    world.crash(bob, silent=silent)
    alice = world.start("alice", seeds=[bob])
    world.run_for(60.0)
    warning = ("warning", f"nobody of this mesh answers at {where}; trying again")
    assert [(log.level, log.text) for log in alice.logs] == [warning]
    world.restart(bob)
    world.run_until_quiet(60.0)
    world.run_for(60.0)
    told = [(log.level, log.text) for log in alice.logs if log.level != "debug"]
    assert told == [warning, ("info", f"{where} answers now")]


def test_a_seed_that_answers_is_not_told_of() -> None:
    """Nor is a node that is its own seed."""
    world = World()
    bob = world.start("bob", seeds=[])
    alice = world.start("alice", seeds=[bob])
    world.run_for(60.0)
    assert [log for log in alice.logs + bob.logs if log.level != "debug"] == []


@SEEDS
def test_a_slow_member_is_not_declared_dead(seed: int) -> None:
    """Whoever is only slow refutes the suspicion and stays alive for everyone."""
    world = World(seed, lan())
    alice, bob, carol = world.join("alice", "bob", "carol")
    with world.hold(bob, alice):
        world.run_for(2 * alice.config.probe_interval)
    world.run_until_quiet()
    assert [observer.sees(bob) for observer in (alice, carol)] == [ALIVE, ALIVE]
    assert alice.heard("member.failed") + carol.heard("member.failed") == []


@SEEDS
def test_a_member_behind_a_broken_path_is_kept_alive_by_the_others(seed: int) -> None:
    """The indirect probe goes through a helper, so one dead cable kills nobody."""
    world = World(seed, lan())
    alice, bob, *_ = people = world.join(*PEOPLE)
    world.cut(alice, bob)
    world.run_for(60.0)
    assert [alice.sees(bob), bob.sees(alice)] == [ALIVE, ALIVE]
    assert all(person.heard("member.failed") == [] for person in people)
    forwarded = sum(person.engine.stats().get("datagram_forwarded", 0) for person in people)
    assert forwarded > 0


@SEEDS
def test_a_killed_member_has_failed_for_everybody_at_once(seed: int) -> None:
    """Its machine refuses packets and resets streams, which is as good as a death notice."""
    world = World(seed)
    people = world.join(*PEOPLE)
    world.crash(people[2])
    assert world.run_until_quiet() < 1.0
    assert all(person.sees(people[2]) == DEAD for person in world.running)


@SEEDS
def test_a_machine_that_loses_power_has_failed_for_everybody_in_seconds(seed: int) -> None:
    """Silence alone is enough."""
    world = World(seed)
    people = world.join(*PEOPLE)
    world.crash(people[2], silent=True)
    assert world.run_until_quiet() < 5.0
    assert all(person.sees(people[2]) == DEAD for person in world.running)


@SEEDS
def test_a_restarted_member_comes_back_as_itself(seed: int) -> None:
    """The newer life supersedes the older one, also when nobody had noticed its end."""
    world = World(seed)
    people = world.join(*PEOPLE, handlers={"add": ADD})
    bob = people[1]
    world.crash(bob, silent=True)
    world.restart(bob)
    world.run_until_quiet(20.0)
    world.run_for(5.0)
    assert all(person.sees(bob) == ALIVE for person in people)
    assert [answer(world, person.call("@bob/add", 1, 2)) for person in people] == [3] * 5


@SEEDS
def test_leaving_is_not_failing(seed: int) -> None:
    """Whoever says goodbye is remembered as having left."""
    world = World(seed)
    people = world.join(*PEOPLE)
    bob = people[1]
    world.leave(bob)
    world.run_until(lambda: not bob.is_running)
    world.run_for(10.0)
    assert [person.sees(bob) for person in world.running] == [LEFT] * 4
    assert all(person.heard("member.failed") == [] for person in world.running)


@pytest.mark.parametrize("seed", range(8))
def test_who_leaves_with_requests_under_way_leaves_no_deadline_behind(seed: int) -> None:
    """A closed connection is forgotten by every clock: no node spins over it."""
    world = World(seed)
    nodes = [world.start(name, seeds=None) for name in ("alice", "bob", "carol")]
    world.run_for(0.1 * seed)  # also in the midst of the first syncs
    world.leave(nodes[0])
    world.run_for(5.0)
    assert nodes[1].handles == nodes[2].handles == {"bob", "carol"}


@SEEDS
def test_a_partition_heals(seed: int) -> None:
    """Both halves declare each other dead, and find each other again."""
    world = World(seed)
    people = world.join(*PEOPLE)
    world.cut(people[:2], people[2:])
    world.run_until(lambda: all(person.handles != set(PEOPLE) for person in people))
    world.run_for(20.0)
    assert people[0].handles == {"alice", "bob"}
    world.heal()
    world.run_until_quiet(30.0)


@SEEDS
def test_a_fifth_of_all_packets_may_be_lost(seed: int) -> None:
    """Nodes meet, calls are answered, and nobody healthy is declared dead."""
    world = World(seed, lan(), conditions=Conditions(loss=0.2))
    people = world.join(*PEOPLE, handlers={"add": ADD})
    calls = [person.call("add", n, 1) for n, person in enumerate(people)]
    assert [answer(world, call) for call in calls] == [1, 2, 3, 4, 5]
    world.run_for(60.0)
    world.run_until_quiet()
    assert all(person.heard("member.failed") == [] for person in people)


@pytest.mark.parametrize("other", [{"mesh": "theirs"}, {"namespace": "theirs"}])
def test_another_mesh_or_namespace_meets_silence(other: dict[str, Any]) -> None:
    """Not one byte is answered to whoever holds other keys, on datagrams or streams."""
    world = World()
    alice, bob = world.join("alice", "bob")
    sent: list[Address] = []
    world.on_datagram.append(lambda _sender, to, _data: sent.append(to))
    mallory = world.start("mallory", seeds=[alice, bob], **other)
    world.run_for(10.0)
    assert mallory.handles == {"mallory"}
    assert alice.handles == bob.handles == {"alice", "bob"}
    assert mallory.address not in sent
    assert mallory.engine.stats().get("syncs", 0) == 0
    refused = sum(person.engine.stats().get("stream_dropped", 0) for person in (alice, bob))
    assert refused > 0


def test_a_guest_sees_and_calls_members_but_is_none() -> None:
    """It is answered, and nobody has heard of it."""
    world = World()
    alice, bob = world.join("alice", "bob", handlers={"add": ADD})
    guest = world.start("guest", guest=True)
    world.run_until(lambda: guest.handles == {"alice", "bob"}, 2.0)
    assert answer(world, guest.call("add", 1, 2)) == 3
    world.run_for(5.0)
    assert alice.handles == bob.handles == {"alice", "bob"}


# --- calls -----------------------------------------------------------------------------


@SEEDS
def test_an_idempotent_call_moves_to_another_member_when_its_own_is_killed(seed: int) -> None:
    """The caller only notices that it took longer."""
    world = World(seed)
    (alice,) = world.join("alice")
    world.join("bob", "carol", handlers=slow(0.3, idempotent=True))
    calls = [alice.call("work", n) for n in range(8)]
    world.run_for(0.1)
    world.crash(world["bob"])
    assert [answer(world, call) for call in calls] == list(range(8))
    assert world["bob"].times_run("work") > 0
    assert all((call.ended or 0) - call.began < 1.0 for call in calls)


@SEEDS
def test_a_call_that_may_not_run_twice_says_that_it_may_have_run(seed: int) -> None:
    """It is not tried elsewhere, and the error tells the truth."""
    world = World(seed)
    (alice,) = world.join("alice")
    bob, carol = world.join("bob", "carol", handlers=slow(0.3, idempotent=False))
    call = alice.call("work", 1)
    world.run_until(lambda: bob.times_run("work") + carol.times_run("work") == 1)
    world.crash(bob if bob.times_run("work") else carol)
    world.run_until(lambda: call.is_done)
    assert isinstance(call.error, PeerLost)
    assert call.error.maybe_executed
    assert bob.times_run("work") + carol.times_run("work") == 1


def test_a_call_that_never_left_says_that_it_did_not_run() -> None:
    """So it may be made again without a second thought."""
    world = World()
    alice = world.start("alice")
    bob, carol = (world.start(name, seeds=[alice]) for name in ("bob", "carol"))
    world.run_until_quiet()  # through alice: these two have no connection yet
    world.crash(carol)
    call = bob.call("@carol", "hello")
    world.run_until(lambda: call.is_done)
    assert isinstance(call.error, PeerLost)
    assert not call.error.maybe_executed


@SEEDS
def test_calls_fail_over_within_five_seconds_when_a_process_stands_still(seed: int) -> None:
    """As after SIGSTOP: its machine still takes packets, but nobody answers them."""
    world = World(seed)
    (alice,) = world.join("alice")
    world.join("bob", "carol", handlers=slow(0.3, idempotent=True))
    calls = [alice.call("work", n) for n in range(8)]
    world.run_for(0.1)
    world["bob"].pause()
    assert [answer(world, call) for call in calls] == list(range(8))
    assert all((call.ended or 0) - call.began < 5.0 for call in calls)
    assert alice.engine.stats()["call_retried"] > 0


@SEEDS
def test_who_stood_still_for_long_is_welcome_again(seed: int) -> None:
    """It was declared dead meanwhile, refutes that, and is of use again."""
    world = World(seed)
    alice, bob, carol = world.join("alice", "bob", "carol", handlers={"add": ADD})
    bob.pause()
    world.run_until(lambda: alice.sees(bob) == DEAD)
    world.run_for(20.0)
    bob.resume()
    world.run_until_quiet(20.0)
    assert answer(world, alice.call("@bob/add", 1, 2)) == 3
    assert answer(world, bob.call("@carol/add", 1, 2)) == 3
    assert bob.sees(carol) == ALIVE


def test_a_busy_member_takes_what_it_has_slots_and_room_for_and_is_never_lost() -> None:
    """Whatever comes from one caller at once: the rest hears when to come back."""
    world = World()
    (alice,) = world.join("alice")
    (bob,) = world.join("bob", handlers=slow(0.1, idempotent=False))
    taken = bob.config.handler_slots + bob.config.handler_queue
    calls = [alice.call("work", n) for n in range(limits.MAX_STREAMS + 100)]
    world.run_until(lambda: all(call.is_done for call in calls))
    refused = [call.error for call in calls if call.error is not None]
    assert len(refused) == len(calls) - taken
    assert all(type(error) is Overloaded and error.retry_after > 0 for error in refused)
    assert bob.times_run("work") == taken


def test_a_call_goes_elsewhere_when_one_member_has_too_many_requests_open() -> None:
    """What was refused did not start, so another member may do it, whatever it is."""
    world = World()
    (alice,) = world.join("alice")
    bob, carol = world.join("bob", "carol", handlers=slow(0.1, idempotent=False))
    calls = [alice.call("work", n) for n in range(2 * (limits.MAX_STREAMS + 1))]
    world.run_until(lambda: all(call.is_done for call in calls))
    assert {type(call.error) for call in calls} <= {type(None), Overloaded}
    assert bob.times_run("work") + carol.times_run("work") == sum(not call.error for call in calls)
    assert alice.engine.stats()["call_retried"] > 0


def test_a_call_that_is_given_up_is_cancelled_at_the_callee() -> None:
    """Both when the user gives up and when the time is over."""
    world = World()
    (alice,) = world.join("alice")
    (bob,) = world.join("bob", handlers=slow(60.0, idempotent=False))
    call = alice.call("work", 1)
    world.run_for(0.5)
    alice.cancel(call)
    world.run_for(0.1)
    assert len(bob.cancelled) == 1
    late = alice.call("work", 2, timeout=1.0)
    world.run_for(1.1)
    assert isinstance(late.error, DeadlineExceeded)
    assert late.error.maybe_executed
    assert len(bob.cancelled) == 2
    assert bob.engine.stats()["handlers_running"] == 0


def test_a_deadline_travels_with_the_calls_that_a_call_makes() -> None:
    """Nobody works for somebody who has given up, however far down."""
    world = World()
    (alice,) = world.join("alice")
    world.join("bob", handlers={"ask": Handler(function=lambda n: Onward("deep", (n,)))})
    (carol,) = world.join("carol", handlers={"deep": Handler(function=lambda n: n, takes=60.0)})
    began = world.now
    call = alice.call("ask", 1, timeout=2.0)
    world.run_for(3.0)
    assert isinstance(call.error, DeadlineExceeded)
    (job,) = carol.ran
    assert began + 1.9 < job.deadline < began + 2.1
    assert carol.cancelled == [job]
    assert job.head is not None
    assert (job.head.hops, job.head.path) == (2, [alice.id, world["bob"].id])


def test_who_began_too_late_asks_nobody_any_more() -> None:
    """A machine so slow that its handler began after the deadline makes nobody else work for it."""
    world = World()
    (alice,) = world.join("alice")
    (bob,) = world.join("bob", handlers={"deep": Handler(function=lambda n: n)})
    pending = alice.call("deep", 1)
    world.run_until(lambda: pending.is_done)
    head = bob.ran[-1].head
    assert head is not None
    body = pack_plain([[1], {}], "the arguments")
    late = alice.command(
        lambda engine, now: engine.call(
            parse_target("deep"), body, cause=Cause(head, now - 0.02), now=now
        )
    )
    world.run_for(1.0)
    assert isinstance(late.error, DeadlineExceeded)
    assert not late.error.maybe_executed
    assert len(bob.ran) == 1


def test_a_key_makes_a_call_run_once_however_often_it_is_made() -> None:
    """The second gets the answer of the first, during and after."""
    world = World()
    (alice,) = world.join("alice")
    (bob,) = world.join("bob", handlers=slow(0.5, idempotent=False))
    first, second = alice.call("work", 1, key="k"), alice.call("work", 1, key="k")
    assert [answer(world, first), answer(world, second)] == [1, 1]
    assert answer(world, alice.call("work", 1, key="k")) == 1
    assert bob.times_run("work") == 1


@SEEDS
@pytest.mark.parametrize("returns", [False, True])
def test_a_call_with_a_key_runs_once_also_when_its_member_is_killed(
    seed: int,
    returns: bool,  # noqa: FBT001  # a case
) -> None:
    """Nobody else remembers the key: not another member, nor the same after a restart."""
    world = World(seed, conditions=Conditions(delay=(0.001, 0.02)))
    (alice,) = world.join("alice")
    able = world.join("bob", "carol", handlers=slow(0.3, idempotent=False))
    call = alice.call("work", 1, key="k", timeout=5.0)
    world.run_until(lambda: sum(one.times_run("work") for one in able) == 1)
    runs = next(one for one in able if one.times_run("work"))
    world.crash(runs)
    if returns:
        world.restart(runs)
    world.run_until(lambda: call.is_done)
    assert sum(one.times_run("work") for one in able) == 1
    assert getattr(call.error, "maybe_executed", None) is True


def test_errors_name_what_is_missing() -> None:
    """No such capability, no such member."""
    world = World()
    alice, _ = world.join("alice", "bob")
    world.run_for(2.0)
    nobody, unknown = alice.call("nothing"), alice.call("@zoe", 1)
    world.run_for(1.0)
    assert isinstance(nobody.error, NoCapableMember)
    assert isinstance(unknown.error, UnknownMember)


@SEEDS
def test_large_answers_arrive_whole_and_small_calls_overtake_them(seed: int) -> None:
    """A long body does not hold up the others."""
    world = World(seed, conditions=Conditions(delay=(0.01, 0.01)))
    (alice,) = world.join("alice")
    world.join("bob", handlers={"add": ADD, "big": Handler(function=lambda n: b"x" * n)})
    big = [alice.call("big", 1_000_000) for _ in range(4)]
    world.run_for(0.03)
    small = alice.call("add", 1, 2)
    assert answer(world, small) == 3
    assert not any(call.is_done for call in big)
    assert [answer(world, call) for call in big] == [b"x" * 1_000_000] * 4


@pytest.mark.parametrize("seed", range(10))
def test_two_that_call_each_other_at_the_same_moment_both_get_their_answers(seed: int) -> None:
    """Both connect at once; one connection stays, and no call is lost over it."""
    impatient = attrs.evolve(loopback(), idle_close=4.0)
    world = World(seed, impatient, conditions=Conditions(delay=(0.001, 0.02)))
    alice, bob = world.join("alice", "bob", agent=Agent(on_message=lambda body: body))
    for _ in range(3):
        there, back = alice.call("@bob", 1), bob.call("@alice", 2)
        assert [answer(world, there), answer(world, back)] == [1, 2]
        world.run_for(8.0)


@SEEDS
def test_a_new_connection_replaces_one_that_the_peer_has_forgotten(seed: int) -> None:
    """Whoever connects again has lost the old connection, even if its last word was lost."""
    world = World(seed)
    alice, bob, carol = world.join("alice", "bob", "carol", agent=Agent(on_message=lambda b: b))
    both_ways = ((alice, bob), (bob, alice))
    assert [answer(world, a.call(f"@{b.name}", 1)) for a, b in both_ways] == [1, 1]
    world.run_for(5.0)
    bob.pause()
    for one, other in both_ways:
        world.links.set((one.name, other.name), Conditions(loss=1.0))
    world.run_until(lambda: alice.sees(bob) == DEAD)  # the FIN is sent again after seconds
    world.heal()
    bob.resume()
    world.run_until_quiet()
    assert answer(world, alice.call("@bob", 2)) == 2
    assert answer(world, bob.call("@alice", 3), timeout=2.0) == 3
    assert carol.sees(bob) == ALIVE


@SEEDS
def test_closing_a_connection_that_nobody_uses_is_no_sign_of_death(seed: int) -> None:
    """The other side takes it for what it is, and probes nobody over it."""
    world = World(seed, attrs.evolve(loopback(), idle_close=4.0))
    people = []
    for name in PEOPLE:  # not all at once: each looks for unused connections at its own time
        people.append(world.start(name, handlers={"add": ADD}))
        world.run_for(0.3)
    assert [answer(world, person.call("add", 1, 2)) for person in people] == [3] * 5
    world.run_until(lambda: all(person.engine.stats()["streams"] == 0 for person in people))
    assert [person.engine.stats().get("stream_lost", 0) for person in people] == [0] * 5


# --- auctions and votes ------------------------------------------------------------------


def bidders(takes: float = 0.5) -> Agent:
    """Somebody who bids, and does the work in some time."""
    return Agent({"work": Handler(function=lambda n: n, takes=takes)})


@SEEDS
def test_the_best_bid_wins_and_its_owner_gets_the_result(seed: int) -> None:
    """All bid, the cheapest is awarded, and runs the handler once."""
    world = World(seed)
    (alice,) = world.join("alice")
    for price, name in enumerate(("bob", "carol", "dave"), start=1):
        agent = bidders()
        agent.bidder = lambda _, price=price: Bid(price=price)
        world.join(name, agent=agent)
    written = WrittenFirst(Lookout(world))
    auction = world.auction(alice, "work", 7)
    award = answer(world, auction)
    assert isinstance(award, AwardData)
    assert (award.winner_name, award.epoch, len(award.bids)) == ("bob", 1, 3)
    assert auction.outcome is not None
    assert answer(world, auction.outcome) == 7
    assert [world[name].times_run("work") for name in ("bob", "carol", "dave")] == [1, 0, 0]
    assert written.believed_of["award"] > 0


@SEEDS
def test_the_runner_up_takes_over_when_the_winner_crashes(seed: int) -> None:
    """With the next epoch, so that whoever guards the outside world can tell them apart."""
    world = World(seed)
    (alice,) = world.join("alice")
    for name in ("bob", "carol", "dave"):
        world.join(name, agent=bidders(takes=1.0))
    watch(world, "A1", "A2", "A3", "A6", "disk-first")
    auction = world.auction(alice, "work", 7)
    award = answer(world, auction)
    assert isinstance(award, AwardData)
    world.run_for(0.2)
    world.crash(world[award.winner_name])
    assert auction.outcome is not None
    assert answer(world, auction.outcome) == 7
    result = auction.outcome.value
    assert isinstance(result, AwardResult)
    assert result.epoch == award.epoch + 1
    assert result.winner != award.winner
    began = [job for node in world.nodes.values() for job in node.ran if job.method == "work"]
    assert sorted(job.token for job in began) == [1, 2]


@SEEDS
def test_an_auction_that_is_given_up_before_its_award_runs_nothing(seed: int) -> None:
    """Bids may be in; whoever bid may bid again, and hears nothing of this one."""
    world = World(seed)
    (alice,) = world.join("alice")
    bob, carol = world.join("bob", "carol", agent=bidders())
    world.cut(alice, carol)  # so that it stays open
    auction = world.auction(alice, "work", 7, close_after=2.0)
    world.run_for(1.0)
    alice.cancel(auction)
    world.run_for(10.0)
    assert not auction.is_done
    assert bob.times_run("work") + carol.times_run("work") == 0
    world.heal()
    again = world.auction(alice, "work", 8)
    assert isinstance(answer(world, again), AwardData)
    assert again.outcome is not None
    assert answer(world, again.outcome) == 8


@SEEDS
def test_whoever_leaves_wants_nothing_more_of_anybody(seed: int) -> None:
    """What it asked for ends as `Closed`: nobody is awarded work, or begins it, for nobody."""
    world = World(seed)
    (alice,) = world.join("alice")
    bob, carol = world.join("bob", "carol", agent=attrs.evolve(bidders(), voter=lambda _: "yes"))
    world.cut(alice, carol)  # so that the auction and the vote stay open
    begun = [
        world.auction(alice, "work", 7, close_after=4.0),
        world.vote(alice, "ship it?", ["yes", "no"]),
    ]
    world.run_for(0.5)
    world.leave(alice)
    world.run_for(0.01)  # it still answers whoever asks whether it is there
    assert alice.is_running
    begun.append(alice.call("@bob/work", 7))
    with pytest.raises(Closed):
        world.auction(alice, "work", 8)
    with pytest.raises(Closed):
        world.vote(alice, "now?", ["yes", "no"])
    world.run_for(10.0)
    assert [type(each.error) for each in begun] == [Closed] * 3
    assert bob.times_run("work") + carol.times_run("work") == 0


def test_an_auction_that_is_given_up_after_its_award_stands() -> None:
    """The winner has promised, and works."""
    world = World()
    (alice,) = world.join("alice")
    (bob,) = world.join("bob", agent=bidders())
    auction = world.auction(alice, "work", 7)
    assert isinstance(answer(world, auction), AwardData)
    alice.cancel(auction)
    assert auction.outcome is not None
    assert answer(world, auction.outcome) == 7
    assert bob.times_run("work") == 1


def test_a_winner_too_busy_to_be_asked_for_its_result_is_not_waited_for() -> None:
    """Its owner hears at once that the work may have run, not when the auction is over."""
    world = World(config=attrs.evolve(loopback(), handler_queue=2_000))
    (alice,) = world.join("alice")
    (bob,) = world.join("bob", agent=Agent(slow(30.0, idempotent=False)))
    auction = world.auction(alice, "work", 7)
    world.run_until(lambda: bob.times_run("work") == 1)
    for n in range(limits.MAX_STREAMS):
        alice.call("work", n, timeout=60.0)
    world.run_until(lambda: auction.outcome is not None and auction.outcome.is_done, 5.0)
    assert auction.outcome is not None
    assert isinstance(auction.outcome.error, PeerLost)
    assert auction.outcome.error.maybe_executed


@SEEDS
def test_a_vote_gives_a_certificate_that_others_can_check(seed: int) -> None:
    """The certificate holds against the mesh's root, and not with one byte changed."""
    world = World(seed)
    people = [world.start(name, agent=Agent(voter=lambda _: "yes")) for name in PEOPLE]
    world.run_until_quiet()
    result = answer(world, world.vote(people[0], "ship it?", ["yes", "no"]))
    assert isinstance(result, VoteResult)
    root = world.keys().root_public
    assert result.choice == "yes"
    assert result.certificate.verify(root, crypto=world.crypto).valid
    assert not result.certificate.verify(bytes(32), crypto=world.crypto).valid


@SEEDS
@pytest.mark.parametrize("faulty", [None, 0])
def test_three_to_two_decides_only_if_nobody_is_thought_faulty(
    seed: int, faulty: int | None
) -> None:
    """With one possible liar among five, three equal ballots prove nothing."""
    world = World(seed)
    for name in PEOPLE:
        choice = "yes" if name in PEOPLE[:3] else "no"
        world.start(name, agent=Agent(voter=lambda _, choice=choice: choice))  # type: ignore[misc]  # mypy cannot infer it
    world.run_until_quiet()
    vote = world.vote(world["erin"], "ship it?", ["yes", "no"], faulty=faulty)
    world.run_until(lambda: vote.is_done)
    if faulty is None:
        assert isinstance(vote.error, Undecided)
        assert vote.error.needed == 4
        assert sum(vote.error.tally.values()) >= 4  # the fifth is not waited for
    else:
        assert isinstance(vote.value, VoteResult)
        assert vote.value.choice == "yes"


@pytest.mark.parametrize("seed", range(30))
def test_what_is_promised_is_on_disk_before_anybody_hears_of_it(seed: int) -> None:
    """Crashes in the middle of an auction and a vote make nobody contradict itself."""
    world = World(seed)
    people = [
        world.start(name, agent=Agent({"work": ADD}, voter=lambda _: "yes")) for name in PEOPLE
    ]
    world.run_until_quiet()
    watch(world, "V1", "V2", "V3", "V5", "A1", "A2", "at-most-once")
    written = WrittenFirst(Lookout(world))
    world.auction(people[0], "work", 1, 2)
    world.vote(people[1], "ship it?", ["yes", "no"])
    world.run_for(0.001 * (seed % 15))
    for person in people[seed % 3 :: 2]:
        world.crash(person, kept=0)
        world.restart(person)
    for person in world.running:
        person.agent.voter = lambda _: "no"
    world.run_for(10.0)
    world.vote(people[2], "ship it?", ["yes", "no"])
    world.run_for(10.0)
    assert written.believed_of["ballot"] > 0


def test_a_ballot_that_cannot_be_written_is_not_cast() -> None:
    """A full disk costs a vote, never a promise."""
    world = World()
    people = [world.start(name, agent=Agent(voter=lambda _: "yes")) for name in PEOPLE[:4]]
    world.run_until_quiet()
    people[3].disk.broken = True
    vote = world.vote(people[0], "ship it?", ["yes", "no"], faulty=0)
    result = answer(world, vote)
    assert isinstance(result, VoteResult)
    assert "dave" not in {ballot.handle for ballot in result.ballots}


# --- the world itself ----------------------------------------------------------------------


def troubled(seed: int) -> World:
    """A world in which a bit of everything has happened."""
    world = World(seed, loopback(), conditions=Conditions(loss=0.1, duplicate=0.1))
    people = [
        world.start(name, agent=Agent({"work": ADD}, voter=lambda _: "yes")) for name in PEOPLE
    ]
    world.run_until_quiet()
    for person in people:
        person.call("work", 1, 2)
    world.auction(people[0], "work", 1, 2)
    world.vote(people[1], "ship it?", ["yes", "no"])
    world.cut(people[:1], people[3:])
    world.crash(people[2], kept=1)
    world.run_for(3.0)
    world.heal()
    world.restart(people[2])
    world.run_until_quiet()
    return world


def test_the_same_seed_gives_the_same_run_bit_for_bit() -> None:
    """Twice in this process, and another seed gives another one."""
    assert troubled(3).trace == troubled(3).trace
    assert troubled(3).trace != troubled(4).trace


def test_no_run_depends_on_how_python_hashes_in_this_process() -> None:
    """Sets and dictionaries of ids have an order that only the seed decides."""
    code = "from tests.simulation.test_mesh import troubled; print(troubled(3).trace)"
    for hash_seed in ("1", "2"):
        other = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert other.stdout.strip() == troubled(3).trace


def test_a_fault_that_is_removed_leaves_other_packets_alone() -> None:
    """Draws belong to a link and a packet, so a run can be shrunk fault by fault."""
    world, same = World(1), World(1)
    for each in (world, same):
        each.links.usual = Conditions(loss=0.5, delay=(0.0, 1.0))
    fates: list[list[int]] = [[], []]
    for n in range(100):
        world.links.send_datagram(("a", "b"), lambda n=n: fates[0].append(n))  # type: ignore[misc]  # mypy cannot infer it
        world.links.send_datagram(("c", "d"), lambda: None)
        same.links.send_datagram(("a", "b"), lambda n=n: fates[1].append(n))  # type: ignore[misc]  # mypy cannot infer it
    world.run_for(20.0)
    same.run_for(20.0)
    assert fates[0] == fates[1]
    assert 20 < len(fates[0]) < 80


def test_streams_keep_their_order_through_loss_and_cuts() -> None:
    """As TCP does: late perhaps, never lost, never swapped."""
    world = World(1, conditions=Conditions(loss=0.3, delay=(0.0, 0.1)))
    (alice,) = world.join("alice")
    order: list[int] = []
    world.join("bob", handlers={"note": Handler(function=order.append)})
    calls = [alice.call("note", n) for n in range(50)]
    world.cut(world["alice"], world["bob"])
    world.run_for(0.5)
    world.heal()
    world.links.usual = Conditions(loss=0.3, delay=(0.0, 0.1))
    for call in calls:
        answer(world, call)
    assert order == list(range(50))

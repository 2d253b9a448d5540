"""What agents see of their mesh, in virtual time: draining, waiting, batches, reasons."""

from __future__ import annotations

import pytest
import trio

from meshp2p import (
    ClockSkew,
    Cut,
    DeadlineExceeded,
    MemberEvent,
    Node,
    PeerLost,
    TooFewMembers,
    UnknownMember,
    UsageError,
    capability,
)
from meshp2p.gossip.wanted import Wanted
from meshp2p.ids import show_id
from meshp2p.testing import Agent, Simulation, simulate
from tests.testing.people import make_agent


def is_in_state(observer: Agent, handle: str, state: str) -> bool:
    """Whether somebody is believed to be in a state."""
    return all(member.state == state for member in observer.engine.named(f"@{handle}"))


def draining(observer: Agent, handle: str) -> bool:
    """Whether it sees somebody drain."""
    return any(member.draining for member in observer.engine.named(f"@{handle}"))


# --- draining --------------------------------------------------------------------------


@simulate(seeds=3)
async def test_nobody_sends_new_calls_to_a_member_that_drains(sim: Simulation) -> None:
    """Calls go to others, members() shows why, and a word takes it back."""
    alice, bob, _ = await sim.start(3, make_agent)

    await bob.drain()
    await sim.run_until(lambda: draining(alice, "bob"))

    (shown,) = await alice.members("greet", handle="bob")
    assert (shown.state, shown.draining) == ("alive", True)
    answers = {await alice.call("greet", "all") for _ in range(20)}
    assert answers == {"alice greets all", "carol greets all"}
    assert (await alice.stats())["call_retried"] == 0

    await bob.resume()
    await sim.run_until(lambda: not draining(alice, "bob"))
    answers = {await alice.call("greet", "all") for _ in range(40)}
    assert "bob greets all" in answers


@simulate(seeds=3)
async def test_running_calls_end_while_a_member_drains(sim: Simulation) -> None:
    """What was begun before is finished; what comes by name afterwards did not run."""
    alice, bob = await sim.start(2, make_agent)
    answers: list[float] = []

    async def ask() -> None:
        answers.append(await alice.call("@bob/ponder", 3.0))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await sim.run_until(lambda: bob.engine.open_jobs == 1)
        await bob.drain()
        with pytest.raises(PeerLost, match="it takes no new calls"):
            await alice.call(f"#{bob.id}/greet", "alice")

    assert answers == [pytest.approx(3.0)]


@simulate(seeds=3)
async def test_work_that_runs_on_a_draining_node_may_still_use_it(sim: Simulation) -> None:
    """A handler whose next step only its own node can do is not left in the lurch."""

    def make(name: str) -> Node:
        node = Node(name)

        @capability("step")
        async def step() -> str:
            return f"{name} stepped"

        @capability("walk")
        async def walk() -> str:
            await trio.sleep(2.0)
            return str(await (await agent_of(name)).call("step"))

        if name == "bob":
            node = Node(name, capabilities=[step, walk])
        return node

    agents: dict[str, Agent] = {}

    async def agent_of(name: str) -> Agent:
        await trio.lowlevel.checkpoint()
        return agents[name]

    alice, bob = await sim.start(2, make)
    agents |= {"alice": alice, "bob": bob}
    answers: list[str] = []

    async def ask() -> None:
        answers.append(await alice.call("walk"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await sim.run_until(lambda: bob.engine.open_jobs == 1)
        await bob.drain()

    assert answers == ["bob stepped"]


@simulate(seeds=3)
async def test_draining_survives_a_suspicion(sim: Simulation) -> None:
    """Whoever drains, is suspected and refutes, still drains: it is part of what it signs."""
    alice, bob, _ = await sim.start(3, make_agent)
    heard: list[tuple[str, str, bool]] = []

    @alice.on("member.suspected")
    @alice.on("member.updated")
    async def listen(event: MemberEvent) -> None:
        heard.append((event.name, event.reason, event.member.draining))

    await bob.drain()
    await sim.run_until(lambda: draining(alice, "bob"))
    before = alice.engine.view_hash()
    sim.pause(bob, 3.0)
    await sim.run_until(lambda: bob.engine.stats()["refutations"] > 0)
    await sim.run_until(lambda: before != alice.engine.view_hash() == bob.engine.view_hash())

    assert heard[0] == ("member.updated", "it drains", True)
    assert "member.suspected" in {name for name, _, _ in heard}
    assert is_in_state(alice, "bob", "alive")
    assert draining(alice, "bob")


@simulate(seeds=3)
async def test_a_draining_member_bids_for_nothing(sim: Simulation) -> None:
    """New work is not awarded to whoever asked for none."""
    alice, bob, carol = await sim.start(3, make_agent)
    await bob.drain()
    await carol.drain()

    award = await alice.auction("greet", "all")

    assert award.winner == "alice"


@simulate(seeds=3)
async def test_a_restart_ends_the_draining(sim: Simulation) -> None:
    """It is a word of this run; and whoever restarts unnoticed is not hidden."""
    alice, bob = await sim.start(2, make_agent)
    reasons: list[str] = []

    @alice.on("member.updated")
    async def listen(event: MemberEvent) -> None:
        reasons.append(event.reason)

    await bob.drain()
    await sim.run_until(lambda: draining(alice, "bob"))
    await sim.crash(bob, silent=True)
    await sim.restart(bob)

    await sim.run_until(lambda: not draining(alice, "bob"))
    assert await alice.call("@bob/greet", "alice") == "bob greets alice"


# --- waiting ---------------------------------------------------------------------------


@simulate(seeds=3)
async def test_waiting_ends_as_soon_as_enough_can_be_called(sim: Simulation) -> None:
    """Not later than the member is known, and with the members that were waited for."""
    (alice,) = await sim.start(1, lambda name: Node(handle=name))
    began = trio.current_time()
    waited: list[float] = []
    found: list[set[str]] = []

    async def wait() -> None:
        members = await alice.wait_for("greet", 2, timeout=60)
        waited.append(trio.current_time() - began)
        found.append({member.handle for member in members})

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await sim.start(1, make_agent)
        await trio.sleep(5.0)
        assert waited == []
        await sim.start(1, make_agent)

    assert found == [{"bob", "carol"}]
    assert 5.0 < waited[0] < 10.0


@simulate(seeds=3)
async def test_waiting_in_vain_says_what_is_there(sim: Simulation) -> None:
    """Who can be called, who announces it and cannot, and why."""

    def make(name: str) -> Node:
        return Node(name, capabilities=["greet"]) if name == "dave" else make_agent(name)

    alice, bob, carol, _ = await sim.start(4, make)
    await bob.drain()
    await sim.crash(carol)
    await sim.run_until(lambda: not is_in_state(alice, "carol", "alive"))

    with pytest.raises(TooFewMembers) as raised:
        await alice.wait_for("greet", 3, timeout=20)

    assert isinstance(raised.value, DeadlineExceeded)
    assert str(raised.value) == (
        "after 20 s 1 of 3 members can be called for 'greet': alice; "
        "not callable: bob (draining), carol (dead), dave (a label)"
    )


@simulate(seeds=3)
async def test_a_capability_that_is_announced_later_ends_the_wait(sim: Simulation) -> None:
    """Of another member and of this node itself, by name and by pattern."""
    alice, bob = await sim.start(2, make_agent)

    @capability("text.count")
    def count(text: str) -> int:
        return len(text)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(bob.announce, count)
        (found,) = await alice.wait_for("text.*", timeout=10)
    assert found.handle == "bob"

    async with trio.open_nursery() as nursery:
        nursery.start_soon(alice.announce, count)
        both = await alice.wait_for(count, 2, timeout=10)
    assert {member.handle for member in both} == {"alice", "bob"}

    await bob.withdraw("text.count")
    await sim.run_until(lambda: len(alice.engine.members(Wanted(pattern="text.*"))) == 1)
    with pytest.raises(TooFewMembers, match="1 of 2"):
        await alice.wait_for("text.count", 2, timeout=10)


@simulate()
async def test_a_wait_that_is_given_up_leaves_nothing(sim: Simulation) -> None:
    """Cancelled like any other verb; and what cannot be meant is refused at once."""
    (alice,) = await sim.start(1, make_agent)

    with trio.move_on_after(1.0) as scope:
        await alice.wait_for("fly", timeout=60)
    assert scope.cancelled_caught
    assert (await alice.stats())["waits_open"] == 0

    with pytest.raises(UsageError, match="count=0: allowed are whole numbers from 1"):
        await alice.wait_for("greet", 0)
    with pytest.raises(UsageError, match="capability='a b'"):
        await alice.wait_for("a b")


# --- batches ---------------------------------------------------------------------------


@simulate(seeds=3)
async def test_members_that_come_and_go_together_are_told_of_together(sim: Simulation) -> None:
    """A few batches, not one event at a time, with the hash of the list they led to."""
    alice, *others = await sim.start(6, make_agent)
    cuts: list[Cut] = []

    @alice.on("members")
    async def listen(cut: Cut) -> None:
        cuts.append(cut)

    await trio.sleep(30.0)
    cuts.clear()
    for agent in others[1:]:
        await sim.crash(agent)
    bob = others[0]
    await sim.run_until(lambda: alice.engine.view_hash() == bob.engine.view_hash())
    await trio.sleep(30.0)

    failed = [event.member.handle for cut in cuts for event in cut.events if "failed" in event.name]
    assert sorted(failed) == ["carol", "dave", "erin", "frank"]
    assert len(cuts) < len([event for cut in cuts for event in cut.events])
    assert cuts[-1].view_hash == alice.engine.view_hash() == bob.engine.view_hash()
    assert cuts[-1].alive == 2


# --- clocks ----------------------------------------------------------------------------


@simulate(seeds=3)
async def test_an_agent_hears_whose_clock_is_wrong(sim: Simulation) -> None:
    """Another's, and its own if most say so; and `why` knows it too."""
    alice, bob, *_ = await sim.start(5, make_agent)
    heard: dict[str, list[ClockSkew]] = {"alice": [], "bob": []}

    @alice.on("clock.skewed")
    async def listen(skew: ClockSkew) -> None:
        heard["alice"].append(skew)

    @bob.on("clock.skewed")
    def listen_too(skew: ClockSkew) -> None:
        heard["bob"].append(skew)

    with sim.clock(bob).skew(+120):
        await trio.sleep(60.0)

        (theirs,), (own,) = heard["alice"], heard["bob"]
        assert (theirs.member.handle, theirs.is_own) == ("bob", False)
        assert (own.member.handle, own.is_own) == ("bob", True)
        assert own.seconds == pytest.approx(120, abs=2)
        assert "its clock is 120 s ahead" in str(await alice.why("@bob"))
        assert (await alice.stats())["clocks_off"] == 1


# --- reasons ---------------------------------------------------------------------------


@simulate(seeds=3)
async def test_a_death_can_be_explained(sim: Simulation) -> None:
    """Who said so and when, with signatures; and what became of it."""
    alice, bob, carol = await sim.start(3, make_agent)
    await sim.crash(bob, silent=True)
    await sim.run_until(lambda: is_in_state(alice, "bob", "dead"))

    why = await alice.why("@bob")
    theirs = await carol.why(why.member)

    kinds = [clue.kind for clue in why.clues]
    assert kinds[-1] == "failed"
    assert "suspected" in kinds
    accusers = {clue.by_name for clue in why.clues if clue.kind == "accused"}
    assert accusers <= {"alice", "carol"}
    assert accusers
    assert all(clue.statement for clue in why.clues if clue.kind == "accused")
    first, *lines = str(why).splitlines()
    assert first.startswith(f"bob #{show_id(why.member.id)} is dead since 0.")
    assert any("accused by " in line for line in lines)
    assert theirs.member.handle == "bob"


@simulate(seeds=3)
async def test_a_refuted_suspicion_can_be_explained(sim: Simulation) -> None:
    """The accused knows who accused it, and the accusers that it was there all the time."""
    alice, bob, _ = await sim.start(3, make_agent)
    sim.pause(bob, 3.0)
    await sim.run_until(lambda: is_in_state(alice, "bob", "suspect"))
    await sim.run_until(lambda: is_in_state(alice, "bob", "alive"))
    await trio.sleep(5.0)

    theirs, own = await alice.why("bob"), await bob.why(f"#{bob.id}")

    assert {"accused", "suspected"} <= {clue.kind for clue in theirs.clues}
    assert theirs.member.state == "alive"
    assert "refuted" in {clue.kind for clue in own.clues}
    assert own.accusers
    assert [stall.late > 1.0 for stall in own.stalls] == [True]
    assert "this node stood still for " in str(own)


@simulate()
async def test_who_never_gave_cause_has_nothing_against_it(sim: Simulation) -> None:
    """And whoever is not there, or is several, is named in the error."""
    alice, _ = await sim.start(2, make_agent)

    why = await alice.why("bob")

    assert why.clues == ()
    assert str(why).endswith("nothing speaks against it")
    with pytest.raises(UnknownMember, match="'@mallory'"):
        await alice.why("@mallory")
    with pytest.raises(UsageError, match="allowed are a Member"):
        await alice.why("")


@simulate(seeds=3)
async def test_own_probes_are_among_the_reasons(sim: Simulation) -> None:
    """Silence, and the answer that ended it, with its round trip."""
    alice, bob, _ = await sim.start(3, make_agent)
    sim.pause(bob, 3.0)
    await sim.run_until(lambda: is_in_state(alice, "bob", "suspect"))
    await sim.run_until(lambda: is_in_state(alice, "bob", "alive"))
    await trio.sleep(20.0)

    why = await alice.why("bob")

    kinds = [clue.kind for clue in why.clues]
    assert "answered" in kinds
    assert all(clue.rtt is not None for clue in why.clues if clue.kind == "answered")
    assert (await alice.stats())["probes"] > 5

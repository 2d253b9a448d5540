"""Real nodes in virtual time: they call, bid and vote, and all that can befall them does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from meshp2p import (
    Closed,
    DeadlineExceeded,
    MeshError,
    Message,
    Node,
    PeerLost,
    RemoteError,
    Unreachable,
    capability,
)
from meshp2p.identity.keyfile import MESH_KEY, load_or_create_secret
from meshp2p.simulation.faults import (
    BurstyLoss,
    ClockJump,
    Crash,
    FullDisk,
    Hold,
    Mtu,
    Reorder,
    Slow,
    Stall,
    Timed,
)
from meshp2p.simulation.latency import Uniform
from meshp2p.testing import Agent, Simulation, simulate
from tests.testing.people import make_agent


def states(observer: Agent) -> dict[str, str]:
    """What one agent believes of all others, by handle."""
    return {member.handle: member.state for member in observer.engine.members()}


# --- calls, auctions, votes ------------------------------------------------------------


@simulate(seeds=3)
async def test_agents_call_each_other(sim: Simulation) -> None:
    """Plain and async handlers answer as they do outside, over links that lose packets."""
    alice, *_ = await sim.start(3, make_agent)
    sim.link().set(loss=0.1, delay="1-20ms", duplicate=0.1)

    assert await alice.call("@bob/greet", "alice") == "bob greets alice"
    assert [await alice.call("@bob/count") for _ in range(3)] == [1, 2, 3]
    assert await alice.call("@carol/ponder", 2.5) == pytest.approx(2.5)
    assert sim.coverage["loss"] > 0
    assert sim.coverage["duplicate"] > 0


@simulate(seeds=3)
async def test_a_plain_handler_calls_others_itself(sim: Simulation) -> None:
    """Its thread waits, the simulation goes on, and everything stays in one order."""
    alice, *_ = await sim.start(3, make_agent)

    assert await alice.call("@bob/pass.on", "carol") == "carol greets bob"
    with pytest.raises(RemoteError, match="UnknownMember"):
        await alice.call("@bob/pass.on", "mallory")


@simulate(seeds=3)
async def test_work_is_awarded_by_auction(sim: Simulation) -> None:
    """Bids, award and result come from real nodes."""
    alice, *_ = await sim.start(3, make_agent)

    award = await alice.auction("greet", "all")

    assert await award.result() == f"{award.winner} greets all"
    assert len(award.bids) == 3


@simulate(seeds=3)
async def test_agents_decide_by_vote(sim: Simulation) -> None:
    """Everybody's handler is asked, and the certificate counts them."""
    alice, *_ = await sim.start(3, make_agent)

    result = await alice.vote("ship it?", ["yes", "no"], faulty=0)

    assert result.choice == "yes"


@simulate(seeds=3)
async def test_a_node_of_the_test_itself_is_one_like_others(sim: Simulation) -> None:
    """`async with Node(...)` works as it does outside, on a machine of the test's own."""
    alice, *_ = await sim.start(2, make_agent)

    async with Node("visitor") as visitor:
        assert await visitor.call("@bob/greet", "visitor") == "bob greets visitor"
        await sim.run_until(lambda: states(alice).get("visitor") == "alive")
    await sim.run_until(lambda: states(alice)["visitor"] == "left")


@simulate(seeds=2)
async def test_a_shared_mesh_has_hosts_with_names(sim: Simulation, tmp_path: Path) -> None:
    """Agents of one mesh file find each other by seeds that name their machines."""
    path = tmp_path / "mesh.key"
    load_or_create_secret(path, MESH_KEY)
    alice = await sim.node("alice", mesh=path, discovery=())
    bob = await sim.node("bob", mesh=path, seeds=["alice:6374"], discovery=())

    await sim.quiet()

    assert states(bob) == {"alice": "alive", "bob": "alive"}
    assert alice.addresses == ("10.0.0.1:6374", "[fd00::1]:6374")


# --- crashes ---------------------------------------------------------------------------


@simulate(seeds=3)
async def test_a_crashed_agent_is_noticed_and_forgets(sim: Simulation) -> None:
    """Others see it die; its verbs say so; a new life has its key, but not its memory."""
    alice, bob, _ = await sim.start(3, make_agent)
    before = bob.id
    assert await alice.call("@bob/count") == 1

    await sim.crash(bob)

    with pytest.raises(Closed, match="bob has crashed"):
        await bob.call("@alice/greet", "bob")
    await sim.run_until(lambda: states(alice)["bob"] == "dead", timeout=10)
    await sim.restart(bob)
    await sim.quiet()
    assert bob.id == before
    assert await alice.call("@bob/count") == 1
    await sim.crash(bob)
    await sim.restart(bob)  # at once, while its former life is still unwinding
    assert bob.id == before


@simulate(seeds=3)
async def test_a_call_to_somebody_who_crashes_ends(sim: Simulation) -> None:
    """It says honestly that the handler may have run; silent machines take a little longer."""
    alice, *_ = await sim.start(3, make_agent)
    for name, silent in (("bob", False), ("carol", True)):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_expects_loss, alice, name)
            await sim.run_for(1)
            await sim.crash(sim[name], silent=silent)


async def _expects_loss(agent: Agent, name: str) -> None:
    with pytest.raises(PeerLost) as caught:
        await agent.call(f"@{name}/ponder", 60.0, timeout=90)
    assert caught.value.maybe_executed


@simulate(seeds=3)
async def test_a_crash_loses_what_was_not_synced(sim: Simulation) -> None:
    """Unless it is told otherwise, only what had reached the platter is there afterwards."""
    alice, bob = await sim.start(2, make_agent)
    await alice.auction("greet", "x")
    await sim.run_for(1)
    synced = dict(bob.machine.disk.read()), dict(alice.machine.disk.read())
    assert any(synced)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_fails_with, Closed, lambda: alice.auction("greet", "y"))
        await sim.run_until(lambda: alice.machine.disk.unsynced > 0, every=0.0001)
        await sim.crash(alice, lose="unsynced")
    await sim.run_for(1)
    assert dict(alice.machine.disk.read()) == synced[1]
    assert sim.coverage["crash.unsynced_lost"] == 1

    before = bob.id
    await sim.crash(bob, lose="all")
    assert not bob.machine.disk.read()
    await sim.restart(bob)
    assert bob.id != before


async def _fails_with(kind: type[MeshError], act: Callable[[], object]) -> None:
    with pytest.raises(kind):
        await act()  # type: ignore[misc]  # an async function


@simulate(seeds=3)
async def test_last_words_of_the_dead_reach_nobody(sim: Simulation) -> None:
    """`finally` blocks run in a simulation that goes on; they can do no harm there."""
    words: list[str] = []

    @capability("linger")
    async def linger() -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(1)
                words.append("farewell")
                raise ValueError("nobody hears this")

    alice = await sim.node("alice", capabilities=[linger])
    bob = await sim.node("bob")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_fails_with, PeerLost, lambda: bob.call("linger", timeout=30))
        await sim.run_for(1)
        await sim.crash(alice)
    await sim.run_for(5)
    assert words == ["farewell"]


# --- pauses ----------------------------------------------------------------------------


@simulate(seeds=3)
async def test_a_paused_agent_takes_not_one_step(sim: Simulation) -> None:
    """Its handlers stand still in the midst of their work, and go on afterwards."""
    ticks: list[float] = []

    @capability("tick")
    async def tick() -> None:
        while True:
            ticks.append(sim.now)
            await trio.sleep(0.1)

    alice = await sim.node("alice", capabilities=[tick])
    bob = await sim.node("bob")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_fails_with, Unreachable, lambda: bob.call("tick", timeout=30))
        await sim.run_for(1)
        paused_at = sim.now
        sim.pause(alice, 0.6)  # shorter than what it takes to be counted dead
        await sim.run_for(0.5999)
        assert max(ticks) <= paused_at
        await sim.run_for(1)
        assert sum(tick > paused_at for tick in ticks) == pytest.approx(10, abs=1)
        await sim.crash(alice)


@simulate(seeds=3)
async def test_a_pause_is_survived(sim: Simulation) -> None:
    """Whoever only stood still is believed alive again by everybody, soon after."""
    agents = await sim.start(4, make_agent)
    sim.pause(agents[2], 8)
    await sim.run_until(lambda: states(agents[0])["carol"] == "dead")
    await sim.run_for(8)
    assert await sim.calm() < 10
    assert sim.coverage["stall"] == 1


@simulate(seeds=3)
async def test_what_a_paused_agent_says_waits(sim: Simulation) -> None:
    """A test may command it meanwhile, but nothing leaves its machine before it goes on."""
    alice, _ = await sim.start(2, make_agent)
    await alice.call("@bob/count")
    began = sim.now
    sim.pause(alice, 0.5)
    assert await alice.call("@bob/count") == 2
    assert sim.now - began >= 0.5


# --- the network -----------------------------------------------------------------------


@simulate(seeds=3)
async def test_a_partition_separates_and_heals(sim: Simulation) -> None:
    """Each side counts the other dead, calls across end with an error, and all comes back."""
    alice, bob, carol = await sim.start(3, make_agent)

    sim.partition([alice], [bob, carol])
    await sim.run_for(10)

    assert states(alice) == {"alice": "alive", "bob": "dead", "carol": "dead"}
    assert states(carol) == {"alice": "dead", "bob": "alive", "carol": "alive"}
    with pytest.raises(MeshError):
        await alice.call("@bob/greet", "alice", timeout=3)
    sim.heal()
    await sim.quiet()
    assert await alice.call("@bob/greet", "alice") == "bob greets alice"


@simulate(seeds=3)
async def test_one_way_cuts_are_one_way(sim: Simulation) -> None:
    """What goes from bob to alice is lost, and nothing else."""
    alice, bob, _ = await sim.start(3, make_agent)
    sim.partition([bob], [alice], oneway=True)
    before = sim.coverage["cut"]
    await sim.run_for(5)
    assert sim.coverage["cut"] > before
    assert states(alice)["bob"] == "alive"  # carol passes their probes on


@simulate(seeds=3)
async def test_delay_is_what_the_link_says(sim: Simulation) -> None:
    """A call takes two ways, never less; others are not slower."""
    alice, bob, _ = await sim.start(3, make_agent)
    await alice.call("@bob/greet", "x")
    await alice.call("@carol/greet", "x")
    sim.link(alice, bob).set(delay="50ms")
    began = sim.now
    await alice.call("@bob/greet", "x")
    assert sim.now - began == pytest.approx(0.1, abs=0.02)
    began = sim.now
    await alice.call("@carol/greet", "x")
    assert sim.now - began < 0.02


@simulate(seeds=3)
async def test_a_narrow_link_takes_its_time(sim: Simulation) -> None:
    """A hundred thousand bytes take most of a second through one megabit."""
    alice, bob = await sim.start(2, make_agent)
    await alice.call("@bob/greet", "x")
    sim.link(alice, bob).set(rate="1mbit")
    began = sim.now
    await alice.call("@bob/greet", "x" * 50_000)
    assert 0.7 < sim.now - began < 2.0
    assert sim.coverage["bandwidth"] > 0


@simulate(seeds=3)
async def test_two_behind_symmetric_boxes_do_not_meet(sim: Simulation) -> None:
    """Until the boxes are gone; one box alone is no obstacle, for whoever is in it calls out."""
    _, bob = await sim.start(2, make_agent)
    await sim.crash(bob)
    boxes = [sim.nat(sim[name], "symmetric") for name in ("alice", "bob")]
    await sim.restart(bob)
    await sim.run_for(10)
    assert states(bob).get("alice") != "alive"
    with pytest.raises(MeshError):
        await bob.call("@alice/greet", "bob", timeout=3)
    assert sim.coverage["nat"] > 0
    boxes[1].remove()
    await sim.quiet()
    assert await bob.call("@alice/greet", "bob") == "alice greets bob"


@simulate(seeds=2)
async def test_faults_happen_at_their_hours(sim: Simulation) -> None:
    """Those of `meshp2p.simulation.faults` befall real nodes as well, and end when told."""
    alice, bob, _ = await sim.start(3, make_agent)
    sim.schedule(
        Timed(1.0, Crash("bob"), 3.0),
        Timed(4.0, Stall("carol"), 4.5),
        Timed(5.0, Slow("alice", 0.001), 8.0),
        Timed(5.0, ClockJump("carol", 100.0), 8.0),
        Timed(6.0, BurstyLoss(turns_bad=0.3), 9.0),
        Timed(6.0, Reorder(share=0.3, by=Uniform(0.01, 0.1)), 9.0),
        Timed(8.5, Mtu(size=50), 9.0),
        Timed(9.0, Hold((("alice", "bob"),)), 9.5),
        Timed(10.0, FullDisk("alice")),
    )
    await sim.run_until(lambda: sim.now > 2)
    was_there = [bob.is_running]
    await sim.run_until(lambda: sim.now > 10)
    was_there.append(bob.is_running)
    assert was_there == [False, True]
    with pytest.raises(MeshError):
        await alice.auction("greet", "x", timeout=5)

    await sim.calm()

    happened = {"crash", "restart", "stall", "slow", "clock_jump", "loss", "delay", "reorder"}
    assert happened | {"mtu", "hold", "disk_full"} <= {
        kind for kind, times in sim.coverage.items() if times
    }


# --- clocks ----------------------------------------------------------------------------


@simulate(seeds=3)
async def test_a_wrong_wall_clock_is_wrong_as_told(sim: Simulation) -> None:
    """It is ahead at once and gains; timeouts do not care; calm sets it right."""
    alice, bob = await sim.start(2, make_agent)
    clock, right = sim.clock(alice), sim.clock(bob)
    assert clock.unix == right.unix
    sim.clock(alice).skew(+120, drift=0.05)
    assert clock.unix - right.unix == pytest.approx(120)
    await sim.run_for(20)
    assert clock.unix - right.unix == pytest.approx(121)
    assert sim.coverage["skew"] > 0
    began = sim.now
    with pytest.raises(DeadlineExceeded):
        await alice.call("@bob/ponder", 60.0, timeout=2)
    assert sim.now - began == pytest.approx(2, abs=0.01)
    await sim.calm()
    assert clock.unix == right.unix


@simulate(seeds=2)
async def test_a_node_looks_at_its_own_wall_clock(sim: Simulation) -> None:
    """What it sends bears the time of its machine, right or wrong."""
    stamps: dict[str, float] = {}

    def make() -> Node:
        node = Node("carol")

        @node.on_message
        def keep(message: Message) -> None:
            stamps[message.sender_handle] = message.timestamp / 1000

        return node

    alice, bob = await sim.start(2, make_agent)
    await sim.node("carol", make)
    sim.clock(alice).skew(-7_200)
    await sim.run_for(11)  # it looks every ten seconds
    for agent in (alice, bob):
        await agent.call("@carol", "what time is it")

    assert stamps["bob"] - stamps["alice"] == pytest.approx(7_200, abs=2)
    assert stamps["bob"] == pytest.approx(sim.clock(bob).unix, abs=2)


# --- ends ------------------------------------------------------------------------------


@simulate(seeds=20)
async def test_who_cancels_its_node_in_the_midst_of_writing_hears_nothing_else(
    sim: Simulation,
) -> None:
    """Whatever it was doing, and in whichever order its tasks end: no error comes of it."""
    _, bob = await sim.start(2, make_agent)
    with trio.CancelScope() as scope:
        async with Node("visitor") as visitor, trio.open_nursery() as nursery:
            await visitor.call("@bob/greet", "visitor")
            sim.pause(bob)  # more than his socket holds: the rest waits in the visitor's
            nursery.start_soon(visitor.call, "@bob/greet", "x" * 600_000)
            await sim.run_for(0.5)
            scope.cancel()
    assert scope.cancelled_caught


@simulate(seeds=5)
async def test_a_node_that_is_closed_while_its_disk_is_busy_leaves_nothing_behind(
    sim: Simulation,
) -> None:
    """What it wanted written is written; the disk's own answer comes too late for it."""
    await sim.start(1, make_agent)
    with trio.CancelScope() as scope:
        async with Node("visitor") as visitor, trio.open_nursery() as nursery:
            nursery.start_soon(lambda: visitor.auction("greet", "x"))
            disks = [slot.disk for slot in sim.internet.machines["desk"].slots]
            await sim.run_until(lambda: any(disk.unsynced for disk in disks), every=0.0001)
            scope.cancel()
    assert not any(disk.unsynced for disk in disks)
    assert any(disk.read() for disk in disks)
    await sim.run_for(1)


@simulate(seeds=3)
async def test_who_crashes_while_it_starts_is_told_so(sim: Simulation) -> None:
    """Whoever restarts it hears of it; a fault that does simply fails to."""
    alice, bob = await sim.start(2, make_agent)
    await sim.crash(bob)
    sim.schedule(Timed(sim.now + 0.0005, Crash("bob")))
    with pytest.raises(Closed, match="bob crashed while it started"):
        await sim.restart(bob)

    await sim.restart(bob)
    now = sim.now
    sim.schedule(
        Timed(now + 0.9, Crash("alice"), now + 1.0),
        Timed(now + 1.0005, Crash("alice"), now + 2),
    )
    await sim.run_for(1.5)
    was_there = [alice.is_running]
    await sim.run_for(2)
    was_there.append(alice.is_running)
    assert was_there == [False, True]
    assert alice.machine.life == 3
    await sim.quiet()

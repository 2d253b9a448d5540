"""A machine that sleeps loses time that its clocks never show; a process that stands still does."""

from __future__ import annotations

import pytest
import trio

from meshp2p import Closed, DeadlineExceeded, capability
from meshp2p.simulation.faults import Crash, Stall, Timed
from meshp2p.testing import Agent, Simulation, simulate
from tests.testing.people import make_agent

NIGHT = 40.0


async def met(sim: Simulation) -> list[Agent]:
    """Alice and bob, who have a connection."""
    agents = await sim.start(2, make_agent)
    await agents[0].call("@bob/greet", "alice")
    return agents


@simulate(seeds=3)
async def test_what_a_sleeping_machine_waits_for_waits(sim: Simulation) -> None:
    """A handler that had slept for one second of ten sleeps nine more after the night."""
    woke_at: list[float] = []

    async def call(agent: Agent) -> None:
        await agent.call("@bob/ponder", 10.0, timeout=2 * NIGHT)
        woke_at.append(sim.now)

    alice, bob = await met(sim)
    began = sim.now
    async with trio.open_nursery() as nursery:
        nursery.start_soon(call, bob)  # of himself: nobody has to believe him alive
        await sim.run_for(1)
        sim.pause(bob, NIGHT, asleep=True)
    assert woke_at[0] - began == pytest.approx(NIGHT + 10, abs=0.01)
    assert alice.is_running


@simulate(seeds=3)
async def test_time_that_a_standing_process_loses_has_passed(sim: Simulation) -> None:
    """SIGSTOP stops no clock: afterwards the handler is late at once."""
    _, bob = await met(sim)
    began = sim.now
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: bob.call("@bob/ponder", 10.0, timeout=2 * NIGHT))
        await sim.run_for(1)
        sim.pause(bob, NIGHT)
    assert sim.now - began == pytest.approx(NIGHT + 1, abs=0.01)


@simulate(seeds=3)
async def test_a_deadline_does_not_pass_in_sleep(sim: Simulation) -> None:
    """The node's own time stands still: a call of five seconds has four left after the night."""
    _, bob = await met(sim)
    began = sim.now
    async with trio.open_nursery() as nursery:
        nursery.start_soon(late, bob)
        await sim.run_for(1)
        sim.pause(bob, NIGHT, asleep=True)
    assert sim.now - began == pytest.approx(NIGHT + 5, abs=0.01)


async def late(agent: Agent) -> None:
    """A call that takes longer than it may."""
    with pytest.raises(DeadlineExceeded):
        await agent.call("@bob/ponder", 10.0, timeout=5)


@simulate(seeds=3)
async def test_only_the_wall_clock_knows_how_long_it_slept(sim: Simulation) -> None:
    """It shows the right hour at once, as a laptop's does; the other mesh members saw it die."""
    alice, bob = await met(sim)
    sim.pause(bob, 60, asleep=True)
    await sim.run_for(60.001)
    assert alice.engine.member(bob.engine.identity.node_id).state == "dead"  # type: ignore[union-attr]  # they have met
    assert sim.clock(bob).unix == sim.clock(alice).unix
    assert bob.machine.clock.monotonic == pytest.approx(alice.machine.clock.monotonic - 60)
    assert await sim.calm() < 10


@simulate(seeds=3)
async def test_who_sleeps_is_woken_by_resume(sim: Simulation) -> None:
    """Or by removing the guard; a test's own time went on."""
    alice, bob = await met(sim)
    sim.pause(bob, asleep=True)
    guard = sim.pause(alice, asleep=True)
    await sim.run_for(0.2)
    sim.resume(bob)
    guard.remove()
    await sim.run_for(0.2)
    assert bob.machine.clock.slept == alice.machine.clock.slept == pytest.approx(0.2)
    assert await bob.call("@alice/greet", "bob") == "alice greets bob"


@simulate(seeds=3)
async def test_a_process_starts_once_its_machine_wakes(sim: Simulation) -> None:
    """Crashed and started again in its sleep, it does nothing before, and all afterwards."""
    alice, bob = await met(sim)
    now = sim.now
    sim.schedule(
        Timed(now + 1, Stall("bob", asleep=True), now + 30),
        Timed(now + 2, Crash("bob"), now + 3),
    )
    await sim.run_for(29)
    with pytest.raises(Closed):
        await bob.call("@alice/greet", "bob")
    await sim.run_for(2)
    await sim.quiet()
    assert bob.machine.life == 2
    assert await bob.call("@alice/greet", "bob") == "alice greets bob"
    assert await alice.call("@bob/greet", "alice") == "bob greets alice"


@simulate(seeds=10)
async def test_a_nap_makes_nothing_later_than_it_was_long(sim: Simulation) -> None:
    """Nor earlier: be it so short that nothing else happens meanwhile."""
    ended: list[float] = []

    async def ponder(agent: Agent) -> None:
        await agent.call("@bob/ponder", 0.05)
        ended.append(sim.now)

    bob = await sim.node("bob", make_agent)
    await sim.run_for(sim.random.uniform(1, 2))
    began = sim.now
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ponder, bob)
        await sim.run_for(0.0495)
        sim.pause(bob, 0.0001, asleep=True)
    assert ended[0] - began == pytest.approx(0.0501, abs=1e-9)


@simulate(seeds=3)
async def test_only_the_sleeping_machines_time_stands_still(sim: Simulation) -> None:
    """What others wait for comes when it should."""
    alice, bob = await met(sim)
    began = sim.now
    woke_at: dict[str, float] = {}

    async def ponder(agent: Agent) -> None:
        await agent.call(f"@{agent.name}/ponder", 1.0)
        woke_at[agent.name] = sim.now - began

    async def wait() -> None:
        await trio.sleep(2.0)
        woke_at["the test"] = sim.now - began

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ponder, alice)
        nursery.start_soon(ponder, bob)
        nursery.start_soon(wait)
        await sim.run_for(0.5)
        sim.pause(bob, 5, asleep=True)
    expected = {"alice": 1.0, "the test": 2.0, "bob": 6.0}
    assert woke_at == pytest.approx(expected, abs=1e-9)


@simulate(seeds=3)
async def test_who_crashes_in_its_sleep_is_not_kept(sim: Simulation) -> None:
    """Its `finally` blocks run at once, and do not wait for a machine that sleeps on."""
    words: list[float] = []

    @capability("linger")
    async def linger() -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(2)
            words.append(sim.now)

    alice = await sim.node("alice", capabilities=[linger])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fails, alice)
        await sim.run_for(1)
        sim.pause(alice, asleep=True)
        await sim.run_for(1)
        await sim.crash(alice)
        crashed_at = sim.now
        await sim.run_for(2)
    assert words == [pytest.approx(crashed_at + 1)]


async def fails(agent: Agent) -> None:
    """A call that its own node does not survive."""
    with pytest.raises(Closed):
        await agent.call("linger", timeout=30)

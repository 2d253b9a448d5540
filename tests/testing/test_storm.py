"""The seed chooses what befalls agents; afterwards all is mended, and everybody there again."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import trio

from meshp2p import AsyncNode, MeshError, Node, UsageError, capability
from meshp2p.simulation import faults
from meshp2p.simulation.faults import Schedule
from meshp2p.testing import Simulation, run, simulate
from meshp2p.testing.storm import KINDS
from tests.testing.people import make_agent


async def keep_asking(agent: AsyncNode, target: str) -> None:
    """Calls that may fail, for ever."""
    while True:
        try:
            await agent.call(target, "x", timeout=2)
        except MeshError:
            await trio.sleep(0.2)
        await trio.sleep(0.1)


async def hold_auctions(agent: AsyncNode) -> None:
    """Work that is written down before it is promised."""
    while True:
        try:
            award = await agent.auction("greet", "x", close_after=0.1, timeout=5)
            await award.result(5)
        except MeshError:
            await trio.sleep(0.3)
        await trio.sleep(0.3)


async def weathers(sim: Simulation) -> None:
    """A storm over three agents at work; whatever it was, then all are there and answer."""
    alice, bob, carol = await sim.start(3, make_agent)
    async with trio.open_nursery() as nursery:
        async with sim.swarm(5):
            nursery.start_soon(keep_asking, alice, "@bob/greet")
            nursery.start_soon(keep_asking, bob, "greet")
            nursery.start_soon(hold_auctions, carol)
        nursery.cancel_scope.cancel()
    assert sim.is_quiet()
    for one, other in ((alice, bob), (bob, carol), (carol, alice)):
        assert await one.call(f"@{other.name}/greet", "x") == f"{other.name} greets x"


def test_after_any_storm_all_are_there_and_answer() -> None:
    """And the storms were worth the name: every kind of fault did something in some of them."""
    happened: Counter[str] = Counter()
    for outcome in run(weathers, seeds=24):
        happened.update(outcome.coverage)
    wanted = {"crash", "restart", "cut", "loss", "delay", "duplicate", "reorder", "stall", "slow"}
    assert wanted <= {kind for kind, times in happened.items() if times}


def test_a_seed_is_a_storm() -> None:
    """The same one each time; another one for another seed, and for a second storm."""

    async def draws(sim: Simulation) -> tuple[Schedule, Schedule]:
        await sim.start(3, make_agent)
        return sim.swarm(30).schedule, sim.swarm(30).schedule

    storms = [storm for outcome in run(draws, seeds=8) for storm in outcome.value]

    assert storms == [storm for outcome in run(draws, seeds=8) for storm in outcome.value]
    assert len({repr(storm) for storm in storms}) > len(storms) / 2


def test_what_a_storm_breaks_is_told_with_the_storm() -> None:
    """The faults stand below the error, as code that makes them again."""

    async def breaks(sim: Simulation) -> None:
        await sim.start(2, make_agent)
        async with sim.swarm(5) as storm:
            drawn.append(storm.schedule)
            raise ValueError("broken")

    drawn: list[Schedule] = []
    with pytest.raises(ValueError, match="broken") as caught:
        run(breaks, seeds=[3])

    note = next(note for note in caught.value.__notes__ if note.startswith("in this storm:"))
    names: dict[str, Any] = {**vars(faults), **_latencies()}
    assert eval(note.partition("\n")[2], names) == drawn[0]  # noqa: S307  # our own code
    assert drawn[0].faults


def _latencies() -> dict[str, Any]:
    from meshp2p.simulation import latency  # noqa: PLC0415  # only what a schedule may name

    return vars(latency)


@simulate(seeds=5)
async def test_a_second_storm_follows_the_calm(sim: Simulation) -> None:
    """Calm is not for ever: faults begin again, only those that are wanted."""
    await sim.start(2, make_agent)
    async with sim.swarm(3):
        pass
    before = sim.coverage["crash"]
    crashed = 0
    for _ in range(8):
        async with sim.swarm(2, kinds=["crash"]) as storm:
            crashed += len(storm.schedule.faults)
        assert {each.fault.kind for each in storm.schedule.faults} <= {"crash"}
    assert sim.coverage["crash"] > before
    assert crashed > 0
    assert sim.is_quiet()


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_storm_can_befall_real_nodes(kind: str) -> None:
    """Whatever the menu offers them begins, ends, and leaves them well."""

    async def weathers(sim: Simulation) -> None:
        await sim.start(4, make_agent)
        async with sim.swarm(2, kinds=[kind]) as storm:
            pass
        begun.append(len(storm.schedule.faults))

    begun: list[int] = []
    run(weathers, seeds=3)
    assert sum(begun) > 0


def test_a_fault_that_a_test_forgot_is_found_by_some_storm() -> None:
    """A till that charges before it answers charges twice, once somebody repeats himself."""

    async def pays_once(sim: Simulation) -> None:
        charged: list[str] = []

        def make_till() -> Node:
            @capability("charge")
            async def charge(order: str) -> None:
                charged.append(order)
                await trio.sleep(0.2)

            return Node("till", capabilities=[charge])

        await sim.node("till", make_till)
        customer = await sim.node("customer")
        async with sim.swarm(5, kinds=["cut", "partition", "crash"]):
            await sim.run_for(sim.random.uniform(0, 4))
            while True:
                try:
                    await customer.call("charge", "order-7", timeout=2)
                    break
                except MeshError:
                    await trio.sleep(0.1)
        assert charged == ["order-7"]

    with pytest.raises(AssertionError) as caught:
        run(pays_once, seeds=100)
    assert any("to replay it" in note.lower() for note in caught.value.__notes__)


def test_what_cannot_be_meant_is_refused() -> None:
    """Storms over one agent, and kinds that there are not."""

    async def alone(sim: Simulation) -> None:
        await sim.node("alice")
        sim.swarm()

    async def unknown(sim: Simulation) -> None:
        await sim.start(2, make_agent)
        sim.swarm(kinds=["earthquake"])

    with pytest.raises(UsageError, match="two running agents"):
        run(alone, seeds=1)
    with pytest.raises(UsageError, match=r"earthquake.*partition"):
        run(unknown, seeds=1)
    assert "partition" in KINDS

"""A node's tasks run in the node's own context, whoever's command began them."""

from __future__ import annotations

from contextvars import ContextVar

import trio

from meshp2p import Node, capability
from meshp2p.testing import Agent, Simulation, simulate
from tests.testing.people import make_agent

_SECRET: ContextVar[str] = ContextVar("secret", default="")


def make_spy(name: str) -> Node:
    """An agent whose handlers tell what they find in their context."""

    @capability("look")
    async def look() -> str:
        return _SECRET.get()

    @capability("look.plainly")
    def look_plainly() -> str:
        return _SECRET.get()

    return Node(name, capabilities=[look, look_plainly])


@simulate(seeds=2)
async def test_a_callers_context_stays_with_the_caller(sim: Simulation) -> None:
    """Neither handlers of its own node see it, nor those that others ask on its connection."""
    alice, bob = await sim.start(2, make_spy)

    token = _SECRET.set("alice's")
    await alice.call("@bob/look")  # opens the connection that bob's calls come back on
    own = [await alice.call("@alice/look"), await alice.call("@alice/look.plainly")]
    _SECRET.reset(token)

    assert own == ["", ""]
    assert [await bob.call("@alice/look"), await bob.call("@alice/look.plainly")] == ["", ""]


@simulate(seeds=3)
async def test_what_a_test_begins_on_an_agent_stands_still_with_it(sim: Simulation) -> None:
    """Be it a handler of its own node, or a connection that its command opened."""
    alice, bob = await sim.start(2, make_agent)
    await alice.call("@bob/greet", "alice")
    began = sim.now

    async def call_both() -> None:
        async with trio.open_nursery() as both:
            both.start_soon(ends_late, alice, "@alice/ponder")
            both.start_soon(ends_late, alice, "@bob/ponder")

    async def ends_late(agent: Agent, target: str) -> None:
        await agent.call(target, 0.3)
        assert sim.now - began >= 0.6

    async with trio.open_nursery() as nursery:
        nursery.start_soon(call_both)
        await sim.run_for(0.1)
        sim.pause(alice, 0.5)
    assert bob.is_running

"""Tests for your agents: real nodes, many seeds, every fault, virtual time.

    from meshp2p.testing import simulate

    @simulate(seeds=200)
    async def test_everybody_gets_an_answer(sim):
        alice, bob = await sim.start(2, make_agent)
        sim.link(alice, bob).set(loss=0.2, delay="5-80ms")
        assert await alice.call("greet", "bob") == "hello bob"

The same seed gives the same run, down to the last byte. `docs/testing-agents.md` is the
tutorial.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from meshp2p.simulation.happening import Violation
    from meshp2p.testing.agent import Agent
    from meshp2p.testing.clock import StuckError
    from meshp2p.testing.outcome import Outcome
    from meshp2p.testing.running import run, simulate
    from meshp2p.testing.simulation import Simulation
    from meshp2p.testing.swarm import Swarm

__all__ = ["Agent", "Outcome", "Simulation", "StuckError", "Swarm", "Violation", "run", "simulate"]

_HOMES: Final = {
    "Agent": "meshp2p.testing.agent",
    "Outcome": "meshp2p.testing.outcome",
    "Simulation": "meshp2p.testing.simulation",
    "StuckError": "meshp2p.testing.clock",
    "Swarm": "meshp2p.testing.swarm",
    "Violation": "meshp2p.simulation.happening",
    "run": "meshp2p.testing.running",
    "simulate": "meshp2p.testing.running",
}
"""Where each name lives; loaded when first used, for every pytest loads the plugin here."""


def __getattr__(name: str) -> object:
    """Load a public name when it is first used (PEP 562)."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value

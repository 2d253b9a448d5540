"""Meshes that are too large for real nodes."""

from __future__ import annotations

import pytest

from meshp2p.errors import UsageError
from meshp2p.simulation import DEAD, Agent, Handler
from meshp2p.testing import Swarm
from meshp2p.wire import limits

SIZE = 60


def test_all_know_each_other_from_the_first_moment() -> None:
    """Nobody waits for hours of joining."""
    mesh = Swarm(SIZE)
    assert mesh.is_quiet()
    assert all(len(node.handles) == SIZE for node in mesh.running)


def test_whoever_falls_silent_is_missed_by_all() -> None:
    """They live: what happens to one is noticed by the others."""
    mesh = Swarm(SIZE, seed=7)
    lost = mesh["node7"]
    mesh.crash(lost, silent=True)
    mesh.run_until(lambda: all(node.sees(lost) == DEAD for node in mesh.running), 30.0)
    assert {node.sees(lost) for node in mesh.running} == {DEAD}


def test_each_runs_the_agent_that_was_given() -> None:
    """And can be called like any member."""
    mesh = Swarm(20, agent=Agent({"add": Handler(function=lambda a, b: a + b)}))
    call = mesh["node0"].call("@node19/add", 1, 2)
    mesh.run_until(lambda: call.is_done)
    assert call.result == 3


def test_the_same_seed_is_the_same_run() -> None:
    """Down to the number of events."""

    def run(seed: int) -> tuple[int, float]:
        mesh = Swarm(30, seed=seed)
        mesh.run_for(5.0)
        return mesh.events, mesh.now

    assert run(1) == run(1)


@pytest.mark.parametrize("size", [0, -1, limits.MAX_MEMBERS + 1])
def test_a_size_that_no_mesh_has_is_refused(size: int) -> None:
    """At once, and with the bounds."""
    with pytest.raises(UsageError, match=f"allowed are 1 to {limits.MAX_MEMBERS}"):
        Swarm(size)

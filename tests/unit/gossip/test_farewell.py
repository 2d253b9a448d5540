"""Whoever leaves says so to everybody it can, and nobody mistakes it for a death."""

from __future__ import annotations

import pytest

from meshp2p.config import lan
from meshp2p.simulation import LEFT, World
from meshp2p.simulation.script import crowd


@pytest.mark.parametrize("size", [2, 6, 9])
@pytest.mark.parametrize("seed", range(3))
def test_a_leaver_tells_every_member_of_a_small_mesh_itself(seed: int, size: int) -> None:
    """Nobody depends on others to pass it on: those might pass it on to each other."""
    world = World(seed, lan())
    leaver, *others = world.join(*crowd(size))
    world.cut(others, others)
    world.leave(leaver)
    world.run_for(0.05)
    assert [other.sees(leaver) for other in others] == [LEFT] * len(others)

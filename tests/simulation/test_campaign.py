"""A few seeds of the swarm in each test run; `meshp2p simulate swarm` has more."""

from __future__ import annotations

import pytest

from meshp2p.simulation.swarm import run_seed


@pytest.mark.parametrize("seed", range(12))
def test_a_mesh_in_trouble_keeps_its_promises_and_recovers(seed: int) -> None:
    """Whatever the seed has in store, while it calls, auctions and votes."""
    outcome = run_seed(seed)
    assert outcome.violation is None
    assert outcome.coverage["work.answered"] + outcome.coverage["work.failed"] > 0

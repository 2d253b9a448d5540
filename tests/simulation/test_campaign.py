"""A few seeds of the campaign in each test run; `python -m tests.simulation.campaign` has more."""

from __future__ import annotations

import pytest

from meshp2p.simulation import Handler, Violation
from tests.simulation.campaign import Story


@pytest.mark.parametrize("seed", range(10))
def test_a_mesh_in_trouble_keeps_its_promises_and_recovers(seed: int) -> None:
    """Loss, crashes, cuts, pauses and held packets, while it calls, auctions and votes."""
    story = Story(seed)
    story.run()
    assert story.counts["steps"] > 0


@pytest.mark.parametrize("seed", [613, 767])
def test_seeds_that_once_failed(seed: int) -> None:
    """A connection that one end had forgotten swallowed calls of the other."""
    Story(seed).run()


def test_a_broken_promise_does_not_go_unnoticed() -> None:
    """A handler that answers something wrong makes the story fail."""
    story = Story(1)
    story.broken = Handler(function=lambda a, b: a - b, idempotent=True)
    with pytest.raises(Violation, match="instead of"):
        story.run()

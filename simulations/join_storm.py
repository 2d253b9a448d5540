"""Fifty nodes that start at once and know one seed all see each other within two seconds.

Every node is charged for its work (signatures, key exchanges, datagrams, full syncs), so the
seed is as busy as a real one would be. This is the promise L3, for fifty: a hundred and a
thousand are measured, as in `benchmarks/membership`.

Default seeds: 0:2.
Last results: 20 seeds, all promises kept; 0.080 node-hours; whole after, s 0.296 (most 0.344).
"""

from __future__ import annotations

import sys
from typing import Final

from meshp2p.cli import main
from meshp2p.simulation.run import Run
from meshp2p.simulation.script import Script, crowd, plan_of
from meshp2p.simulation.swarm import Plan

_SIZE: Final = 50
_WITHIN: Final = 2.0
"""Seconds; the design's goal is one."""


def draw(seed: int) -> Plan:
    """All start together; nothing else happens."""
    return plan_of(seed, crowd(_SIZE), [], hostile=0.0, charged=True)


def act(run: Run) -> None:
    """How long until every list is whole."""
    run.measure("whole after, s", run.calm(_WITHIN))
    run.nobody_was("member.failed")


SCENARIO = Script(
    "join_storm", "Fifty nodes meet within two seconds.", draw, act=act, seeds=range(2)
)

if __name__ == "__main__":
    sys.exit(main(["simulate", __file__, *sys.argv[1:]]))

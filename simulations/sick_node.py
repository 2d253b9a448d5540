"""A node that loses 40 % of its packets gets nobody else buried, and comes back if it was.

Eight nodes; for twenty seconds carol's machine loses four of ten packets in both directions.
Whoever is healthy stays alive for everybody, carol included.

Default seeds: 0:20.
Last results: 20 seeds, all promises kept; 1.022 node-hours; suspicions of the healthy 1.5 (most
    13); times the sick one was buried 0 (most 0).
"""

from __future__ import annotations

import sys
from typing import Final

from meshp2p.cli import main
from meshp2p.simulation.faults import Loss, Timed
from meshp2p.simulation.run import Run
from meshp2p.simulation.script import PEOPLE, Script, plan_of
from meshp2p.simulation.swarm import Plan

_NAMES: Final = PEOPLE[:8]
_SICK: Final = "carol"
_LOST: Final = 0.4


def draw(seed: int) -> Plan:
    """One machine, both directions."""
    fault = Loss(_LOST, paths=(("*", _SICK), (_SICK, "*")))
    return plan_of(seed, _NAMES, [Timed(3.0, fault, 23.0)], hostile=23.0)


def act(run: Run) -> None:
    """Who was declared dead, and by whom."""
    run.trouble()
    healthy = [name for name in _NAMES if name != _SICK]
    run.measure("suspicions of the healthy", float(len(run.told("member.suspected", healthy))))
    run.measure("times the sick one was buried", float(len(run.told("member.failed", [_SICK]))))
    run.nobody_was("member.failed", healthy)


SCENARIO = Script(
    "sick_node", "A sick node makes nobody else look dead.", draw, act=act, seeds=range(20)
)

if __name__ == "__main__":
    sys.exit(main(["simulate", __file__, *sys.argv[1:]]))

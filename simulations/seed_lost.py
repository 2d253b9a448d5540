"""A mesh outlives its seed, and newcomers who know nobody else join as soon as it is back.

Seven nodes know alice alone, and start one by one; she loses power while they join and comes
back half a minute later. Those who had joined stay together; in the end all are.

Default seeds: 0:30.
Last results: 30 seeds, all promises kept; 2.778 node-hours; had joined before 4 (most 7); all
    together after, s 7.5 (most 33.3).
"""

from __future__ import annotations

import sys
from random import Random
from typing import Final

from meshp2p.cli import main
from meshp2p.simulation.faults import Crash, Timed
from meshp2p.simulation.run import Run
from meshp2p.simulation.script import PEOPLE, Script, plan_of
from meshp2p.simulation.swarm import Plan

_NAMES: Final = PEOPLE[:8]
_SEED: Final = _NAMES[0]
_BACK: Final = 30.0
_TOGETHER_WITHIN: Final = 95.0
"""Seconds: each of the lost, and each seed, is tried every 30 s."""


def draw(seed: int) -> Plan:
    """When each starts, and when the seed goes."""
    rng = Random(f"seed lost {seed}")
    starts = {name: round(rng.uniform(0.0, 4.0), 3) for name in _NAMES[1:]}
    crash = Timed(round(rng.uniform(0.5, 3.5), 3), Crash(_SEED, silent=True), _BACK)
    return plan_of(seed, _NAMES, [crash], hostile=_BACK + 0.01, starts=starts)


def act(run: Run) -> None:
    """Who had met stays together; everybody meets in the end."""
    crashes = [each.at for each in run.plan.schedule.faults]
    run.until(crashes[0] if crashes else 0.0)
    met = [node.name for node in run.world.running if len(node.handles) > 1 and node.name != _SEED]
    run.until(_BACK - 0.01)
    for name in met:
        missing = set(met) - run[name].handles
        run.require(not missing, f"{name} lost {', '.join(sorted(missing))}", name)
    run.trouble()
    run.measure("had joined before", float(len(met)))
    run.measure("all together after, s", run.calm(_TOGETHER_WITHIN))


SCENARIO = Script(
    "seed_lost",
    "A mesh needs its seed only to begin.",
    draw,
    act=act,
    seeds=range(30),
    one_seed=True,
)

if __name__ == "__main__":
    sys.exit(main(["simulate", __file__, *sys.argv[1:]]))

"""A node that can send but hears nothing, on and off, gets nobody else removed.

Thirty nodes; one of them loses everything that is sent to it for 15 seconds, then hears for
15 seconds, then is deaf again. No node that hears buries another one that hears.

Source: Rapid (ATC 2018), section 7: there memberlist oscillates.

Default seeds: 0:1.
Last results: 1 seed, all promises kept; 0.489 node-hours; times the deaf one was buried 56 (most
    56); suspicions of others 153 (most 153).
"""

from __future__ import annotations

import sys
from random import Random
from typing import Final

from meshp2p.cli import main
from meshp2p.simulation.faults import Cut, Timed
from meshp2p.simulation.faults.fault import ANYONE
from meshp2p.simulation.run import Run
from meshp2p.simulation.script import Script, crowd, plan_of
from meshp2p.simulation.swarm import Plan

_SIZE: Final = 30
_PERIOD: Final = 15.0
_BEGIN: Final = 3.0


def draw(seed: int) -> Plan:
    """Who is deaf, and when."""
    rng = Random(f"asymmetric reachability {seed}")
    deaf = rng.choice(crowd(_SIZE))
    cut = Cut(((ANYONE, deaf),))
    times = [_BEGIN, _BEGIN + 2 * _PERIOD]
    faults = [Timed(at, cut, at + _PERIOD) for at in times]
    return plan_of(seed, crowd(_SIZE), faults, hostile=times[-1] + _PERIOD)


def act(run: Run) -> None:
    """Who was declared dead, and by whom."""
    run.trouble()
    faults = run.plan.schedule.faults
    deaf = {path[1] for each in faults for path in each.fault.paths}  # type: ignore[attr-defined]  # a Cut
    hearing = set(run.plan.names) - deaf
    run.measure("times the deaf one was buried", float(len(run.told("member.failed", deaf))))
    run.measure("suspicions of others", float(len(run.told("member.suspected", hearing, hearing))))
    run.nobody_was("member.failed", hearing, hearing)


SCENARIO = Script(
    "asymmetric_reachability",
    "A deaf node makes nobody else look dead.",
    draw,
    act=act,
    seeds=range(1),
)

if __name__ == "__main__":
    sys.exit(main(["simulate", __file__, *sys.argv[1:]]))

"""Nodes whose processes stand still again and again bury nobody, and nobody buries others.

Six nodes; one or two of them stand still for five seconds in every ten, and all the others
now and then for up to a second. Whoever is not among those two is never declared dead.

Source: Dadgar and others, "Lifeguard" (arXiv:1707.00788), the experiment of section V.

Default seeds: 0:20.
Last results: 20 seeds, all promises kept; 0.773 node-hours; suspicions of the well 0 (most 10);
    burials of the stalled 10 (most 17).
"""

from __future__ import annotations

import sys
from random import Random
from typing import Final

from meshp2p.cli import main
from meshp2p.simulation.faults import Stall, Timed
from meshp2p.simulation.run import Run
from meshp2p.simulation.script import PEOPLE, Script, plan_of
from meshp2p.simulation.swarm import Plan

_NAMES: Final = PEOPLE[:6]
_BEGIN: Final = 3.0
_ENDS: Final = 23.0
_LONG: Final = 5.0


def draw(seed: int) -> Plan:
    """Long stalls of some, short ones of all."""
    rng = Random(f"cpu stalls {seed}")
    sick = rng.sample(_NAMES, rng.choice([1, 2]))
    faults = []
    for name in sick:
        at = _BEGIN + rng.uniform(0.0, _LONG)
        while at + _LONG < _ENDS:
            faults.append(Timed(round(at, 3), Stall(name), round(at + _LONG, 3)))
            at += 2 * _LONG
    for _ in range(rng.randint(0, 10)):
        at = rng.uniform(_BEGIN, _ENDS)
        well = rng.choice([name for name in _NAMES if name not in sick])
        faults.append(Timed(round(at, 3), Stall(well), round(at + rng.uniform(0.05, 1.0), 3)))
    return plan_of(seed, _NAMES, faults, hostile=_ENDS)


def act(run: Run) -> None:
    """Who was declared dead."""
    run.trouble()
    sick = {
        each.fault.node  # type: ignore[attr-defined]  # each is a Stall
        for each in run.plan.schedule.faults
        if each.until - each.at >= _LONG - 0.1
    }
    well = [name for name in _NAMES if name not in sick]
    run.measure("suspicions of the well", float(len(run.told("member.suspected", well))))
    run.measure("burials of the stalled", float(len(run.told("member.failed", sick))))
    run.nobody_was("member.failed", well)


SCENARIO = Script(
    "cpu_stalls", "Who stands still itself accuses nobody.", draw, act=act, seeds=range(20)
)

if __name__ == "__main__":
    sys.exit(main(["simulate", __file__, *sys.argv[1:]]))

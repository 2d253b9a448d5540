"""Members that stand still again and again get hardly any of the well buried, unlike in plain SWIM.

Of forty members some stand still together, for seconds, run for a moment, and so on; then one
of the well falls silent. All that is done twice: with this program as it is, and with its
doubt of itself switched off and the paper's baseline of suspicion (alpha 5, beta 1). Whoever
of the well is buried is buried falsely.

Source: Dadgar, Phillips, Currey, "Lifeguard" (arXiv:1707.00788), section V. The durations and
intervals are those that make plain SWIM err; the whole grid, among 128 members, is measured by
`benchmarks/membership`.

Default seeds: 0:3.
Last results: 6 seeds, all promises kept; 4.41 node-hours; false positives 0 (most 0), plain
    SWIM 3.5 (most 7); first, s 4.35 (most 9.9), plain SWIM 9.41 (most 10.5).
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from random import Random
from typing import Final

import attrs

from meshp2p.cli import main
from meshp2p.config import Config, lan
from meshp2p.engine import Engine
from meshp2p.ids import Seconds
from meshp2p.simulation import World
from meshp2p.simulation.acquaintance import acquaint
from meshp2p.simulation.faults import Stall, Timed
from meshp2p.simulation.run import Run
from meshp2p.simulation.script import Script, crowd, plan_of
from meshp2p.simulation.swarm import Plan, world_of

_SIZE: Final = 40
_BEGIN: Final[Seconds] = 3.0
_ENDS: Final[Seconds] = 50.0
_AFTERWARDS: Final[Seconds] = 10.0
"""What stalls led to may show only after them."""
_STALLED: Final = (4, 10)
_DURATIONS: Final[tuple[Seconds, ...]] = (8.192, 10.0, 16.384)
_INTERVALS: Final[tuple[Seconds, ...]] = (0.001, 0.004)
_GOAL: Final = 1.53
"""Percent of plain SWIM's false positives: the best column of the paper's table VII. One is
forgiven: in a single run plain SWIM has too few for a share of them to mean anything."""
_PATIENCE: Final[Seconds] = 60.0


def plain() -> Config:
    """SWIM as it was before Lifeguard."""
    return attrs.evolve(
        lan(), lifeguard=False, suspicion_min_multiplier=5.0, suspicion_max_multiplier=1.0
    )


def draw(seed: int) -> Plan:
    """How many stand still, how long, and how long they run in between."""
    rng = Random(f"lifeguard's experiment {seed}")
    sick = rng.sample(crowd(_SIZE), rng.choice(_STALLED))
    duration, interval = rng.choice(_DURATIONS), rng.choice(_INTERVALS)
    faults, at = [], _BEGIN + rng.random()
    while at < _ENDS:
        until = min(at + duration, _ENDS)
        faults += [Timed(round(at, 3), Stall(name), round(until, 3)) for name in sick]
        at = until + interval
    return plan_of(seed, crowd(_SIZE), faults, hostile=_ENDS)


def act(run: Run) -> None:
    """Who of the well was buried, and how soon somebody who is silent is."""
    sick = {each.fault.node for each in run.plan.schedule.faults}  # type: ignore[attr-defined]  # Stalls
    well = [name for name in run.plan.names if name not in sick]
    run.trouble()
    ours = _end(run.world, well)
    base = _plain_world(run.plan)
    theirs = _end(base, well)
    run.measure("stand still", float(len(sick)))
    for what, number in (("false positives", 0), ("between the well", 1), ("first, s", 2)):
        run.measure(what, ours[number])
        run.measure(f"{what}, plain SWIM", theirs[number])
    few = max(1.0, _GOAL / 100 * theirs[0])
    text = f"{ours[0]:.0f} false positives, plain SWIM has {theirs[0]:.0f}"
    run.require(ours[0] <= few, text)
    run.require(ours[1] == 0, f"the well bury {ours[1]:.0f} of each other")


def _plain_world(plan: Plan) -> World:
    """The same troubles under the other configuration; no promise is watched there."""
    world = world_of(plan, Engine, None, config=plain())
    for name in plan.names:
        world.start(name, seeds=[])
    acquaint(world, world.running)
    world.schedule(plan.schedule)
    world.run_for(plan.hostile)
    return world


def _end(world: World, well: Collection[str]) -> tuple[float, float, Seconds]:
    """After the stalls: false positives, those between the well, and a death's discovery."""
    world.remove_faults()
    world.run_for(_AFTERWARDS)
    buried = [
        node.name
        for node in world.nodes.values()
        for member in node.heard("member.failed")
        if member in well
    ]
    among = [observer for observer in buried if observer in well]
    victim = world[min(well)]
    others = [world[name] for name in well if name != victim.name]
    world.crash(victim, silent=True)

    def is_known() -> bool:
        return any(victim.name in node.heard("member.failed") for node in others)

    took = world.run_until(is_known, _PATIENCE, every=0.05)
    return float(len(buried)), float(len(among)), took


SCENARIO = Script(
    "lifeguards_experiment",
    "Members that stand still bury hardly any of the well.",
    draw,
    act=act,
    seeds=range(3),
    acquainted=True,
)

if __name__ == "__main__":
    sys.exit(main(["simulate", __file__, *sys.argv[1:]]))

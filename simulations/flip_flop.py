"""Members that are deaf for half of the time, again and again, get nobody healthy removed.

Six of sixty members hear nothing for twenty seconds, then everything for twenty, and so
on; what they say is heard all the time. Nobody healthy is declared dead by anybody healthy,
and nobody swings to and fro: each of the deaf is removed and returns once in each round at most.

Source: Suresh and others, "Stable and Consistent Membership at Scale with Rapid" (ATC 2018),
section 7; a hundred or a thousand members are `benchmarks/membership`'s.

Default seeds: 0:1.
Last results: 8 seeds, all promises kept; 11.356 node-hours; removals of a deaf one 2 (most 2); of
    one by one 2 (most 2); healthy removed by the deaf 11 (most 15).
"""

from __future__ import annotations

import sys
from random import Random
from typing import Final

from meshp2p.cli import main
from meshp2p.ids import Seconds
from meshp2p.simulation.faults import Cut, Timed
from meshp2p.simulation.run import Run
from meshp2p.simulation.script import Script, crowd, plan_of
from meshp2p.simulation.swarm import Plan

SIZE: Final = 60
DEAF: Final = 6
HALF: Final[Seconds] = 20.0
"""Deaf for so long, and then not."""
_ROUNDS: Final = 2
_BEGIN: Final[Seconds] = 5.0


def draw(seed: int) -> Plan:
    """Who is deaf."""
    deaf = Random(f"flip flop {seed}").sample(crowd(SIZE), DEAF)
    ways = tuple(("*", name) for name in deaf)
    begins = [_BEGIN + 2 * HALF * number for number in range(_ROUNDS)]
    faults = [Timed(at, Cut(ways), at + HALF) for at in begins]
    return plan_of(seed, crowd(SIZE), faults, hostile=_BEGIN + 2 * HALF * _ROUNDS)


def act(run: Run) -> None:
    """Who was declared dead, and how often."""
    cut: Cut = run.plan.schedule.faults[0].fault  # type: ignore[assignment]  # all are
    deaf = {to for _, to in cut.paths}
    healthy = [name for name in run.plan.names if name not in deaf]
    run.trouble()
    run.nobody_was("member.failed", healthy, healthy)
    removals = run.told("member.failed", deaf, healthy)
    swings = max((removals.count(each) for each in removals), default=0)
    run.measure("removals of a deaf one", len(removals) / (len(deaf) * len(healthy)))
    run.measure("of one by one", float(swings))
    run.measure("healthy removed by the deaf", float(len(run.told("member.failed", healthy, deaf))))
    run.require(swings <= _ROUNDS, f"one removed a deaf one {swings} times in {_ROUNDS} rounds")


SCENARIO = Script(
    "flip_flop",
    "Members that are deaf for half of the time get nobody healthy removed.",
    draw,
    act=act,
    seeds=range(1),
    acquainted=True,
)

if __name__ == "__main__":
    sys.exit(main(["simulate", __file__, *sys.argv[1:]]))

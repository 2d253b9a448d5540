"""After a partition of any shape each side knows who is left, and once it heals all meet again.

Seven nodes are split in two or three, until all know it or for a minute. Before it ends
every side sees exactly its own members; after it the lists of all are equal, and nobody had to
rejoin.

Default seeds: 0:25.
Last results: 150 seeds, all promises kept; 12.855 node-hours; split known after, s 15.8 (most
    28.6); healed after, s 1.48 (most 6.87).
"""

from __future__ import annotations

import sys
from random import Random
from typing import Final

from meshp2p.cli import main
from meshp2p.simulation.faults import Partition, Timed
from meshp2p.simulation.run import Run
from meshp2p.simulation.script import PEOPLE, Script, plan_of
from meshp2p.simulation.swarm import Plan

_NAMES: Final = PEOPLE[:7]
_AT: Final = 3.0
_KNOWN_WITHIN: Final = 60.0
"""Seconds: whoever is alone doubts itself first, and so probes more and more slowly."""
_HEALED_WITHIN: Final = 90.0
"""Seconds: each of the lost is tried every 30 s."""


def draw(seed: int) -> Plan:
    """Two or three sides of any size."""
    rng = Random(f"partition and heal {seed}")
    shuffled = rng.sample(_NAMES, len(_NAMES))
    ends = sorted(rng.sample(range(1, len(_NAMES)), rng.choice([1, 1, 2])))
    sides = tuple(
        tuple(shuffled[begin:end])
        for begin, end in zip([0, *ends], [*ends, len(_NAMES)], strict=True)
    )
    longest = _AT + _KNOWN_WITHIN + 2.0
    hostile = rng.choice([_AT, longest])  # but not before all know it: see `act`
    return plan_of(seed, _NAMES, [Timed(_AT, Partition(sides), longest)], hostile=hostile)


def _sees_its_side(run: Run, sides: tuple[tuple[str, ...], ...]) -> bool:
    return all(run[name].handles == set(side) for side in sides for name in side)


def act(run: Run) -> None:
    """How long until each side knows, and until all know each other again."""
    faults = run.plan.schedule.faults
    sides = faults[0].fault.groups if faults else ()  # type: ignore[attr-defined]  # a Partition
    run.until(_AT)
    took = run.world.run_until(lambda: _sees_its_side(run, sides), _KNOWN_WITHIN, every=0.05)
    run.measure("split known after, s", took)
    run.trouble()  # perhaps it is over already; the calm mends whatever is left
    run.measure("healed after, s", run.calm(_HEALED_WITHIN))


SCENARIO = Script(
    "partition_and_heal",
    "Partitions heal without anybody's help.",
    draw,
    act=act,
    seeds=range(25),
)

if __name__ == "__main__":
    sys.exit(main(["simulate", __file__, *sys.argv[1:]]))

"""Split in two for a second, a minute, an hour or a day: soon after, all lists are equal again.

Four members, two and two. After the split each hears of all others within the bound of L1,
and nobody had to do anything for it: the promise L4. A day has twelve leases, so that each
side forgets the other's records and has no more than what it remembers of the lost; there
everything but the leases takes twenty times as long as usual, or a day would take minutes to
compute.

Default seeds: 0:4.
Last results: 50 seeds, all promises kept; 108.55 node-hours; equal after 1 s, s 0.122 (most
    0.284); after 1 min 0.944 (most 4.64); after 1 h 3.54 (most 5.44); after 24 h 5.9 (most 5.9).
"""

from __future__ import annotations

import sys
from random import Random
from typing import Final

import attrs

from meshp2p.cli import main
from meshp2p.config import Config, lan
from meshp2p.ids import Seconds
from meshp2p.simulation.faults import Partition, Timed
from meshp2p.simulation.invariants import bounds
from meshp2p.simulation.run import Run
from meshp2p.simulation.script import PEOPLE, Script, plan_of
from meshp2p.simulation.swarm import Plan

_NAMES: Final = PEOPLE[:4]
_AT: Final[Seconds] = 60.0
"""All have met by then, whatever their clocks do."""
HOUR: Final[Seconds] = 3_600.0
DAY: Final[Seconds] = 24 * HOUR
_SELDOM: Final = 50
"""Seeds of which one lasts a day and two an hour, which take seconds to compute."""
_SLOWLY: Final = 20
_MOST_STEPS: Final = 2_000_000
"""A day takes more than runs of minutes may; connections that end in it say so again and again."""
_TIMINGS: Final = (
    "probe_interval",
    "gossip_interval",
    "sync_patience",
    "sync_interval",
    "digest_interval",
    "lost_retry_interval",
)


def draw(seed: int) -> Plan:
    """Any two against the other two, for a second or a minute; now and then for longer."""
    rng = Random(f"long partition {seed}")
    shuffled = rng.sample(_NAMES, len(_NAMES))
    seldom = {2: HOUR, 3: DAY, 27: HOUR}
    ends = _AT + seldom.get(seed % _SELDOM, rng.choice((1.0, 60.0)))
    split = Partition((tuple(shuffled[:2]), tuple(shuffled[2:])))
    return plan_of(seed, _NAMES, [Timed(_AT, split, ends)], hostile=ends)


def config(plan: Plan) -> Config:
    """That of `lan`; slower for a day."""
    if plan.hostile < DAY:
        return lan()
    return attrs.evolve(lan(), **{name: _SLOWLY * getattr(lan(), name) for name in _TIMINGS})


def act(run: Run) -> None:
    """How long until all lists are equal."""
    run.world.most_events = _MOST_STEPS
    run.trouble()
    within = bounds.convergence(run.world.config, len(_NAMES))
    took = run.calm(within)
    length = max(each.until - each.at for each in run.plan.schedule.faults)
    run.measure(f"equal after {spoken(length)}, s", took)


def spoken(seconds: Seconds) -> str:
    """For people: 1 s, 1 min, 1 h, 24 h."""
    for unit, name in ((HOUR, "h"), (60.0, "min")):
        if seconds >= unit:
            return f"{seconds / unit:g} {name}"
    return f"{seconds:g} s"


SCENARIO = Script(
    "long_partition",
    "Partitions of any length heal without anybody's help.",
    draw,
    act=act,
    seeds=range(4),
    config=config,
)

if __name__ == "__main__":
    sys.exit(main(["simulate", __file__, *sys.argv[1:]]))

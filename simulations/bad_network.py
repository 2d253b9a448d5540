"""A network that delays, reorders, repeats and holds back packets, or is narrow, buries nobody.

Five nodes call each other while at every moment something is wrong with some link: packets
are late, twice, out of order or held for up to two seconds, too long for the path, or too
many for it, or the nodes are behind a box that translates addresses. The narrowest link carries
a kilobyte a second: behind one of half of that packets wait for longer than the two seconds that
a suspicion lasts here, which nobody can tell from a death.

Default seeds: 0:20.
Last results: 250 seeds, all promises kept; 9.757 node-hours; suspicions 0 (most 22).
"""

from __future__ import annotations

import sys
from random import Random
from typing import Final

from meshp2p.cli import main
from meshp2p.simulation.faults import (
    Bandwidth,
    Delay,
    Duplicate,
    Fault,
    Hold,
    Mtu,
    Nat,
    Reorder,
    Timed,
)
from meshp2p.simulation.faults.fault import ANYONE, paths
from meshp2p.simulation.latency import Exponential, Uniform
from meshp2p.simulation.run import Run
from meshp2p.simulation.script import PEOPLE, Script, plan_of
from meshp2p.simulation.swarm import Plan
from meshp2p.simulation.workload import draw_agent

_NAMES: Final = PEOPLE[:5]
_ENDS: Final = 20.0
_MISHAPS: Final = 8


def draw(seed: int) -> Plan:
    """One mishap after the other, of two links or of a whole node."""
    rng = Random(f"bad network {seed}")
    faults = []
    for _ in range(_MISHAPS):
        one, *others = rng.sample(_NAMES, 3)
        ways = paths([one], others, both=True)
        whole = ((ANYONE, one), (one, ANYONE))
        mishaps: list[Fault] = [
            Delay(Exponential(0.05), paths=ways),
            Reorder(0.3, Uniform(0.0, 0.3), paths=ways),
            Duplicate(0.3, Uniform(0.0, 1.0), paths=ways),
            Bandwidth(rng.choice([1_000.0, 2_000.0]), burst=600, paths=whole),
            Mtu(rng.choice([200, 300, 576]), paths=whole),
            Hold(ways),
            Hold(ways),
            Nat((one,), hairpin=True),
        ]
        fault = rng.choice(mishaps)
        at = round(rng.uniform(3.0, _ENDS - 3.0), 3)
        longest = 2.0 if fault.kind == "hold" else 6.0
        faults.append(Timed(at, fault, round(at + rng.uniform(0.5, longest), 3)))
    return plan_of(seed, _NAMES, faults, hostile=_ENDS, rate=2.0)


def act(run: Run) -> None:
    """Late is not dead."""
    run.trouble()
    run.measure("suspicions", float(len(run.told("member.suspected"))))
    run.nobody_was("member.failed")


SCENARIO = Script(
    "bad_network", "Late is not dead.", draw, act=act, cast=draw_agent, seeds=range(20)
)

if __name__ == "__main__":
    sys.exit(main(["simulate", __file__, *sys.argv[1:]]))

"""Nodes that lose their disks, or what was not synced, promise nothing twice and come back.

Five nodes call, hold auctions and vote while they crash in the middle of writing and come
back with their disk as it was, without the last writes, or with none at all.

Default seeds: 0:20.
Last results: 20 seeds, all promises kept; 0.642 node-hours; all agree after, s 0 (most 0).
"""

from __future__ import annotations

import sys
from random import Random
from typing import Final

from meshp2p.cli import main
from meshp2p.simulation.disk import Left
from meshp2p.simulation.faults import (
    Crash,
    CrashAtWrite,
    FailingDisk,
    Fault,
    FullDisk,
    SlowDisk,
    Timed,
)
from meshp2p.simulation.latency import Uniform
from meshp2p.simulation.run import Run
from meshp2p.simulation.script import PEOPLE, Script, plan_of
from meshp2p.simulation.swarm import Plan
from meshp2p.simulation.workload import draw_agent

_NAMES: Final = PEOPLE[:5]
_ENDS: Final = 15.0
_BACK_WITHIN: Final = 30.0


def draw(seed: int) -> Plan:
    """Each node meets with two mishaps of its disk."""
    rng = Random(f"disk loss {seed}")
    faults = []
    for name in [*_NAMES, *_NAMES]:
        at = round(rng.uniform(2.0, _ENDS - 3.0), 3)
        disk: Left = rng.choice(["kept", "unsynced_lost", "unsynced_lost", "wiped"])
        mishaps: list[Fault] = [
            Crash(name, disk=disk),
            CrashAtWrite(name, after=rng.choice([0.0, 0.002, 0.01]), disk=disk, times=5),
            FullDisk(name),
            FailingDisk(name, 0.5),
            SlowDisk(name, Uniform(0.0, 0.5)),
        ]
        faults.append(Timed(at, rng.choice(mishaps), round(at + rng.uniform(0.1, 3.0), 3)))
    return plan_of(seed, _NAMES, faults, hostile=_ENDS, profile="loopback", rate=4.0)


def act(run: Run) -> None:
    """All are back, and soon."""
    run.trouble()
    run.measure("all agree after, s", run.calm(_BACK_WITHIN))
    gone = set(_NAMES) - {node.name for node in run.world.running}
    run.require(not gone, f"{', '.join(sorted(gone))} did not come back")


SCENARIO = Script(
    "disk_loss", "Lost disks break no promise.", draw, act=act, cast=draw_agent, seeds=range(20)
)

if __name__ == "__main__":
    sys.exit(main(["simulate", __file__, *sys.argv[1:]]))

"""Every auction ends with the work done once, though winners crash, as long as one bidder lives.

Alice auctions off a piece of work every second among six bidders. Five of them crash, often
just when they write down that they accept; bob does not. Each auction ends with an award
whose result arrives.

Default seeds: 0:10.
Last results: 10 seeds, all promises kept; 0.233 node-hours; awards to a runner-up 0 (most 1).
"""

from __future__ import annotations

import sys
from random import Random
from typing import Final

from meshp2p.cli import main
from meshp2p.consensus import AwardData
from meshp2p.simulation.disk import Left
from meshp2p.simulation.faults import Crash, CrashAtWrite, Fault, Timed
from meshp2p.simulation.handlers import Agent, Handler
from meshp2p.simulation.pending import Pending
from meshp2p.simulation.run import Run
from meshp2p.simulation.script import PEOPLE, Script, plan_of
from meshp2p.simulation.swarm import Plan

_NAMES: Final = PEOPLE[:7]
_FRAIL: Final = _NAMES[2:]
_ENDS: Final = 12.0
_DEADLINE: Final = 10.0


def draw(seed: int) -> Plan:
    """Two mishaps for each of the frail, on average."""
    rng = Random(f"auction under crashes {seed}")
    faults = []
    for _ in range(2 * len(_FRAIL)):
        at = round(rng.uniform(2.0, _ENDS - 2.0), 3)
        name = rng.choice(_FRAIL)
        disk: Left = rng.choice(["kept", "unsynced_lost"])
        mishaps: list[Fault] = [
            Crash(name, silent=rng.random() < 0.5, disk=disk),  # noqa: PLR2004  # half of them
            CrashAtWrite(name, after=rng.choice([0.0, 0.002, 0.01, 0.1]), disk=disk, times=2),
        ]
        faults.append(Timed(at, rng.choice(mishaps), round(at + rng.uniform(0.2, 2.0), 3)))
    return plan_of(seed, _NAMES, faults, hostile=_ENDS)


def cast(rng: Random, name: str) -> Agent:
    """Everybody but alice works, and takes a while."""
    if name == _NAMES[0]:
        return Agent()
    takes = rng.choice([0.05, 0.3, 1.0])
    return Agent({"work": Handler(function=lambda n: n, takes=takes)})


def act(run: Run) -> None:
    """One auction every second."""
    auctions = []
    for number in range(1, int(_ENDS) - 1):
        run.until(float(number))
        auctions.append(run.world.auction(run["alice"], "work", number, deadline=_DEADLINE))
    run.trouble()
    run.calm()
    ends = run.world.now + _DEADLINE
    while run.world.now < ends and not all(map(_is_over, auctions)):
        run.world.run_for(0.5)
    open_ones = [each for each in auctions if not each.is_done]
    run.require(not open_ones, f"{len(open_ones)} auctions never ended", "alice")
    awarded = [each.outcome for each in auctions if each.outcome is not None]
    done = [each for each in awarded if each.is_done and each.error is None]
    run.require(len(awarded) == len(auctions), f"{len(awarded)} of {len(auctions)} were awarded")
    run.require(len(done) == len(awarded), f"of {len(awarded)} awards {len(done)} were done")
    run.measure("awards to a runner-up", float(sum(_epoch(each) > 1 for each in auctions)))


def _is_over(auction: Pending) -> bool:
    return auction.is_done and (auction.outcome is None or auction.outcome.is_done)


def _epoch(auction: Pending) -> int:
    return auction.value.epoch if isinstance(auction.value, AwardData) else 0


SCENARIO = Script(
    "auction_under_crashes",
    "Work that was auctioned off gets done.",
    draw,
    act=act,
    cast=cast,
    seeds=range(10),
)

if __name__ == "__main__":
    sys.exit(main(["simulate", __file__, *sys.argv[1:]]))

"""However a mesh is split, and though one elector votes twice, no two sides decide differently.

Seven electors agree on yes, but for grace, who votes yes on one side and no on the other. The
mesh is split, and on each side somebody calls a vote among all seven. A side of fewer than
five decides nothing; whatever is decided is certified, and once all is healed votes decide.

Default seeds: 0:10.
Last results: 10 seeds, all promises kept; 0.256 node-hours; sides that decided 1 (most 1).
"""

from __future__ import annotations

import sys
from random import Random
from typing import Final

from meshp2p.cli import main
from meshp2p.consensus import VoteResult
from meshp2p.simulation.faults import Equivocate, Partition, Timed
from meshp2p.simulation.handlers import Agent
from meshp2p.simulation.run import Run
from meshp2p.simulation.script import PEOPLE, Script, plan_of
from meshp2p.simulation.swarm import Plan

_NAMES: Final = PEOPLE[:7]
_TRAITOR: Final = "grace"
_QUORUM: Final = 5
"""Of seven electors, two of whom may be faulty: floor((7 + 2) / 2) + 1."""
_SPLIT: Final = 2.0
_ENDS: Final = 6.0
_ECHO: Final = 4.0
"""Seconds in which TCP brings at last what one side sent to the other while they were split: the
end of connections, among other things. What is asked on one of these is lost with it."""


def draw(seed: int) -> Plan:
    """Two sides, and a second machine with grace's keys."""
    rng = Random(f"vote under partition {seed}")
    shuffled = rng.sample(_NAMES, len(_NAMES))
    at = rng.randint(1, len(_NAMES) - 1)
    sides = (tuple(shuffled[:at]), tuple(shuffled[at:]))
    faults = [Timed(_SPLIT, Partition(sides), round(rng.uniform(4.5, _ENDS), 3))]
    if rng.random() < 0.7:  # noqa: PLR2004  # some runs have no traitor
        faults.append(Timed(round(rng.uniform(1.0, 3.0), 3), Equivocate(_TRAITOR), _ENDS))
    return plan_of(seed, _NAMES, faults, hostile=_ENDS, profile="loopback")


def cast(_rng: Random, _name: str) -> Agent:
    """All are for it."""
    return Agent(voter=lambda _call: "yes")


def act(run: Run) -> None:
    """One vote on each side while it is split."""
    sides = [
        side
        for each in run.plan.schedule.faults
        if isinstance(each.fault, Partition)
        for side in each.fault.groups
    ]
    run.until(_SPLIT + 0.2)
    votes = [
        (side, run.world.vote(run[side[0]], "ship it?", ["yes", "no"], closes_in=2.0))
        for side in sides
        if side[0] != _TRAITOR
    ]
    run.trouble()
    decided = 0
    for side, vote in votes:
        run.require(vote.is_done, "a vote never ended", side[0])
        if isinstance(vote.value, VoteResult):
            decided += 1
            enough = len({*side, _TRAITOR}) >= _QUORUM
            run.require(enough, f"{len(side)} of 7 decided {vote.value.choice!r}", *side)
    run.measure("sides that decided", float(decided))
    run.calm()
    run.world.run_for(_ECHO)
    _decides(run)


def _decides(run: Run) -> None:
    caller = run["alice"]
    vote = run.world.vote(caller, "ship it now?", ["yes", "no"], closes_in=2.0)
    run.world.run_for(3.0)
    right = isinstance(vote.value, VoteResult) and vote.value.choice == "yes"
    run.require(right, f"in the calm a vote ended with {vote.error!r}", "alice")


SCENARIO = Script(
    "vote_under_partition",
    "No vote is decided twice.",
    draw,
    act=act,
    cast=cast,
    seeds=range(10),
)

if __name__ == "__main__":
    sys.exit(main(["simulate", __file__, *sys.argv[1:]]))

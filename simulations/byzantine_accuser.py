"""Members that accuse everybody in every datagram, under valid signatures, get nobody buried.

Seven nodes; one or two of them say with each datagram that somebody else did not answer, and
forge something in every tenth: a name, a farewell, a signature. As long as the accused is there
and refutes, nobody honest believes in its death.

Default seeds: 0:10.
Last results: 10 seeds, all promises kept; 0.253 node-hours; accusations 67.5 (most 251);
    suspicions of the honest 22.5 (most 100).
"""

from __future__ import annotations

import sys
from random import Random
from typing import Final

from meshp2p.cli import main
from meshp2p.simulation.accuser import Accuse
from meshp2p.simulation.faults import Forge, Timed
from meshp2p.simulation.run import Run
from meshp2p.simulation.script import PEOPLE, Script, plan_of
from meshp2p.simulation.swarm import Plan

_NAMES: Final = PEOPLE[:7]
_LIARS: Final = ("frank", "grace")
_ENDS: Final = 13.0


def draw(seed: int) -> Plan:
    """Who lies, of whom, and how often."""
    rng = Random(f"byzantine accuser {seed}")
    faults = []
    for liar in rng.sample(_LIARS, rng.choice([1, 2])):
        others = [name for name in _NAMES if name != liar]
        whom = tuple(rng.sample(others, rng.choice([1, 3, len(others)])))
        faults.append(Timed(3.0, Accuse(liar, whom, rng.choice([0.1, 0.5, 1.0])), _ENDS))
        faults.append(Timed(3.0, Forge(liar, 0.1), _ENDS))
    return plan_of(seed, _NAMES, faults, hostile=_ENDS)


def act(run: Run) -> None:
    """The honest stay alive for the honest."""
    run.trouble()
    honest = [name for name in _NAMES if name not in _LIARS]
    run.measure("accusations", float(run.world.coverage["byzantine.accuse"]))
    run.measure(
        "suspicions of the honest", float(len(run.told("member.suspected", honest, honest)))
    )
    run.nobody_was("member.failed", honest, honest)


SCENARIO = Script(
    "byzantine_accuser",
    "False accusers bury nobody.",
    draw,
    act=act,
    seeds=range(10),
    liars=frozenset(_LIARS),
)

if __name__ == "__main__":
    sys.exit(main(["simulate", __file__, *sys.argv[1:]]))

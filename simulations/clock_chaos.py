"""Wrong wall clocks make nobody look dead and fail no call.

Six nodes that are connected. Then their wall clocks are wrong by up to an hour, gain or lose
1 %, and are set back or forward by ten minutes; they call each other meanwhile. Nobody is even
suspected.

Default seeds: 0:30.
Last results: 150 seeds, all promises kept; 5.517 node-hours.
"""

from __future__ import annotations

import itertools
import sys
from random import Random
from typing import Final

from meshp2p.cli import main
from meshp2p.simulation.faults import ClockJump, Skew, Timed
from meshp2p.simulation.handlers import Agent, Handler
from meshp2p.simulation.run import Run
from meshp2p.simulation.script import PEOPLE, Script, plan_of
from meshp2p.simulation.swarm import Plan

_NAMES: Final = PEOPLE[:6]
_WRONG_FROM: Final = 3.5
"""Seconds. By then each has a connection to each: a new one is refused to whoever lives in
another hour, since credentials have dates."""
_ENDS: Final = 20.0


def draw(seed: int) -> Plan:
    """One wrong clock for each node, and some jumps."""
    rng = Random(f"clock chaos {seed}")
    faults = [
        Timed(
            round(rng.uniform(_WRONG_FROM, 5.0), 3),
            Skew(
                name,
                rng.choice([-3_600.0, -60.0, 0.0, 60.0, 3_600.0]),
                rng.choice([0.0, 0.01, -0.01]),
            ),
            _ENDS,
        )
        for name in _NAMES
    ]
    for _ in range(rng.randint(1, 6)):
        at = round(rng.uniform(3.0, _ENDS - 5.0), 3)
        jump = ClockJump(rng.choice(_NAMES), rng.choice([-600.0, -10.0, 10.0, 600.0]))
        faults.append(Timed(at, jump, round(at + rng.uniform(1.0, 5.0), 3)))
    return plan_of(seed, _NAMES, faults, hostile=_ENDS)


def cast(_rng: Random, _name: str) -> Agent:
    """Everybody adds."""
    return Agent({"add": Handler(function=lambda a, b: a + b, idempotent=True)})


def act(run: Run) -> None:
    """Everybody calls, twice a second in all."""
    run.until(2.0)
    pairs = itertools.permutations(_NAMES, 2)
    calls = [run[one].call(f"@{other}/add", 1, 1, timeout=1.0) for one, other in pairs]
    for number in range(2 * int(_ENDS) - 8):
        run.until(_WRONG_FROM + number / 2)
        caller = run[_NAMES[number % len(_NAMES)]]
        whom = _NAMES[(number * 5 + 1) % len(_NAMES)]
        calls.append(caller.call(f"@{whom}/add", number, 1, timeout=2.0))
    run.trouble()
    run.world.run_for(2.0)
    failed = [repr(each.error) for each in calls if not each.is_done or each.error is not None]
    run.require(not failed, f"{len(failed)} of {len(calls)} calls failed: {failed[:1]}")
    run.nobody_was("member.suspected")


SCENARIO = Script(
    "clock_chaos", "No promise hangs on a wall clock.", draw, act=act, cast=cast, seeds=range(30)
)

if __name__ == "__main__":
    sys.exit(main(["simulate", __file__, *sys.argv[1:]]))

"""Runs the general campaign until a promise breaks, and shrinks what broke it.

Says what came of it as one line of JSON. Run it as a file, with the package to be examined
first in PYTHONPATH: `PYTHONPATH=COPY python tests/planted/hunt.py FROM TO`. Exit status 0
whether or not.
"""

from __future__ import annotations

import json
import sys
import time

from meshp2p.simulation.happening import Violation
from meshp2p.simulation.shrink import shrink
from meshp2p.simulation.swarm import Plan, run_seed


def main() -> None:
    """Hunt."""
    first, last = map(int, sys.argv[1:3])
    began = time.perf_counter()
    found: dict[str, object] = {}
    for seed in range(first, last):
        outcome = run_seed(seed)
        if outcome.violation is not None:
            found = {"seed": seed, "took": time.perf_counter() - began}
            found |= told(outcome.violation)
            found["shrunk"] = shrunk(outcome.plan, outcome.violation)
            break
    sys.stdout.write(json.dumps({"took": time.perf_counter() - began} | found) + "\n")


def told(violation: Violation) -> dict[str, object]:
    """Which promise, and how it was broken."""
    return {"name": violation.name, "text": str(violation)}


def shrunk(plan: Plan, violation: Violation) -> dict[str, object]:
    """The fewest faults with which it still is."""
    began = time.perf_counter()
    left = shrink(plan, violation)
    return {
        "before": len(plan.schedule.faults),
        "after": len(left.plan.schedule.faults),
        "runs": left.runs,
        "took": time.perf_counter() - began,
        "schedule": repr(left.plan.schedule),
    }


if __name__ == "__main__":
    main()

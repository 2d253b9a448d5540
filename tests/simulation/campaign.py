"""Many small meshes, each with troubles of its own: `python -m tests.simulation.campaign`.

The last lines say how much of everything happened, because a promise that is never put to
the test is not kept but untested; over many seeds nothing may stay at zero.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from meshp2p.simulation.coverage import MUST_HAPPEN
from meshp2p.simulation.shrink import shrink
from meshp2p.simulation.swarm import Outcome, run_seed

_MANY = 200
"""Seeds among which everything must have happened."""


def say(text: str) -> None:
    """Show progress at once, also in a log."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def tell_failure(outcome: Outcome) -> None:
    """What broke, how to see it again, and the fewest faults that break it."""
    if outcome.violation is None:
        return
    say(f"seed {outcome.seed} failed after {outcome.events} steps: {outcome.violation}")
    say(f"replay: python -m tests.simulation.campaign --seeds {outcome.seed}")
    shrunk = shrink(outcome.plan, outcome.violation)
    say(f"shrunk in {shrunk.runs} runs to: {shrunk.plan!r}")


def main() -> int:
    """Run the seeds that were asked for; 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0:200", help="FROM:TO, or one seed")
    parser.add_argument("--traces", action="store_true", help="show each run's trace hash")
    options = parser.parse_args()
    first, _, last = options.seeds.partition(":")
    seeds = range(int(first), int(last) if last else int(first) + 1)
    counts: Counter[str] = Counter()
    simulated, began = 0.0, time.perf_counter()
    for done, seed in enumerate(seeds, start=1):
        outcome = run_seed(seed)
        if outcome.violation is not None:
            tell_failure(outcome)
            return 1
        if options.traces:
            say(f"{seed} {outcome.trace_hash}")
        counts += outcome.coverage
        simulated += outcome.simulated_seconds
        if done % 50 == 0:
            say(f"{done} seeds, {done / (time.perf_counter() - began):.1f}/s")
    took = time.perf_counter() - began
    say(", ".join(f"{name} {number}" for name, number in sorted(counts.items())))
    idle = [name for name in MUST_HAPPEN if len(seeds) >= _MANY and not counts[name]]
    if idle:
        say(f"never happened, so nothing was shown: {', '.join(idle)}")
    verdict = "not ok" if idle else "ok"
    pace = f"{len(seeds) / took:.1f}/s, {simulated / took:.0f} x real time"
    say(f"{len(seeds)} seeds in {took:.1f} s ({pace}): {verdict}")
    return 1 if idle else 0


if __name__ == "__main__":
    sys.exit(main())

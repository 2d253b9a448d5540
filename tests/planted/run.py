"""Plants each bug in a copy of the package and hunts it: `python -m tests.planted.run`.

Each violation that is found is shrunk to the fewest faults that still show it. Exit status
0 if every bug was found by an invariant that its patch names, within the seeds that it
states, and the package without any bug passes all seeds that it took.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Final

import attrs

from tests.planted.bugs import HERE, Bug, all_bugs, copy_package

_SLOWEST: Final = 5.0
"""Seconds for one seed, on average, with whatever bug."""
_SHRINKING: Final = 120.0
"""Seconds beyond that for starting, and for shrinking what was found."""


@attrs.frozen
class Shrunk:
    """What was left of a schedule.

    Args:
        before: Faults that were drawn.
        after: Faults without which the promise is kept.
        runs: How many it took to find them.
        took: Real seconds of all these runs.
        schedule: What is left, as code.
    """

    before: int
    after: int
    runs: int
    took: float
    schedule: str


@attrs.frozen
class Hunt:
    """What came of one: `name` is the invariant that was broken, empty if none was."""

    name: str
    seed: int
    took: float
    text: str
    shrunk: Shrunk | None = None


def environment_of(folder: str, ours: Mapping[str, str]) -> dict[str, str]:
    """What a hunt in a copy runs with: it is not measured, for the copy is gone afterwards."""
    kept = {name: value for name, value in ours.items() if not name.startswith("COVERAGE_")}
    return kept | {"PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"}


def hunt(bug: Bug | None, seeds: range) -> Hunt:
    """Run the campaign on a copy with the bug, or without any, until a promise breaks."""
    with tempfile.TemporaryDirectory() as folder:
        copy_package(Path(folder))
        if bug is not None:
            bug.plant(Path(folder))
        command = [sys.executable, str(HERE / "hunt.py"), str(seeds.start), str(seeds.stop)]
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment_of(folder, os.environ),
            capture_output=True,
            text=True,
            check=False,
            timeout=_SLOWEST * len(seeds) + _SHRINKING,
        )
    if done.returncode:
        return Hunt("the campaign itself fell", seeds.start, 0.0, done.stderr[-2_000:])
    found = json.loads(done.stdout.splitlines()[-1])
    seed = found.get("seed", seeds.stop - 1)
    shrunk = Shrunk(**found["shrunk"]) if "shrunk" in found else None
    return Hunt(found.get("name", ""), seed, found["took"], found.get("text", ""), shrunk)


def say(text: str) -> None:
    """Show progress at once, also in a log."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def judge(bug: Bug, found: Hunt) -> bool:
    """Tell what came of a hunt; whether it is what was expected."""
    good = found.name in bug.found_by
    verdict = "ok " if good else "NOT"
    what = found.name or "nothing"
    say(f"{verdict} {bug.name:24} {what:12} seed {found.seed:<4} {found.took:6.1f} s  {bug.text}")
    if found.shrunk is not None:
        left = found.shrunk
        numbers = f"{left.before} faults shrunk to {left.after} in {left.took:.1f} s"
        say(f"    {numbers}, {left.runs} runs")
    if not good:
        say(f"    expected {', '.join(sorted(bug.found_by))}; {found.text or 'no seed failed'}")
    return good


def say_medians(shrunk: Sequence[Shrunk]) -> None:
    """Tell how far shrinking gets, and how soon."""
    if shrunk:
        faults = [median(each.before for each in shrunk), median(each.after for each in shrunk)]
        took = median(each.took for each in shrunk)
        longest = max(each.took for each in shrunk)
        text = f"shrunk from {faults[0]:g} faults to {faults[1]:g} in {took:.1f} s (medians of "
        say(text + f"{len(shrunk)}); the slowest took {longest:.1f} s")


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="", help="FROM:TO, instead of what each patch states")
    parser.add_argument("--only", default="", help="names of bugs, with commas")
    parser.add_argument("--jobs", type=int, default=2, help="hunts at once")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Hunt those that were asked for."""
    asked = _arguments(argv)
    only = set(filter(None, asked.only.split(",")))
    bugs = [bug for bug in all_bugs() if not only or bug.name in only]
    if not bugs:
        say(f"no bug is called {asked.only!r}")
        return 2
    first, _, last = asked.seeds.partition(":")
    begin = int(first or 0)

    def seeds_for(bug: Bug) -> range:
        return range(begin, int(last) if last else begin + bug.seeds)

    with ThreadPoolExecutor(asked.jobs) as pool:
        hunts = zip(bugs, pool.map(lambda bug: hunt(bug, seeds_for(bug)), bugs), strict=True)
        judged = [(judge(bug, found), found) for bug, found in hunts]
    say_medians([found.shrunk for _, found in judged if found.shrunk is not None])
    furthest = max(found.seed for _, found in judged)
    healthy = hunt(None, range(begin, furthest + 1))
    seeds = furthest + 1 - begin
    what = f"breaks {healthy.name}: {healthy.text}" if healthy.name else "keeps all promises"
    say(f"without any bug the same {seeds} seeds: {what} ({healthy.took:.1f} s)")
    return 0 if all(good for good, _ in judged) and not healthy.name else 1


if __name__ == "__main__":
    sys.exit(main())

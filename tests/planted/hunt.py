"""Runs the general campaign until a promise breaks; says which, as one line of JSON.

Run it as a file, with the package to be examined first in PYTHONPATH:
`PYTHONPATH=COPY python tests/planted/hunt.py FROM TO`. Exit status 0 whether or not.
"""

from __future__ import annotations

import json
import sys
import time

from meshp2p.simulation.swarm import run_seed


def main() -> None:
    """Hunt."""
    first, last = map(int, sys.argv[1:3])
    began = time.perf_counter()
    found: dict[str, object] = {}
    for seed in range(first, last):
        violation = run_seed(seed).violation
        if violation is not None:
            found = {"seed": seed, "name": violation.name, "text": str(violation)}
            break
    found["took"] = time.perf_counter() - began
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()

"""How long until a node serves: import, first use, start alone. Medians of fresh processes.

python -m benchmarks.start [--runs 11]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from typing import Final

_IMPORT: Final = "import time; t = time.perf_counter(); import meshp2p"
_USE: Final = _IMPORT + "; meshp2p.Node"
_TELL: Final = "; print((time.perf_counter() - t) * 1e3)"
_START: Final = (
    "import time; from meshp2p import Node; node = Node(); t = time.perf_counter(); node.start(); "
    "print((time.perf_counter() - t) * 1e3); node.stop()"
)
STEPS: Final = {
    "import meshp2p": _IMPORT + _TELL,
    "... and the first use of Node": _USE + _TELL,
    "Node().start() when alone": _START,
}


def median_ms(program: str, runs: int) -> float:
    """Median of what the program prints, each time in a new process, in milliseconds."""
    times = []
    for _ in range(runs):
        done = subprocess.run(  # noqa: S603  # our own three programs
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )
        times.append(float(done.stdout))
    return statistics.median(times)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=11)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as state:
        os.environ["MESHP2P_STATE"] = os.environ["XDG_RUNTIME_DIR"] = state
        for step, program in STEPS.items():
            print(f"{step:<32}{median_ms(program, runs):>8.1f} ms")


if __name__ == "__main__":
    main()

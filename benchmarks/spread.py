"""How soon all lists are whole, how soon a hole is mended, and what an idle mesh sends.

    python -m benchmarks.spread [--sizes 20 50 100] [--seeds 5] [--quiet 300] [--json]

In virtual time with the `lan` configuration, every node charged for its work. Bytes are those
of datagrams with their IP and UDP headers; streams are counted beside them, without theirs.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable
from typing import Any, Final

from meshp2p.config import lan
from meshp2p.ids import Address, Seconds
from meshp2p.simulation import Node, World
from meshp2p.simulation.charges import Charges
from meshp2p.simulation.invariants.inside import view_of

_HEADERS: Final = 28
"""Bytes of IPv4 and UDP."""
_SETTLE: Final[Seconds] = 20.0
_LOOK_EVERY: Final[Seconds] = 0.01
_TOO_LONG: Final[Seconds] = 120.0


def storm(size: int, seed: int) -> tuple[World, Seconds]:
    """All start at once and know one seed; seconds until all lists are whole."""
    world = World(seed, lan(), charges=Charges())
    first = world.start("node0", seeds=[])
    for number in range(1, size):
        world.start(f"node{number}", seeds=[first])
    return world, world.run_until(world.is_quiet, _TOO_LONG, every=_LOOK_EVERY)


def hole(size: int, seed: int) -> Seconds:
    """One list loses one member, unnoticed; seconds until it is whole again."""
    world, _ = storm(size, seed)
    world.run_for(_SETTLE + seed % 7)
    some, missing = world.nodes["node1"], world.nodes[f"node{size - 1}"]
    view = view_of(some.engine)
    row = view.get(missing.id)
    if row is None:
        raise AssertionError("the list was not whole")
    view.forget(row)
    return world.run_until(world.is_quiet, _TOO_LONG, every=_LOOK_EVERY)


def idle(size: int, seconds: Seconds, after: Seconds) -> dict[str, float]:
    """Bytes and datagrams that a node sends in each second while nothing happens."""
    world, _ = storm(size, 1)
    world.run_for(after)
    sent = {"bytes": 0, "datagrams": 0}

    def count(_sender: Node, _to: Address, data: bytes) -> None:
        sent["bytes"] += len(data) + _HEADERS
        sent["datagrams"] += 1

    world.on_datagram.append(count)
    syncs = _syncs(world)
    world.run_for(seconds)
    return {
        "bytes/s": round(sent["bytes"] / size / seconds, 1),
        "datagrams/s": round(sent["datagrams"] / size / seconds, 2),
        "syncs/min": round((_syncs(world) - syncs) * 60 / size / seconds, 3),
    }


def _syncs(world: World) -> int:
    return sum(node.engine.stats().get("syncs", 0) for node in world.running)


def spread(measure: Callable[[int, int], Seconds], size: int, seeds: int) -> dict[str, float]:
    """Median and worst of several runs, in seconds."""
    took = [measure(size, seed) for seed in range(seeds)]
    return {"median": round(statistics.median(took), 3), "worst": round(max(took), 3)}


def measure(sizes: list[int], seeds: int, quiet: Seconds) -> list[dict[str, Any]]:
    """One row for each size."""
    return [
        {
            "nodes": size,
            "join, s": spread(lambda n, seed: storm(n, seed)[1], size, seeds),
            "hole, s": spread(hole, size, seeds),
            "idle": idle(size, quiet, quiet),
        }
        for size in sizes
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[20, 50, 100])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--quiet", type=float, default=300.0)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    rows = measure(asked.sizes, asked.seeds, asked.quiet)
    if asked.json:
        print(json.dumps(rows, indent=2))
        return
    print(lan())
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()

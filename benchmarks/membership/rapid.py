"""Half-dead members: deaf ones, lossy ones, ones that stand still for half of the time.

None of the healthy may be removed, and the others' state must not swing to and fro.

Source: Suresh and others, "Stable and Consistent Membership at Scale with Rapid" (ATC 2018),
section 7, for the first two.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Sequence
from typing import Final

from benchmarks.membership.lifeguard import stand_still
from benchmarks.membership.table import Row, Table
from benchmarks.membership.virtual import HOW, Ears, crowd, joined
from meshp2p.config import lan
from meshp2p.ids import Seconds
from meshp2p.simulation import Node, World
from meshp2p.simulation.faults import Cut, Loss

_DEAF: Final = 10
_HALF: Final[Seconds] = 20.0
_LOST: Final = 0.8
_STALL: Final[Seconds] = 5.0
_COUNTED: Final = (
    "Healthy ones removed: how often one of them was declared dead, by all healthy and by all "
    "faulty members together. Removals, returns and suspicions of a faulty one: on average at "
    "each healthy member. Sizes: how many different numbers of live members the healthy listed."
)


def rapid(size: int, seconds: Seconds) -> Table:
    """Rapid's two cases."""
    rows = [
        _case(size, min(_DEAF, size // 3), f"{_HALF:g} s deaf, {_HALF:g} s not", _flip, seconds),
        _case(size, max(1, size // 100), f"{_LOST:.0%} lost, both ways", _lose, seconds),
    ]
    title = f"Half-dead members among {size}, for {seconds:g} s"
    return Table(title=title, config=lan(), rows=rows, notes=[HOW, _COUNTED])


def stalls(size: int, seconds: Seconds) -> Table:
    """One that stands still for five seconds in every ten."""
    rows = [_case(size, 1, f"stands still {_STALL:g} s in {2 * _STALL:g} s", _stall, seconds)]
    title = f"One of {size} stands still again and again, for {seconds:g} s"
    return Table(title=title, config=lan(), rows=rows, notes=[HOW, _COUNTED])


def _case(
    size: int, count: int, name: str, act: Callable[[World, Sequence[Node]], None], seconds: Seconds
) -> Row:
    world = joined(size, seed=4)
    rng = random.Random(f"{name} {size}")
    sick = rng.sample(world.running, count)
    ears, sizes, began = Ears(world), set[int](), world.now
    while world.now < began + seconds:
        act(world, sick)
        sizes |= {len(node.handles) for node in world.running if node not in sick}
    faulty = {node.name for node in sick}
    healthy = set(crowd(size)) - faulty
    pairs = len(faulty) * len(healthy)
    return {
        "faulty": count,
        "how": name,
        "healthy removed by healthy": ears.count("member.failed", of=healthy, by=healthy),
        "by faulty": ears.count("member.failed", of=healthy, by=faulty),
        "removals of a faulty one": round(
            ears.count("member.failed", of=faulty, by=healthy) / pairs, 2
        ),
        "returns": round(ears.count("member.returned", of=faulty, by=healthy) / pairs, 2),
        "suspicions of it": round(ears.count("member.suspected", of=faulty, by=healthy) / pairs, 2),
        "sizes": len(sizes),
        "listed alive at the end": statistics.median(
            len(node.handles) for node in world.running if node.name in healthy
        ),
    }


def _flip(world: World, sick: Sequence[Node]) -> None:
    guard = world.inject(Cut(tuple(("*", node.name) for node in sick)))
    world.run_for(_HALF)
    guard.remove()
    world.run_for(_HALF)


def _lose(world: World, sick: Sequence[Node]) -> None:
    ways = [way for node in sick for way in (("*", node.name), (node.name, "*"))]
    guard = world.inject(Loss(_LOST, paths=tuple(ways)))
    world.run_for(_HALF)
    guard.remove()


def _stall(world: World, sick: Sequence[Node]) -> None:
    stand_still(world, sick, _STALL)
    world.run_for(_STALL)

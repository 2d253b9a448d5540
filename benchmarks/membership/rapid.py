"""Half-dead members: deaf ones, lossy ones, ones that stand still for half of the time.

None of the healthy may be removed, and the others' state must not swing to and fro.

Source: Suresh and others, "Stable and Consistent Membership at Scale with Rapid" (ATC 2018),
section 7, for the first two.
"""

from __future__ import annotations

import functools
import random
import statistics
from collections.abc import Callable, Collection, Sequence
from typing import Final

from benchmarks.membership.forks import Forks
from benchmarks.membership.lifeguard import stand_still
from benchmarks.membership.table import Row, Table
from benchmarks.membership.virtual import HOW, Ears, joined
from meshp2p.config import lan
from meshp2p.ids import Seconds
from meshp2p.simulation import Node, World
from meshp2p.simulation.faults import Cut, Loss
from meshp2p.simulation.packets import Link
from simulations.flip_flop import HALF
from simulations.heavy_loss import LOST

_DEAF: Final = 10
_STALL: Final[Seconds] = 5.0
_CHANGES: Final = {"member.failed": 1, "member.returned": -1}
_COUNTED: Final = (
    "Healthy ones removed: how often one of them was declared dead, by all healthy and by all "
    "faulty members together. Removals, returns and suspicions of a faulty one: on average at "
    "each healthy member. Sizes: how many different numbers of live members the healthy listed."
)


def rapid(size: int, seconds: Seconds, forks: Forks) -> Table:
    """Rapid's two cases, and the second one both ways."""
    deaf, lossy = min(_DEAF, size // 3), max(1, size // 100)
    cases = (
        (deaf, f"{HALF:g} s deaf, {HALF:g} s not", _flip),
        (lossy, f"{LOST:.0%} lost to it", _lose_in),
        (lossy, f"{LOST:.0%} lost both ways", _lose),
    )
    acts = [
        functools.partial(_case, count=count, name=name, act=act, seconds=seconds)
        for count, name, act in cases
    ]
    title = f"Half-dead members among {size}, for {seconds:g} s"
    rows = forks.each_in(title, functools.partial(joined, size, seed=4), acts)
    return Table(title=title, config=lan(), rows=rows, notes=[HOW, _COUNTED])


def stalls(size: int, seconds: Seconds) -> Table:
    """One that stands still for five seconds in every ten."""
    name = f"stands still {_STALL:g} s in {2 * _STALL:g} s"
    row = _case(joined(size, seed=4), 1, name, _stall, seconds)
    title = f"One of {size} stands still again and again, for {seconds:g} s"
    return Table(title=title, config=lan(), rows=[row], notes=[HOW, _COUNTED])


def _case(
    world: World,
    count: int,
    name: str,
    act: Callable[[World, Sequence[Node]], None],
    seconds: Seconds,
) -> Row:
    sick = random.Random(name).sample(world.running, count)
    ears, began = Ears(world), world.now
    while world.now < began + seconds:
        act(world, sick)
    faulty = {node.name for node in sick}
    healthy = set(world.nodes) - faulty
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
        "sizes": len(_sizes(ears, healthy)),
        "listed alive at the end": statistics.median(
            len(node.handles) for node in world.running if node.name in healthy
        ),
    }


def _sizes(ears: Ears, observers: Collection[str]) -> set[int]:
    """By how much the number of live members differed from the beginning, for any of them."""
    missing = dict.fromkeys(observers, 0)
    seen = {0}
    for each in ears.heard:
        if each.observer in missing:
            missing[each.observer] += _CHANGES.get(each.event, 0)
            seen.add(missing[each.observer])
    return seen


def _flip(world: World, sick: Sequence[Node]) -> None:
    guard = world.inject(Cut(tuple(("*", node.name) for node in sick)))
    world.run_for(HALF)
    guard.remove()
    world.run_for(HALF)


def _lose_in(world: World, sick: Sequence[Node]) -> None:
    _lose_on(world, [("*", node.name) for node in sick])


def _lose(world: World, sick: Sequence[Node]) -> None:
    _lose_on(world, [way for node in sick for way in (("*", node.name), (node.name, "*"))])


def _lose_on(world: World, ways: Sequence[Link]) -> None:
    guard = world.inject(Loss(LOST, paths=tuple(ways)))
    world.run_for(HALF)
    guard.remove()


def _stall(world: World, sick: Sequence[Node]) -> None:
    stand_still(world, sick, _STALL)
    world.run_for(_STALL)

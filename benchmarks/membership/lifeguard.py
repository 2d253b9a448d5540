"""Lifeguard's experiment: processes that stand still again and again, beside plain SWIM.

Of 128 members some stand still together, for a duration, then run for an interval, and so on
for two minutes; who of the others is declared dead was declared so falsely. Plain SWIM is this
very program with all doubt of itself switched off and the fixed suspicion of the paper's
baseline (alpha 5, beta 1).

Source: Dadgar, Phillips, Currey, "Lifeguard" (arXiv:1707.00788), section V.
"""

from __future__ import annotations

import functools
import itertools
import random
import statistics
from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from benchmarks.membership.forks import Forks
from benchmarks.membership.table import Row, Table
from benchmarks.membership.virtual import HOW, Ears, Scales, crowd, death, joined
from meshp2p.config import lan
from meshp2p.ids import Seconds
from meshp2p.simulation import Node, World
from simulations.lifeguards_experiment import plain

STALLED: Final = (1, 4, 16, 32)
"""How many stand still together; those that the design asks for."""
DURATIONS: Final[tuple[Seconds, ...]] = (0.128, 0.512, 2.048, 8.192, 16.384, 32.768)
INTERVALS: Final[tuple[Seconds, ...]] = (0.001, 0.004, 0.016, 0.064, 0.256, 1.024, 4.096, 16.384)

_GOALS: Final = {"false positives": 1.53, "between the well": 1.89, "first, median": 83.0}
"""Percent of plain SWIM at most: the best of every column of the paper's table VII."""
_AFTERWARDS: Final[Seconds] = 30.0
"""What stalls led to may show only after them."""


@attrs.frozen
class Stalls:
    """One experiment.

    Args:
        stalled: How many stand still, all at the same moments.
        duration: Each time for so long.
        interval: Between two of these.
        whole: Seconds that it takes altogether.
    """

    stalled: int
    duration: Seconds
    interval: Seconds
    whole: Seconds
    run: int


@attrs.frozen
class Outcome:
    """What one experiment led to.

    Args:
        false: Times that somebody declared a member dead that never stood still.
        between_the_well: Those of them that a member said that never stood still either.
        seconds: Over which packets and bytes were counted.
    """

    false: int
    between_the_well: int
    packets: int
    sent: int
    seconds: Seconds


def grid(
    stalled: Iterable[int],
    durations: Iterable[Seconds],
    intervals: Iterable[Seconds],
    whole: Seconds,
    runs: int,
) -> list[Stalls]:
    """Every combination, so many times."""
    drawn = itertools.product(stalled, durations, intervals, range(runs))
    return [Stalls(count, long, pause, whole, run) for count, long, pause, run in drawn]


def experiment(size: int, grid: Sequence[Stalls], deaths: int, forks: Forks) -> list[Table]:
    """All stalls and some deaths, under both configurations; ours is shown in percent."""
    kinds = {"plain SWIM": plain(), "meshp2p": lan()}
    by_kind: dict[str, list[Outcome]] = {}
    died: dict[str, list[tuple[Seconds, Seconds]]] = {}
    for kind, config in kinds.items():
        mesh = functools.cache(functools.partial(joined, size, seed=3, config=config))
        stalls = [functools.partial(stall, one=one) for one in grid]
        by_kind[kind] = forks.each_in(f"{kind}, {size}, {grid}", mesh, stalls)
        ends = [functools.partial(death, number=number, silent=True) for number in range(deaths)]
        died[kind] = forks.each_in(f"{kind}, {size}, deaths", mesh, ends)
    rows = [_row(kind, by_kind[kind], died[kind]) for kind in kinds]
    rows.append(_percent(rows[1], rows[0]))
    rows.append({"of": "goal, at most %", **_GOALS})
    how = (
        f"{len(grid)} experiments each of {grid[0].whole:g} s of stalls and {_AFTERWARDS:g} s "
        f"afterwards; {deaths} silent hosts, each while nobody stalls. Plain SWIM: lifeguard 0, "
        "suspicion_min_multiplier 5, suspicion_max_multiplier 1; it waits ack_timeout for each "
        "answer. Packets and bytes: datagrams and pieces of streams, without headers."
    )
    title = f"Lifeguard's experiment among {size}: stalls, and the death of a well one"
    parts = Table(
        title="The same by how many stand still",
        config=lan(),
        rows=[_part(count, grid, by_kind) for count in sorted({one.stalled for one in grid})],
    )
    return [Table(title=title, config=lan(), rows=rows, notes=[HOW, how]), parts]


def stall(world: World, one: Stalls) -> Outcome:
    """One experiment."""
    rng = random.Random(f"stalls {one}")
    ears, scales = Ears(world), Scales()
    world.links.add(scales)
    sick = rng.sample(world.running, one.stalled)
    world.run_for(rng.uniform(0.0, 1.0))
    began = world.now
    while world.now < began + one.whole:
        stand_still(world, sick, min(one.duration, began + one.whole - world.now))
        world.run_for(min(one.interval, max(0.0, began + one.whole - world.now)))
    world.run_for(_AFTERWARDS)
    well = set(crowd(len(world.nodes))) - {node.name for node in sick}
    return Outcome(
        ears.count("member.failed", of=well),
        ears.count("member.failed", of=well, by=well),
        scales.packets,
        scales.sent,
        world.now - began,
    )


def stand_still(world: World, nodes: Sequence[Node], seconds: Seconds) -> None:
    """All at once, and all go on at once."""
    for node in nodes:
        world.pause(node)
    world.run_for(seconds)
    for node in nodes:
        world.resume(node)


def _row(kind: str, outcomes: Sequence[Outcome], died: Sequence[tuple[Seconds, Seconds]]) -> Row:
    seconds = sum(each.seconds for each in outcomes)
    return {
        "of": kind,
        "false positives": sum(each.false for each in outcomes),
        "between the well": sum(each.between_the_well for each in outcomes),
        "first, median": round(statistics.median(first for first, _ in died), 2),
        "all, median": round(statistics.median(last for _, last in died), 2),
        "all, worst": round(max(last for _, last in died), 2),
        "packets/s": round(sum(each.packets for each in outcomes) / seconds),
        "KiB/s": round(sum(each.sent for each in outcomes) / seconds / 1024, 1),
    }


def _percent(ours: Row, base: Row) -> Row:
    row: Row = {"of": "% of plain SWIM"}
    for name, value in ours.items():
        if name != "of":
            row[name] = round(100.0 * value / base[name], 2) if base[name] else None
    return row


def _part(count: int, grid: Sequence[Stalls], by_kind: dict[str, list[Outcome]]) -> Row:
    row: Row = {"stand still": count}
    for kind, outcomes in by_kind.items():
        some = [out for one, out in zip(grid, outcomes, strict=True) if one.stalled == count]
        row[f"false, {kind}"] = sum(each.false for each in some)
        row[f"between the well, {kind}"] = sum(each.between_the_well for each in some)
    return row

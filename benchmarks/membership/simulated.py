"""Silent hosts, killed processes, join storms, hours of loss and partitions, in virtual time."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from typing import Final

from benchmarks.membership.forks import Forks
from benchmarks.membership.table import Row, Table, spread
from benchmarks.membership.virtual import (
    HOW,
    Ears,
    crowd,
    death,
    is_whole,
    joined,
    storm,
    views,
)
from meshp2p.config import lan
from meshp2p.ids import Seconds
from meshp2p.simulation import Conditions, World
from meshp2p.simulation.invariants import bounds
from simulations.long_partition import HOUR, spoken

_LOOK: Final[Seconds] = 0.01


# --- deaths ------------------------------------------------------------------------------


def deaths(sizes: Sequence[int], count: int, forks: Forks) -> Table:
    """A silent host and a killed process: how long until the first, and until all know."""
    rows: list[Row] = []
    for size in sizes:
        mesh = functools.cache(functools.partial(joined, size, seed=size))
        for silent in (True, False):
            acts = [
                functools.partial(death, number=number, silent=silent) for number in range(count)
            ]
            what = f"{'silent' if silent else 'killed'} among {size}"
            times = forks.each_in(what, mesh, acts)
            rows.append(
                {
                    "nodes": size,
                    "who dies": "silent host" if silent else "killed process",
                    "deaths": count,
                    **spread((first for first, _ in times), "first"),
                    **spread((last for _, last in times), "all"),
                }
            )
    title = "Death of one, until the others list it as dead; seconds"
    return Table(title=title, config=lan(), rows=rows, notes=[HOW])


# --- storms ------------------------------------------------------------------------------


def storms(sizes: Sequence[int], seeds: int, forks: Forks) -> Table:
    """All start at once and know one seed: how long until each lists all."""
    rows: list[Row] = []
    for size in sizes:
        acts = [functools.partial(_storm, size, seed) for seed in range(seeds)]
        times = forks.each(f"storm of {size}", acts)
        rows.append(
            {
                "nodes": size,
                "seeds": seeds,
                **spread((took for took, _ in times), "whole"),
                "CPU s a run": round(sum(cpu for _, cpu in times) / seeds, 1),
            }
        )
    title = "Join storm through one seed: virtual seconds until each lists all"
    return Table(title=title, config=lan(), rows=rows, notes=[HOW])


def _storm(size: int, seed: int) -> tuple[Seconds, float]:
    began = time.process_time()
    _, took = storm(size, seed)
    return took, time.process_time() - began


# --- hours of loss -----------------------------------------------------------------------


def false_deaths(size: int, hours: float, losses: Sequence[float], forks: Forks) -> Table:
    """Nobody dies, but packets are lost: who is taken for dead all the same."""
    acts = [functools.partial(hours_of_loss, hours=hours, loss=loss) for loss in losses]
    what = f"{hours:g} h among {size}, losing {', '.join(map(str, losses))}"
    rows = forks.each_in(what, functools.partial(joined, size, seed=1), acts)
    title = f"False deaths among {size} for {hours:g} h of virtual time, nobody of whom dies"
    notes = [HOW, "A false death is one member's belief that another, which runs, is dead."]
    return Table(title=title, config=lan(), rows=rows, notes=notes)


def hours_of_loss(world: World, hours: float, loss: float) -> Row:
    """Under one loss."""
    world.links.usual = Conditions(loss=loss)
    names, ears, began = crowd(len(world.nodes)), Ears(world), time.process_time()
    suspicions = deaths = 0
    for _ in range(max(1, round(hours * 60))):
        world.run_for(hours * HOUR / max(1, round(hours * 60)))
        suspicions += ears.count("member.suspected", of=names)
        deaths += ears.count("member.failed", of=names)
        ears.heard.clear()
        for node in world.nodes.values():
            node.events.clear()  # a list of its own for tests; here it would only grow
    return {
        "loss": f"{loss:.0%}",
        "false deaths": deaths,
        "suspicions": suspicions,
        "a pair and hour": round(suspicions / hours / (len(names) * (len(names) - 1)), 3),
        "CPU s": round(time.process_time() - began, 1),
    }


# --- partitions --------------------------------------------------------------------------


def partitions(size: int, lengths: Sequence[Seconds], forks: Forks) -> Table:
    """Split in two halves, then healed: how long until all lists are equal and whole."""
    acts = [functools.partial(_partition, length=length) for length in lengths]
    what = f"split of {size} for {', '.join(map(str, lengths))} s"
    rows = forks.each_in(what, functools.partial(joined, size, seed=2), acts)
    title = f"Split of {size} in two: seconds after healing until all lists are equal and whole"
    bound = bounds.convergence(lan(), size)
    notes = [HOW, f"The bound of L1 for {size} members is {bound:,.0f} s."]
    return Table(title=title, config=lan(), rows=rows, notes=notes)


def _partition(world: World, length: Seconds) -> Row:
    nodes, began = world.running, time.process_time()
    half = len(nodes) // 2
    guard = world.partition(nodes[:half], nodes[half:])
    world.run_for(length)
    lists = views(world)
    guard.remove()
    took = world.run_until(
        lambda: views(world) == 1 and is_whole(world, len(nodes)),
        2 * bounds.convergence(lan(), len(nodes)),
        every=_LOOK,
    )
    return {
        "split for": spoken(length),
        "lists before healing": lists,
        "equal after, s": round(took, 2),
        "CPU s": round(time.process_time() - began, 1),
    }

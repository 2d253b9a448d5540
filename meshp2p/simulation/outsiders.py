"""Who is near a mesh and no member of it: a guest that looks and calls, and another namespace.

What is drawn for them depends on the seed and on who they are alone: the same mesh has the same
day with them and without, but for the packets that they send it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf
from random import Random
from typing import Final

import attrs

from meshp2p.ids import Seconds
from meshp2p.simulation.handlers import Agent
from meshp2p.simulation.witness import START
from meshp2p.simulation.workload import Errand, draw_agent, draw_errands
from meshp2p.simulation.world import World

_GUEST: Final = "victor"
_NEIGHBOURS: Final = ("wendy", "xavier")
_ELSEWHERE: Final = "elsewhere"
_VISITED: Final = 0.15
"""Share of meshes that a guest looks at."""
_VISIT: Final[tuple[Seconds, Seconds]] = (0.5, 5.0)
"""A guest takes one list of members and stays for as long as that is worth something."""
_BESIDE: Final = 0.1
"""Share of meshes with another namespace beside them, in which two nodes take these for seeds."""
_RATE: Final = 2.0
"""Errands of each of them per second."""
_COMMANDS: Final = ("auction", "vote")
"""What only members ask for: whoever owns it must keep a journal."""


@attrs.frozen(kw_only=True)
class Outsider:
    """A node that is no member of the plan's mesh.

    Args:
        starts: Seconds after the world's start.
        leaves: Likewise; infinity for one that stays.
        guest: It looks at the mesh itself; otherwise it is a member elsewhere.
    """

    name: str
    starts: Seconds
    leaves: Seconds = inf
    guest: bool = False


def draw_outsiders(seed: int, begins: Seconds, hostile: Seconds) -> tuple[Outsider, ...]:
    """Mostly nobody.

    Args:
        begins: In seconds after the world's start, as `hostile`: they come between.
    """
    drawn: list[Outsider] = []
    rng = Random(f"guest {seed}")
    if rng.random() < _VISITED:
        comes = round(rng.uniform(begins, hostile), 3)
        goes = min(round(comes + rng.uniform(*_VISIT), 3), hostile)
        drawn.append(Outsider(name=_GUEST, starts=comes, leaves=goes, guest=True))
    rng = Random(f"neighbours {seed}")
    if rng.random() < _BESIDE:
        moments = sorted(round(rng.uniform(begins, hostile), 3) for _ in _NEIGHBOURS)
        drawn += [
            Outsider(name=name, starts=at) for name, at in zip(_NEIGHBOURS, moments, strict=True)
        ]
    return tuple(drawn)


def invite(world: World, outsiders: Iterable[Outsider], names: Sequence[str]) -> None:
    """Let each come at its hour.

    Args:
        names: Of the mesh's members, whom all of them are told of.
    """
    for each in outsiders:
        world.at_time(START + each.starts, _enter, world, each, names)


def _enter(world: World, outsider: Outsider, names: Sequence[str]) -> None:
    name = outsider.name
    seeds = [world[each] for each in names if each in world.nodes]
    if outsider.guest:
        guest = world.start(name, guest=True, agent=Agent(), seeds=seeds)
        world.at_time(START + outsider.leaves, world.leave, guest)
        return
    seeds += [world[each] for each in _NEIGHBOURS if each in world.nodes]
    agent = draw_agent(Random(f"agent {name} {world.seed}"), name)
    world.start(name, namespace=_ELSEWHERE, agent=agent, seeds=seeds)


def errands_of(
    seed: int, outsiders: Iterable[Outsider], names: Sequence[str], hostile: Seconds
) -> tuple[Errand, ...]:
    """What they ask for: guests of members, neighbours of each other, and now and then of members.

    Nobody answers these last ones.
    """
    errands: list[Errand] = []
    for outsider in outsiders:
        rng = Random(f"errands of {outsider.name} {seed}")
        whom = names if outsider.guest else (*_NEIGHBOURS, *names)
        errands += [
            attrs.evolve(errand, whom=rng.choice(whom))
            for errand in draw_errands(rng, (outsider.name,), hostile, _RATE)
            if not (outsider.guest and errand.what in _COMMANDS)
        ]
    return tuple(errands)

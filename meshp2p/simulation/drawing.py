"""From dice to a schedule: how many troubles, of which kinds, when, and who survives them.

Whatever is drawn must be survivable. A node that starts knows the seeds that it is told of
and nobody else, so whoever starts or comes back must find one of them there.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from random import Random
from typing import Final

import attrs

from meshp2p.ids import Seconds
from meshp2p.simulation.faults import Crash, CrashAtWrite, Leave, Schedule, Timed
from meshp2p.simulation.menu import MENU, Entry

_MOST_KINDS: Final = 5
_TIMES: Final = (1, 1, 2, 4)
_AT_ONCE: Final = 0.3
"""Share of faults that begin in the schedule's one bad moment: troubles seldom come alone."""


def draw_schedule(
    rng: Random,
    names: tuple[str, ...],
    begins: Seconds,
    hostile: Seconds,
    menu: Mapping[str, Entry] = MENU,
) -> Schedule:
    """A few kinds of faults between two moments, each kind once or a few times.

    Args:
        names: Whom they may befall.
        begins: In seconds after the world's start, as `hostile`, after which none begins.
        menu: The kinds to choose from.
    """
    bad = rng.uniform(begins, hostile)
    drawn: list[Timed] = []
    for kind in _draw_kinds(rng, len(names), menu):
        entry = menu[kind]
        for _ in range(rng.choice(_TIMES)):
            at = bad if rng.random() < _AT_ONCE else rng.uniform(begins, hostile)
            drawn.append(Timed(round(at, 3), entry.dish(rng, names), entry.end(rng, at)))
    return _in_order(drawn)


def _draw_kinds(rng: Random, nodes: int, menu: Mapping[str, Entry]) -> list[str]:
    """Different kinds of faults that so many nodes survive, the frequent ones likelier.

    Source: Efraimidis and Spirakis, "Weighted random sampling with a reservoir" (2006).
    """
    able = {kind: entry for kind, entry in menu.items() if entry.least <= nodes}
    drawn = sorted(able, key=lambda kind: rng.random() ** (1.0 / able[kind].often))
    return drawn[len(drawn) - rng.randint(0, _MOST_KINDS) :]


def without_founder(
    rng: Random, names: tuple[str, ...], schedule: Schedule, settled: Seconds
) -> Schedule:
    """The same, but the node that all were told of soon goes for ever, and nobody returns.

    Args:
        settled: When all have joined; nothing may happen earlier.
    """
    gone = Crash(names[0], silent=rng.random() < 0.5)  # noqa: PLR2004  # as likely as not
    kept = [each for each in schedule.faults if not isinstance(each.fault, CrashAtWrite)]
    for_good = [
        attrs.evolve(each, until=inf) if isinstance(each.fault, Crash | Leave) else each
        for each in kept
    ]
    first = Timed(round(settled + rng.uniform(0.0, 2.0), 3), gone)
    return _in_order([first, *for_good])


def told_at_least(names: tuple[str, ...], schedule: Schedule, hostile: Seconds) -> int:
    """Of how many of the first nodes each must be told: the last of these surely stays."""
    goes = {
        each.fault.node
        for each in schedule.faults
        if isinstance(each.fault, CrashAtWrite)
        or (isinstance(each.fault, Crash | Leave) and each.until >= hostile)
    }
    return next((at for at, name in enumerate(names, 1) if name not in goes), len(names))


def _in_order(faults: list[Timed]) -> Schedule:
    return Schedule(tuple(sorted(faults, key=lambda timed: timed.at)))

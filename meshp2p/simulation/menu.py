"""Every kind of fault as a swarm may draw it: of whom, how hard, for how long."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from random import Random
from types import MappingProxyType
from typing import Final, TypeAlias

import attrs

from meshp2p.ids import Seconds
from meshp2p.simulation import faults
from meshp2p.simulation.accuser import Accuse
from meshp2p.simulation.disk import Left
from meshp2p.simulation.faults import Fault
from meshp2p.simulation.faults.fault import EVERYWHERE, paths
from meshp2p.simulation.latency import AnyLatency, Exponential, LogNormal, Uniform
from meshp2p.simulation.packets import Link
from meshp2p.simulation.perjurer import Perjure
from meshp2p.simulation.routes import NatKind

Names: TypeAlias = tuple[str, ...]
Dish: TypeAlias = Callable[[Random, Names], Fault]

_NATS: Final[tuple[NatKind, ...]] = (
    "full_cone",
    "restricted",
    "port_restricted",
    "symmetric",
    "udp_blocked",
)


_LEFTS: Final[tuple[Left, ...]] = ("kept", "unsynced_lost", "wiped")
_FOR_TWO_LIARS: Final = 7
"""Members."""
_SOME: Final = 0.3
_HALF: Final = 0.5


@attrs.frozen
class Entry:
    """One kind of fault.

    Args:
        dish: Draws one.
        lasts: Shortest and longest duration; the short ones are likelier.
        least: Nodes that a mesh needs for it to be survivable.
        stays: Share of those that only the calm ends; what has crashed is not undone then.
        often: How much likelier it is than another kind.
    """

    dish: Dish
    lasts: tuple[Seconds, Seconds] = (0.1, 4.0)
    least: int = 2
    stays: float = 0.0
    often: float = 1.0

    def end(self, rng: Random, at: Seconds) -> Seconds:
        """When one that begins then is over."""
        if rng.random() < self.stays:
            return inf
        shortest, longest = self.lasts
        return round(at + shortest + (longest - shortest) * rng.random() ** 2, 3)


def _some_paths(rng: Random, names: Names) -> tuple[Link, ...]:
    """Everywhere, all of one node, or one link in one direction."""
    one, other = rng.sample(names, 2)
    return rng.choice([EVERYWHERE, (("*", one),), ((one, "*"),), ((one, other),)])


def _late(rng: Random, most: Seconds) -> AnyLatency:
    scale = most * rng.choice([0.1, 0.3, 1.0])
    kinds: list[AnyLatency] = [
        Uniform(0.0, scale),
        Exponential(scale / 3),
        LogNormal(scale / 4, 1.0),
    ]
    return rng.choice(kinds)


def _partition(rng: Random, names: Names) -> Fault:
    shuffled = rng.sample(names, len(names))
    at = rng.randint(1, len(names) - 1)
    ones, others = shuffled[:at], shuffled[at:]
    if rng.random() < _SOME and len(ones) > 1:  # a bridge between both sides
        others = [ones[0], *others]
    return faults.Partition((tuple(ones), tuple(others)))


def _cut(rng: Random, names: Names) -> Fault:
    shuffled = rng.sample(names, len(names))
    at, to = sorted(rng.sample(range(len(names) + 1), 2))
    ones = shuffled[at:to] if to - at < len(names) else shuffled[:1]
    others = [name for name in shuffled if name not in ones]
    return faults.Cut(paths(ones, others, both=rng.random() < _SOME))


def _crash(rng: Random, names: Names) -> Fault:
    disk = rng.choices(_LEFTS, [1, 3, 2])[0]
    return faults.Crash(rng.choice(names), silent=rng.random() < _SOME, disk=disk)


def _crash_at_write(rng: Random, names: Names) -> Fault:
    return faults.CrashAtWrite(
        rng.choice(names),
        after=rng.choice([0.0, 0.0, 0.001, 0.002, 0.01, 0.1]),
        down=rng.choice([0.01, 0.1, 1.0]),
        disk=rng.choices(_LEFTS, [1, 5, 2])[0],
        times=rng.choice([1, 5, 5]),
    )


def _nat(rng: Random, names: Names) -> Fault:
    inside = rng.sample(names, rng.randint(1, max(1, len(names) // 2)))
    return faults.Nat(
        tuple(inside),
        rng.choice(_NATS),
        hairpin=rng.random() < _HALF,
        rebinds=rng.choice([None, 1.0, 5.0]),
    )


def _liar(rng: Random, names: Names) -> str:
    """The last member, or of seven one of the last two.

    Protocols promise nothing with more liars than they count on: fewer than a third.
    """
    return rng.choice(names[-2:]) if len(names) >= _FOR_TWO_LIARS else names[-1]


def _accuse(rng: Random, names: Names) -> Fault:
    liar = _liar(rng, names)
    others = [name for name in names if name != liar]
    return Accuse(
        liar, tuple(rng.sample(others, rng.randint(1, len(others)))), rng.choice([0.1, 1.0])
    )


MENU: Final[Mapping[str, Entry]] = MappingProxyType(
    {
        "loss": Entry(
            lambda rng, names: faults.Loss(
                rng.choice([0.02, 0.2, 0.5]), paths=_some_paths(rng, names)
            ),
            (1.0, 8.0),
        ),
        "bursts": Entry(
            lambda rng, names: faults.BurstyLoss(paths=_some_paths(rng, names)), (1.0, 8.0)
        ),
        "delay": Entry(
            lambda rng, names: faults.Delay(_late(rng, 0.5), paths=_some_paths(rng, names)),
            (1.0, 8.0),
        ),
        "reorder": Entry(
            lambda rng, names: faults.Reorder(
                rng.choice([0.05, 0.3]), _late(rng, 1.0), paths=_some_paths(rng, names)
            ),
            (1.0, 8.0),
        ),
        "duplicate": Entry(
            lambda rng, names: faults.Duplicate(
                rng.choice([0.05, 0.5]), _late(rng, 2.0), paths=_some_paths(rng, names)
            ),
            (1.0, 8.0),
        ),
        "bandwidth": Entry(
            lambda rng, names: faults.Bandwidth(
                rng.choice([2_000.0, 8_000.0, 40_000.0]), burst=1_500, paths=_some_paths(rng, names)
            ),
            (1.0, 8.0),
        ),
        "mtu": Entry(
            lambda rng, names: faults.Mtu(
                rng.choice([300, 576, 1_000]), paths=_some_paths(rng, names)
            ),
            (1.0, 8.0),
            stays=0.2,
            often=2.0,
        ),
        "cut": Entry(_cut, stays=0.2),
        "partition": Entry(_partition, stays=0.3, often=2.0),
        "hold": Entry(
            lambda rng, names: faults.Hold(paths(*([n] for n in rng.sample(names, 2)), both=True)),
            (0.1, 2.0),
        ),
        "nat": Entry(_nat, (3.0, 12.0)),
        "crash": Entry(_crash, (0.01, 4.0), stays=0.1),
        "gone": Entry(
            lambda rng, names: faults.Crash(rng.choice(names), silent=rng.random() >= _SOME),
            least=3,
            stays=1.0,
        ),
        "crash_at_write": Entry(_crash_at_write, (1.0, 8.0), often=3.0),
        "leave": Entry(lambda rng, names: faults.Leave(rng.choice(names)), (1.0, 4.0), stays=0.1),
        "drain": Entry(
            lambda rng, names: faults.Drain(rng.choice(names)), (0.5, 6.0), stays=0.2, often=2.0
        ),
        "stall": Entry(
            lambda rng, names: faults.Stall(rng.choice(names), asleep=rng.random() < _HALF),
            (0.05, 4.0),
        ),
        "slow": Entry(
            lambda rng, names: faults.Slow(rng.choice(names), rng.choice([0.001, 0.01, 0.1])),
            (1.0, 6.0),
        ),
        "skew": Entry(
            lambda rng, names: faults.Skew(
                rng.choice(names),
                rng.choice([-3_600.0, -200.0, -1.0, 0.0, 1.0, 200.0, 3_600.0]),
                rng.choice([0.0, 1e-4, 0.01]),
            ),
            (5.0, 12.0),
        ),
        "clock_jump": Entry(
            lambda rng, names: faults.ClockJump(
                rng.choice(names), rng.choice([-600.0, -10.0, 10.0, 600.0])
            ),
        ),
        "disk_slow": Entry(
            lambda rng, names: faults.SlowDisk(rng.choice(names), _late(rng, 3.0)), (2.0, 10.0)
        ),
        "disk_full": Entry(lambda rng, names: faults.FullDisk(rng.choice(names)), (2.0, 10.0)),
        "disk_failed": Entry(
            lambda rng, names: faults.FailingDisk(rng.choice(names), rng.choice([0.2, 0.7])),
            (2.0, 10.0),
        ),
        "replay": Entry(
            lambda rng, _names: faults.ReplayPackets(
                rng.choice([0.05, 0.3]),
                _late(rng, 5.0),
                elsewhere=rng.random() < _HALF,
            ),
            (2.0, 8.0),
        ),
        "flood": Entry(
            lambda rng, names: faults.Flood(rng.choice(names), rng.choice([20.0, 200.0])),
            (0.5, 3.0),
        ),
        "spoof": Entry(
            lambda rng, _names: faults.SpoofedInits(rng.choice([1, 5, 20]), _late(rng, 1.0)),
            (2.0, 8.0),
            often=2.0,
        ),
        "forge": Entry(
            lambda rng, names: faults.Forge(_liar(rng, names), rng.choice([0.05, 0.5])),
            (1.0, 6.0),
            least=4,
        ),
        "accuse": Entry(_accuse, (1.0, 6.0), least=4),
        "stale": Entry(
            lambda rng, names: faults.StaleGossip(_liar(rng, names), rng.choice([0.1, 0.5])),
            (1.0, 6.0),
            least=4,
        ),
        "equivocate": Entry(
            lambda rng, names: faults.Equivocate(_liar(rng, names)), (1.0, 6.0), least=4
        ),
        "perjure": Entry(
            lambda rng, names: Perjure(_liar(rng, names), rng.choice([0.2, 0.5, 0.9])),
            (2.0, 10.0),
            least=4,
            stays=0.5,
            often=3.0,
        ),
    }
)
"""By name: what a swarm may serve."""

LIES: Final = (*faults.LIES, Accuse, Perjure)
"""Faults of members that must have been started as liars."""
